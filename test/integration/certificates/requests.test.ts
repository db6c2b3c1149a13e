// CertificateRequests, issuers and CertificateSigningRequests with a running controller
// (certificates.md §5.3: approval, selfsigned Secret timing, external issuers, kCSRs).
import test from 'ava';
import type {KeyObject} from 'node:crypto';
import type {KubernetesObject} from '#shared/kube/object';
import {waitFor} from '#shared/wait-for';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import {findCondition} from '#certificates/apis/conditions';
import type {Issuer, IssuerSpec} from '#certificates/apis/issuer';
import {certificateRequests, clusterIssuers, issuers} from '#certificates/apis/resources';
import type {Controller} from '#certificates/controller';
import {openApiClient} from '#certificates/kube/client';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import {parseChain} from '#certificates/x509/chain';
import {encodePrivateKey, generatePrivateKey} from '#certificates/x509/keys';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {startFaultyProxy} from '#test/certificates/faulty-proxy';
import {MovableClock} from '#test/certificates/movable-clock';
import {aCa, aCaSecret, aCsr, anIssuer, aSecret, unbase64} from '#test/certificates/issuing';

const signal = AbortSignal.timeout(900_000);
const DAY_MS = 24 * 3_600_000;
const KEY_ANNOTATION = 'cert-manager.io/private-key-secret-name';
let site: ControllerSite;
let controller: Controller;
let key: KeyObject;
let namespace: string;

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
  controller = await site.start({config: {clusterResourceNamespace: 'default'}});
  key = await generatePrivateKey({kind: 'ECDSA', size: 256});
});
test.after.always(async () => {
  await controller[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});
test.beforeEach(async t => {
  t.timeout(120_000);
  namespace = await site.namespace();
});

test.serial('a CA issuer signs what is asked of it, with chain, CA and events', async t => {
  const root = await aCa({name: 'Root'});
  const low = await aCa({name: 'Low', above: root});
  await withIssuer({ca: {secretName: 'ca', crlDistributionPoints: ['http://crl.test/a']}});
  await site.apply(aCaSecret(low, {namespace}));
  await create({duration: '48h', usages: ['server auth', 'digital signature']});
  const request = await issued();
  const {leaf, intermediates} = parseChain(unbase64(request.status?.certificate));
  t.is(intermediates[0]?.pem, low.certificate.pem);
  t.is(unbase64(request.status?.ca), root.certificate.pem);
  t.is(leaf.notAfter.getTime() - leaf.notBefore.getTime(), 2 * DAY_MS);
  t.deepEqual(leaf.usages, ['digital signature', 'server auth']);
  t.true(leaf.der.includes('http://crl.test/a'));
  t.is(findCondition(request.status?.conditions, 'Approved')?.reason, 'cert-manager.io');
  await eventOf('CertificateIssued');
  await eventOf('cert-manager.io');
});

for (const kind of ['Issuer', 'ClusterIssuer'] as const) {
  test.serial(`a self-signed ${kind}: the Secret is there before the request`, async t => {
    await keySecret(encodePrivateKey(key, 'PKCS8'));
    await withIssuer({selfSigned: {}}, kind);
    await create({}, {kind, annotations: {[KEY_ANNOTATION]: 'key'}});
    const {status} = await issued();
    t.is(status?.ca, status?.certificate);
  });
  test.serial(`a self-signed ${kind}: the Secret comes after the request`, async t => {
    await withIssuer({selfSigned: {}}, kind);
    await create({}, {kind, annotations: {[KEY_ANNOTATION]: 'key'}});
    await ready('Pending', /does not exist yet/);
    await keySecret(encodePrivateKey(key, 'PKCS8'));
    t.truthy(await issued());
  });
}
test.serial('a self-signed issuer: the key becomes readable later', async t => {
  await keySecret('no key');
  await withIssuer({selfSigned: {}});
  await create({}, {annotations: {[KEY_ANNOTATION]: 'key'}});
  await ready('Pending', /tls.key of Secret/);
  await keySecret(encodePrivateKey(key, 'PKCS1'));
  t.truthy(await issued());
});
test.serial('a self-signed issuer: the key is another, or none is named', async t => {
  const other = await generatePrivateKey({kind: 'ECDSA', size: 256});
  await keySecret(encodePrivateKey(other, 'PKCS8'));
  await withIssuer({selfSigned: {}});
  await create({}, {annotations: {[KEY_ANNOTATION]: 'key'}});
  t.truthy((await ready('Failed', /is not the one/)).status?.failureTime);
  await create({}, {name: 'unnamed'});
  await ready('Failed', /annotation/, 'unnamed');
});

test.serial('an external issuer is left alone', async t => {
  await create({issuerRef: {name: 'x', group: 'example.com'}}, {name: 'external'});
  await withIssuer({ca: {secretName: 'ca'}});
  await site.apply(aCaSecret(await aCa(), {namespace}));
  await create({});
  await issued(); // it came later
  const external = await site.client.get(
    certificateRequests,
    {namespace, name: 'external'},
    {signal},
  );
  t.is(external?.status, undefined);
});

test.serial('a request waits for an issuer that comes later, and for its Secret', async t => {
  await create({});
  await ready('Pending', /there is no Issuer issuer/);
  await withIssuer({ca: {secretName: 'ca'}});
  await ready('Pending', /ErrGetKeyPair.*does not exist/);
  await site.apply(aCaSecret(await aCa(), {namespace}));
  t.truthy(await issued());
});

test.serial('a request of a type that does not work yet waits with the reason', async t => {
  await withIssuer({
    vault: {server: 'https://v.test', path: 'p', auth: {tokenSecretRef: {name: 't'}}},
  });
  await create({});
  await ready('Pending', /does not have the issuer type vault/);
  const issuer = await issuerReady('False', 'IssuerTypeNotSupported');
  t.is(findCondition(issuer.status?.conditions, 'Ready')?.observedGeneration, 1);
});

test.serial('a CSR that cannot be read, or says something else, fails for ever', async t => {
  await withIssuer({selfSigned: {}});
  await create({request: Buffer.from('no CSR').toString('base64')});
  const {status} = await ready('Failed', /no CSR that can be read/);
  t.is(findCondition(status?.conditions, 'InvalidRequest')?.status, 'True');
  t.is(findCondition(status?.conditions, 'Approved'), undefined);
  await create({request: aCsr(key, {isCa: true})}, {name: 'ca'});
  await ready('Failed', /CA:TRUE/, 'ca');
  await create({duration: '0s'}, {name: 'short'});
  await ready('Failed', /spec.duration/, 'short');
  await eventOf('RequestParsingError');
});

test.serial('a name that the CA may not issue for fails with the constraint', async t => {
  const ca = await aCa({nameConstraints: {critical: true, permitted: {dnsDomains: ['corp.test']}}});
  await withIssuer({ca: {secretName: 'ca'}});
  await site.apply(aCaSecret(ca, {namespace}));
  await create({});
  await ready('Failed', /outside.*corp\.test/);
  await create({request: aCsr(key, {names: [{kind: 'dns', value: 'a.corp.test'}]})}, {name: 'in'});
  t.truthy(await issued('in'));
});

test.serial('a CA that is replaced signs from then on; a bad one stops, and says why', async t => {
  await withIssuer({ca: {secretName: 'ca'}});
  await site.apply(aCaSecret(await aCa(), {namespace}));
  await create({});
  const first = await issued();
  const next = await aCa({name: 'Next'});
  await site.apply(aCaSecret(next, {namespace}));
  // The issuer stays ready all the time: how many requests still see the old one is open.
  let count = 0;
  const isByNext = async (): Promise<true | undefined> => {
    const name = `next-${(count += 1)}`;
    await create({}, {name});
    const {status} = await issued(name);
    const {leaf} = parseChain(unbase64(status?.certificate));
    return leaf.isIssuedBy(next.certificate) || undefined;
  };
  await t.notThrowsAsync(waitFor(isByNext, {signal, timeoutMs: 20_000}));
  await site.apply(aCaSecret(next, {namespace, data: {'tls.crt': 'bad PEM'}}));
  await issuerReady('False', 'ErrGetKeyPair');
  await create({}, {name: 'fourth'});
  await ready('Pending', /tls.crt of Secret/, 'fourth');
  await site.apply(aCaSecret(next, {namespace}));
  await issuerReady('True', 'KeyPairVerified');
  await issued('fourth');
  const unchanged = await site.client.get(certificateRequests, {namespace, name: 'www'}, {signal});
  t.is(unchanged?.status?.certificate, first.status?.certificate);
});

test.serial('a ClusterIssuer has its CA in the cluster resource namespace', async t => {
  await withIssuer({ca: {secretName: `ca-${namespace}`}}, 'ClusterIssuer');
  await site.apply(aCaSecret(await aCa(), {namespace, name: `ca-${namespace}`}));
  await create({}, {kind: 'ClusterIssuer'});
  await ready('Pending', /Secret default\/ca-/);
  await site.apply(aCaSecret(await aCa(), {namespace: 'default', name: `ca-${namespace}`}));
  t.truthy(await issued());
});

test.serial('an issuer is checked again when its spec changes', async t => {
  await withIssuer({ca: {secretName: 'none'}});
  await issuerReady('False', 'ErrGetKeyPair');
  const name = {namespace, name: 'issuer'};
  const issuer = await site.issuer(name, () => true);
  await site.client.update(issuers, {...issuer, spec: {selfSigned: {}}}, {signal});
  const changed = await issuerReady('True', 'IsReady');
  t.is(findCondition(changed.status?.conditions, 'Ready')?.observedGeneration, 2);
});

test.serial(
  'approval by others is waited for when the approver is off; denial ends it',
  async t => {
    await controller[Symbol.asyncDispose]();
    await using server = await startFaultyProxy(site.server);
    const credentials = kubeconfigCredentials(site.server.kubeconfigWith({server: server.server}));
    await using client = openApiClient({credentials});
    const controllers = ['certificaterequests-issuer-ca', 'certificaterequests-issuer-selfsigned'];
    const config = {controllers, clusterResourceNamespace: 'default'};
    controller = await site.start({config, client});
    await withIssuer({ca: {secretName: 'ca'}});
    await site.apply(aCaSecret(await aCa(), {namespace}));
    await issuerReady('True', 'KeyPairVerified');
    await create({});
    await eventOf('WaitingForApproval');
    using conflict = server.fault(
      {kind: 'answer', status: 409},
      {match: ({resource}) => resource === 'certificaterequests/status', times: 3},
    );
    await decide('www', 'Approved');
    await issued();
    t.is(conflict.hits, 3);
    await create({}, {name: 'denied'});
    await decide('denied', 'Denied');
    const {status} = await ready('Denied', /no, says a test/, 'denied');
    t.truthy(status?.failureTime);
    t.is(status?.certificate, undefined);
    await controller[Symbol.asyncDispose]();
    controller = await site.start({config: {clusterResourceNamespace: 'default'}});
  },
);

test.serial('approval and certificate are one write', async t => {
  await controller[Symbol.asyncDispose]();
  await using server = await startFaultyProxy(site.server);
  const credentials = kubeconfigCredentials(site.server.kubeconfigWith({server: server.server}));
  await using client = openApiClient({credentials});
  controller = await site.start({client});
  await withIssuer({ca: {secretName: 'ca'}});
  await site.apply(aCaSecret(await aCa(), {namespace}));
  await issuerReady('True', 'KeyPairVerified');
  server.forgetRequests();
  await create({});
  await issued();
  t.is(server.counts()['update certificaterequests/status'], 1);
  await controller[Symbol.asyncDispose]();
  controller = await site.start({config: {clusterResourceNamespace: 'default'}});
});

test.serial('an issuer stops on the day its CA expires, and works on with another', async t => {
  await controller[Symbol.asyncDispose]();
  const clock = new MovableClock();
  controller = await site.start({clock});
  const notAfter = new Date(Date.now() + 5 * DAY_MS);
  await withIssuer({ca: {secretName: 'ca'}});
  await site.apply(aCaSecret(await aCa({notAfter}), {namespace}));
  await issuerReady('True', 'KeyPairVerified');
  await create({duration: '240h'}); // longer than the CA: issued, with a warning
  await issued();
  await eventOf('IssuerExpiresFirst');
  clock.advance(6 * DAY_MS);
  const expired = await issuerReady('False', 'ErrInvalidKeyPair');
  t.regex(findCondition(expired.status?.conditions, 'Ready')?.message ?? '', /expired at/);
  await create({}, {name: 'late'});
  await ready('Pending', /expired at/, 'late');
  const later = {notBefore: new Date(Date.now() + 7 * DAY_MS)};
  await site.apply(aCaSecret(await aCa(later), {namespace}));
  await issuerReady('False', 'ErrInvalidKeyPair', /valid from/);
  clock.advance(2 * DAY_MS);
  await issued('late');
  await controller[Symbol.asyncDispose]();
  controller = await site.start({config: {clusterResourceNamespace: 'default'}});
});

async function withIssuer(spec: IssuerSpec, kind: 'Issuer' | 'ClusterIssuer' = 'Issuer') {
  const name = kind === 'Issuer' ? 'issuer' : `issuer-${namespace}`;
  const {
    status: _,
    metadata,
    ...issuer
  } = anIssuer(spec, {
    name,
    ...(kind === 'Issuer' ? {namespace} : {}),
  });
  const {generation: _generation, ...named} = metadata;
  const resource = kind === 'Issuer' ? issuers : clusterIssuers;
  await site.client.create(resource, {...issuer, metadata: named}, {signal});
}

interface CreateOptions {
  readonly name?: string;
  readonly kind?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function create(
  spec: Partial<CertificateRequest['spec']>,
  {name = 'www', kind = 'Issuer', annotations = {}}: CreateOptions = {},
): Promise<CertificateRequest> {
  const issuerRef = {kind, name: kind === 'Issuer' ? 'issuer' : `issuer-${namespace}`};
  const request: CertificateRequest = {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name, namespace, annotations},
    spec: {request: aCsr(key), issuerRef, ...spec},
  };
  return site.client.create(certificateRequests, request, {signal});
}

function issued(name = 'www'): Promise<CertificateRequest> {
  return ready('Issued', /./, name);
}

function ready(reason: string, message: RegExp, name = 'www'): Promise<CertificateRequest> {
  return site.request({namespace, name}, ({status}) => {
    const condition = findCondition(status?.conditions, 'Ready');
    return condition?.reason === reason && message.test(condition.message ?? '');
  });
}

function issuerReady(status: string, reason: string, message = /./): Promise<Issuer> {
  return site.issuer({namespace, name: 'issuer'}, issuer => {
    const condition = findCondition(issuer.status?.conditions, 'Ready');
    const says = message.test(condition?.message ?? '');
    return condition?.status === status && condition.reason === reason && says;
  });
}

async function decide(name: string, type: 'Approved' | 'Denied'): Promise<void> {
  const request = await site.request({namespace, name}, () => true);
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const condition = {type, status: 'True', reason: 'Test', lastTransitionTime} as const;
  const status = {conditions: [{...condition, message: 'no, says a test'}]};
  await site.client.updateStatus(certificateRequests, {...request, status}, {signal});
}

async function keySecret(text: string): Promise<void> {
  await site.apply(aSecret({namespace, name: 'key', data: {'tls.key': text}}));
}

/** Waits for an event of the namespace with this reason. */
function eventOf(reason: string): Promise<KubernetesObject> {
  const events = {group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true};
  return waitFor(
    async limited => {
      const all = await site.client.list(events, {signal: limited, namespace});
      return all.find(event => event['reason'] === reason);
    },
    {signal, timeoutMs: 30_000},
  );
}
