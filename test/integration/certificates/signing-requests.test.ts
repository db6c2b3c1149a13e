// CertificateSigningRequests of Kubernetes, signed by our issuers (certificates.md §1.11, §5.3).
import test from 'ava';
import type {KeyObject} from 'node:crypto';
import {ApiRefusedError} from '#shared/kube/errors';
import {waitFor} from '#shared/wait-for';
import {findCondition} from '#certificates/apis/conditions';
import type {IssuerSpec} from '#certificates/apis/issuer';
import {clusterIssuers, events, issuers, signingRequests} from '#certificates/apis/resources';
import type {SigningRequestObject} from '#certificates/apis/signing-request';
import {parseFlags} from '#certificates/config/flags';
import type {Controller} from '#certificates/controller';
import type {ApiClient} from '#certificates/kube/client';
import {parseChain} from '#certificates/x509/chain';
import {encodePrivateKey, generatePrivateKey} from '#certificates/x509/keys';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {anActor, outcomeOf, type Rule} from '#test/certificates/actor';
import {
  aCa,
  aCaSecret,
  aCsr,
  anIssuer,
  aSecret,
  unbase64,
  type ACa,
} from '#test/certificates/issuing';

const signal = AbortSignal.timeout(900_000);
const ON =
  '--controllers=*,certificatesigningrequests-issuer-ca,certificatesigningrequests-issuer-selfsigned';
let site: ControllerSite;
let controller: Controller;
let key: KeyObject;
let root: ACa;
let low: ACa;
let namespace: string;
let count = 0;

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
  const config = {...parseFlags([ON]), clusterResourceNamespace: 'default'};
  controller = await site.start({config});
  key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  root = await aCa({name: 'Root'});
  low = await aCa({name: 'Low', above: root});
  await site.apply(aCaSecret(low, {namespace: 'default'}));
  await withIssuer({ca: {secretName: 'ca'}}, {name: 'ca'});
  await withIssuer({selfSigned: {}}, {name: 'self'});
});
test.after.always(async () => {
  await controller[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});
test.beforeEach(async t => {
  t.timeout(120_000);
  namespace = await site.namespace();
});

const CA = 'clusterissuers.cert-manager.io/ca';
const SELF = 'clusterissuers.cert-manager.io/self';

test.serial('a ClusterIssuer signs, with its intermediates and without the root', async t => {
  const name = await create(CA, {spec: {expirationSeconds: 3_600, usages: ['client auth']}});
  await decide(name, 'Approved');
  const {leaf, all} = parseChain(unbase64((await signed(name)).status?.certificate));
  t.deepEqual(
    all.map(({pem}) => pem),
    [leaf.pem, low.certificate.pem],
  );
  t.is(leaf.notAfter.getTime() - leaf.notBefore.getTime(), 3_600_000);
  t.deepEqual(leaf.usages, ['client auth']);
  t.false(leaf.isCa);
  await eventOf(name, 'CertificateIssued');
});

test.serial('nothing is signed, or approved by us, before it is approved', async t => {
  const name = await create(CA);
  await eventOf(name, 'WaitingApproval');
  t.deepEqual((await read(name)).status, {});
  await decide(name, 'Denied');
  const other = await create(CA);
  await decide(other, 'Approved');
  await signed(other);
  t.is((await read(name)).status?.certificate, undefined);
});

test.serial('an Issuer that comes later signs then', async t => {
  const name = await create(`issuers.cert-manager.io/${namespace}.ca`);
  await decide(name, 'Approved');
  await eventOf(name, 'IssuerNotFound');
  await withIssuer({ca: {secretName: 'ca'}}, {name: 'ca', namespace});
  await eventOf(name, 'IssuerNotReady');
  await site.apply(aCaSecret(low, {namespace}));
  t.truthy(await signed(name));
});

for (const [granted, isAllowed] of [
  [[], false],
  [['other'], false],
  [['ca'], true],
  [['*'], true],
] as const) {
  const title = `who may reference ${granted[0] ?? 'nothing'} is ${isAllowed ? 'served' : 'refused'}`;
  test.serial(`an Issuer of a namespace: ${title}`, async t => {
    await withIssuer({ca: {secretName: 'ca'}}, {name: 'ca', namespace});
    await site.apply(aCaSecret(low, {namespace}));
    const rules = [CREATE, ...(granted.length === 0 ? [] : [reference(granted)])];
    await using actor = await anActor(site, {namespace, name: 'jane', rules});
    const name = await create(`issuers.cert-manager.io/${namespace}.ca`, {client: actor.client});
    await decide(name, 'Approved');
    if (isAllowed) {
      t.truthy(await signed(name));
      return;
    }
    const {status} = await failed(name, 'DeniedReference');
    t.is(status?.certificate, undefined);
    t.regex(findCondition(status?.conditions, 'Failed')?.message ?? '', /"reference"/);
  });
}

const KEY = 'experimental.cert-manager.io/private-key-secret-name';
for (const kind of ['Issuer', 'ClusterIssuer'] as const) {
  const signerOf = () => (kind === 'Issuer' ? `issuers.cert-manager.io/${namespace}.self` : SELF);
  const prepare = async (): Promise<string> => {
    if (kind === 'Issuer') await withIssuer({selfSigned: {}}, {name: 'self', namespace});
    return kind === 'Issuer' ? namespace : 'default';
  };
  test.serial(`a self-signed ${kind} signs with the key beside it`, async t => {
    await keySecret(await prepare(), 'key', key);
    const name = await create(signerOf(), {annotations: {[KEY]: 'key'}});
    await decide(name, 'Approved');
    t.true(parseChain(unbase64((await signed(name)).status?.certificate)).leaf.isSelfSigned);
  });
  test.serial(`a self-signed ${kind} waits for the key`, async t => {
    const place = await prepare();
    const name = await create(signerOf(), {annotations: {[KEY]: `late-${namespace}`}});
    await decide(name, 'Approved');
    await eventOf(name, 'SecretNotFound');
    await keySecret(place, `late-${namespace}`, key);
    t.truthy(await signed(name));
  });
  test.serial(`a self-signed ${kind} refuses another key, and none`, async t => {
    const other = await generatePrivateKey({kind: 'ECDSA', size: 256});
    await keySecret(await prepare(), 'other', other);
    const name = await create(signerOf(), {annotations: {[KEY]: 'other'}});
    await decide(name, 'Approved');
    t.truthy(await failed(name, 'ErrorKeyMatch'));
    const unnamed = await create(signerOf());
    await decide(unnamed, 'Approved');
    t.truthy(await failed(unnamed, 'MissingAnnotation'));
  });
}

for (const [duration, reason] of [
  ['599s', 'InvalidDuration'],
  ['soon', 'ErrorParseDuration'],
] as const) {
  test.serial(`a duration of ${duration} fails with ${reason}`, async t => {
    const annotations = {'experimental.cert-manager.io/request-duration': duration};
    const name = await create(CA, {annotations});
    await decide(name, 'Approved');
    t.truthy(await failed(name, reason));
  });
}

test.serial('a CA is asked for by annotation, and not by the CSR alone', async t => {
  const annotations = {'experimental.cert-manager.io/request-is-ca': 'true'};
  const name = await create(CA, {annotations});
  await decide(name, 'Approved');
  const {leaf} = parseChain(unbase64((await signed(name)).status?.certificate));
  t.true(leaf.isCa && leaf.usages.includes('cert sign'));
  const sly = await create(CA, {spec: {request: aCsr(key, {isCa: true})}});
  await decide(sly, 'Approved');
  t.truthy(await failed(sly, 'RequestParsingError'));
});

test.serial('without the flag nothing is signed', async t => {
  await controller[Symbol.asyncDispose]();
  controller = await site.start();
  const name = await create(CA);
  await decide(name, 'Approved');
  await withIssuer({selfSigned: {}}, {name: 'marker', namespace});
  await site.issuer({namespace, name: 'marker'}, ({status}) => status !== undefined);
  t.is((await read(name)).status?.certificate, undefined);
  t.deepEqual(controller.queues.map(({name}) => name).toSorted(), [
    'certificateRequests',
    'certificates',
    'clusterIssuers',
    'issuers',
  ]);
});

const CREATE: Rule = {
  apiGroups: ['certificates.k8s.io'],
  resources: ['certificatesigningrequests'],
  verbs: ['create'],
};

function reference(resourceNames: readonly string[]): Rule {
  return {
    apiGroups: ['cert-manager.io'],
    resources: ['signers'],
    verbs: ['reference'],
    resourceNames,
  };
}

async function withIssuer(
  spec: IssuerSpec,
  options: {readonly name: string; readonly namespace?: string},
): Promise<void> {
  const {status: _status, metadata, ...issuer} = anIssuer(spec, options);
  const {generation: _generation, ...named} = metadata;
  const resource = options.namespace === undefined ? clusterIssuers : issuers;
  await site.client.create(resource, {...issuer, metadata: named}, {signal});
}

/** @returns its name */
async function create(
  signerName: string,
  {
    spec = {},
    annotations = {},
    client = site.client,
  }: {
    readonly spec?: Partial<SigningRequestObject['spec']>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly client?: ApiClient;
  } = {},
): Promise<string> {
  count += 1;
  const name = `csr-${count}`;
  const usages = ['digital signature', 'key encipherment'];
  const request: SigningRequestObject = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: {name, annotations},
    spec: {request: aCsr(key), signerName, usages, ...spec},
  };
  const outcome = await outcomeOf(() => client.create(signingRequests, request, {signal}), signal);
  if (outcome instanceof ApiRefusedError) throw outcome;
  return name;
}

async function read(name: string): Promise<SigningRequestObject> {
  return site.object(signingRequests, {name}, () => true);
}

async function decide(name: string, type: 'Approved' | 'Denied'): Promise<void> {
  const request = await read(name);
  const condition = {type, status: 'True', reason: 'Test', message: 'by a test'} as const;
  const changed = {...request, status: {...request.status, conditions: [condition]}};
  await site.client.update(signingRequests, changed, {signal, subresource: 'approval'});
}

function signed(name: string): Promise<SigningRequestObject> {
  return site.object(signingRequests, {name}, ({status}) => status?.certificate !== undefined);
}

function failed(name: string, reason: string): Promise<SigningRequestObject> {
  return site.object(
    signingRequests,
    {name},
    ({status}) => findCondition(status?.conditions, 'Failed')?.reason === reason,
  );
}

async function keySecret(place: string, name: string, secretKey: KeyObject): Promise<void> {
  const data = {'tls.key': encodePrivateKey(secretKey, 'PKCS8')};
  await site.apply(aSecret({namespace: place, name, data}));
}

/** Events of objects without a namespace lie in `default`. */
async function eventOf(name: string, reason: string): Promise<void> {
  await waitFor(
    async limited => {
      const all = await site.client.list(events, {signal: limited, namespace: 'default'});
      const isIt = all.some(
        event =>
          event['reason'] === reason &&
          (event['involvedObject'] as {readonly name?: string}).name === name,
      );
      return isIt ? true : undefined;
    },
    {signal, timeoutMs: 30_000},
  );
}
