import test from 'ava';
import type {IssuerSpec} from '#certificates/apis/issuer';
import {secrets as secretType} from '#certificates/apis/resources';
import {createSecretReader, type SecretReader} from '#certificates/controllers/secret-reader';
import {createCaIssuer} from '#certificates/issuers/ca';
import type {SigningInput, SigningResult} from '#certificates/issuers/issuer-type';
import {createIssuerTypes} from '#certificates/issuers/registry';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import {parseChain} from '#certificates/x509/chain';
import type {ApiClient} from '#certificates/kube/client';
import {createView} from '#certificates/kube/view';
import {encodePrivateKey, generatePrivateKey} from '#certificates/x509/keys';
import {ApiRefusedError} from '#shared/kube/errors';
import {MemoryApi} from '#test/certificates/memory-api';
import {MovableClock} from '#test/certificates/movable-clock';
import {
  aCa,
  aCaSecret,
  aCsr,
  anIssuer,
  aSecret,
  unbase64,
  type ACa,
} from '#test/certificates/issuing';

const NOW = new Date();
const DAY_MS = 24 * 3_600_000;
const context = {secretNamespace: 'shop', now: NOW, signal: AbortSignal.timeout(30_000)};
const caSpec = {ca: {secretName: 'ca'}} as const;

const ready = test.macro(async (t, make: () => Promise<ACa>) => {
  const site = aSite();
  site.put(aCaSecret(await make()));
  t.like(await site.check(caSpec), {ready: true, reason: 'KeyPairVerified'});
});
test('a CA issuer is ready with a self-signed CA', ready, () => aCa());
test('a CA issuer is ready with an intermediate and its root', ready, async () =>
  aCa({name: 'Intermediate', above: await aCa()}),
);
test('a CA issuer is ready with a CA that has no key usage at all', ready, () => aCa({usages: []}));

const notReady = test.macro(
  async (
    t,
    make: () => Promise<Parameters<ReturnType<typeof aSite>['put']>[0]>,
    reason: string,
  ) => {
    const site = aSite();
    site.put(await make());
    const verdict = await site.check(caSpec);
    t.like(verdict, {ready: false, reason});
    t.true(verdict.message.length > 20);
    const result = await site.sign(caSpec, await anInput());
    t.like(result, {kind: 'pending', reason: 'SecretInvalidData'});
  },
);
test('a CA issuer refuses bad PEM', notReady, async () =>
  aCaSecret(await aCa(), {data: {'tls.crt': 'not PEM'}}), 'ErrGetKeyPair',
); // prettier-ignore
test('a CA issuer refuses a key that is none', notReady, async () =>
  aCaSecret(await aCa(), {data: {'tls.key': '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'}}), 'ErrGetKeyPair',
); // prettier-ignore
test('a CA issuer refuses a Secret without a key', notReady, async () =>
  aCaSecret(await aCa(), {data: {'tls.key': ''}}), 'ErrGetKeyPair',
); // prettier-ignore
test('a CA issuer refuses certificates that are no chain', notReady, async () =>
  aCaSecret({...(await aCa()), chain: [(await aCa()).certificate, (await aCa()).certificate]}), 'ErrGetKeyPair',
); // prettier-ignore
test('a CA issuer refuses the key of another certificate', notReady, async () =>
  aCaSecret({...(await aCa()), key: (await aCa()).key}), 'ErrInvalidKeyPair',
); // prettier-ignore
test('a CA issuer refuses a certificate that is no CA', notReady, async () =>
  aCaSecret(await aCa({isCa: false})), 'ErrInvalidKeyPair',
); // prettier-ignore
test('a CA issuer refuses a CA that may not sign certificates', notReady, async () =>
  aCaSecret(await aCa({usages: ['digital signature']})), 'ErrInvalidKeyPair',
); // prettier-ignore
test('a CA issuer refuses an expired CA', notReady, async () =>
  aCaSecret(await aCa({notBefore: before(2), notAfter: before(1)})), 'ErrInvalidKeyPair',
); // prettier-ignore
test('a CA issuer refuses a CA that is not valid yet', notReady, async () =>
  aCaSecret(await aCa({notBefore: after(1), notAfter: after(2)})), 'ErrInvalidKeyPair',
); // prettier-ignore

test('a CA issuer says when its CA begins or ends, to be checked again then', async t => {
  const site = aSite();
  site.put(aCaSecret(await aCa({notBefore: after(1), notAfter: after(2)})));
  t.deepEqual((await site.check(caSpec)).recheckAt, after(1));
  site.put(aCaSecret(await aCa({notBefore: before(1), notAfter: after(2)})));
  t.deepEqual((await site.check(caSpec)).recheckAt, after(2));
});

test('a CA issuer without its Secret waits for it', async t => {
  const site = aSite();
  t.like(await site.check(caSpec), {ready: false, reason: 'ErrGetKeyPair'});
  t.like(await site.sign(caSpec, await anInput()), {kind: 'pending', reason: 'SecretMissing'});
});

test('a CA issuer that may not read its Secret says so and tries again later', async t => {
  const site = aSite();
  site.refuse(403);
  const verdict = await site.check(caSpec);
  t.like(verdict, {ready: false, reason: 'ErrGetKeyPair'});
  t.regex(verdict.message, /may not read Secret shop\/ca/);
  t.true((verdict.recheckAt?.getTime() ?? 0) > NOW.getTime());
});

test('a CA issuer leaves an API that is overloaded to the queue', async t => {
  const site = aSite();
  site.refuse(503);
  await t.throwsAsync(site.check(caSpec), {code: 'ERR_API_REFUSED'});
});

test('a CA Secret is read and parsed once per version, whoever asks', async t => {
  const site = aSite();
  site.put(aCaSecret(await aCa()));
  await Promise.all([site.check(caSpec), site.check(caSpec)]);
  await site.sign(caSpec, await anInput());
  t.is(site.reads(), 1);
  const next = await aCa({name: 'Next CA'});
  site.put(aCaSecret(next));
  const result = await site.sign(caSpec, await anInput());
  t.is(site.reads(), 2);
  t.true(result.kind === 'issued' && parseChain(result.chainPem).leaf.isIssuedBy(next.certificate));
});

test('a CA Secret that is gone is not signed with', async t => {
  const site = aSite();
  site.put(aCaSecret(await aCa()));
  await site.check(caSpec);
  site.remove('ca');
  t.like(await site.sign(caSpec, await anInput()), {kind: 'pending', reason: 'SecretMissing'});
});

test('a CA issues what the CSR asks for, chained without the root', async t => {
  const site = aSite();
  const root = await aCa({name: 'Root'});
  const middle = await aCa({name: 'Middle', above: root});
  const low = await aCa({name: 'Low', above: middle});
  // In any order: only the first in the Secret's text is not fixed by the format.
  site.put(aCaSecret({...low, chain: [low.certificate, root.certificate, middle.certificate]}));
  const result = await site.sign(caSpec, await anInput({durationMs: 10 * DAY_MS}));
  if (result.kind !== 'issued') return t.fail(result.message);
  const {leaf, intermediates, root: none} = parseChain(result.chainPem);
  t.is(none, undefined);
  t.deepEqual(
    intermediates.map(({pem}) => pem),
    [low.certificate.pem, middle.certificate.pem],
  );
  t.is(result.caPem, root.certificate.pem);
  t.deepEqual(leaf.names, [{kind: 'dns', value: 'www.example.com'}]);
  t.is(leaf.notAfter.getTime() - leaf.notBefore.getTime(), 10 * DAY_MS);
  t.deepEqual(leaf.usages, ['digital signature', 'key encipherment']);
  t.false(leaf.isCa);
  t.is(result.warnings, undefined);
});

test('an intermediate without its root is itself part of the chain, and its top', async t => {
  const site = aSite();
  const low = await aCa({name: 'Low', above: await aCa()});
  site.put(aCaSecret({...low, chain: [low.certificate]}));
  const result = await site.sign(caSpec, await anInput());
  if (result.kind !== 'issued') return t.fail(result.message);
  t.is(parseChain(result.chainPem).intermediates[0]?.pem, low.certificate.pem);
  t.is(result.caPem, low.certificate.pem);
});

test('a certificate keeps its duration when the CA ends first, with a warning', async t => {
  const site = aSite();
  site.put(aCaSecret(await aCa({notAfter: after(5)})));
  const result = await site.sign(caSpec, await anInput({durationMs: 10 * DAY_MS}));
  if (result.kind !== 'issued') return t.fail(result.message);
  const {notBefore, notAfter} = parseChain(result.chainPem).leaf;
  t.is(notAfter.getTime() - notBefore.getTime(), 10 * DAY_MS);
  t.deepEqual(
    result.warnings?.map(({reason}) => reason),
    ['IssuerExpiresFirst'],
  );
});

test('a CA that allows no further CA below it signs leaves only', async t => {
  const {key, certificate} = await aCa();
  const full = Object.create(certificate, {pathLength: {value: 0}}) as ParsedCertificate;
  const keyPair = {key, certificate: full, chain: [full], intermediatesPem: '', topPem: full.pem};
  const issuer = createCaIssuer({load: () => Promise.resolve({kind: 'key-pair', keyPair})});
  const sign = async (isCa: boolean) =>
    issuer.sign(await anInput({isCa}), anIssuer(caSpec), context);
  t.like(await sign(true), {kind: 'failed', reason: 'SigningError'});
});

test('a self-signed issuer is always ready', async t => {
  t.like(await aSite().check({selfSigned: {}}), {ready: true, reason: 'IsReady'});
});

test('a self-signed certificate is its own issuer', async t => {
  const site = aSite();
  const input = await selfSignedInput(site);
  const result = await site.sign({selfSigned: {crlDistributionPoints: ['http://crl.test']}}, input);
  if (result.kind !== 'issued') return t.fail(result.message);
  const certificate = parseCertificate(result.chainPem);
  t.true(certificate.isSelfSigned);
  t.is(result.caPem, result.chainPem);
  t.is(certificate.publicKeyDigest, input.csr.publicKeyDigest);
  t.true(certificate.der.includes('http://crl.test'));
});

test('a self-signed request says when it lacks the name of its key', async t => {
  const result = await aSite().sign({selfSigned: {}}, await anInput());
  t.like(result, {kind: 'failed', reason: 'MissingAnnotation'});
});

test('a self-signed request waits for the Secret of its key, and for a readable key', async t => {
  const site = aSite();
  const key = {namespace: 'shop', name: 'key'};
  const input = {...(await anInput()), privateKeySecret: key};
  const sign = () => site.sign({selfSigned: {}}, input);
  t.like(await sign(), {kind: 'pending', reason: 'MissingSecret'});
  site.put(aSecret({...key, data: {}}));
  t.like(await sign(), {kind: 'pending', reason: 'ErrorParsingKey'});
  site.put(aSecret({...key, data: {'tls.key': 'no key'}}));
  t.like(await sign(), {kind: 'pending', reason: 'ErrorParsingKey'});
});

test('a self-signed request fails with the key of another', async t => {
  const site = aSite();
  const {privateKeySecret} = await selfSignedInput(site);
  const input = {...(await anInput()), ...(privateKeySecret && {privateKeySecret})};
  const result = await site.sign({selfSigned: {}}, input);
  t.like(result, {kind: 'failed', reason: 'ErrorKeyMatch'});
});

test('a self-signed certificate with an empty subject comes with a warning', async t => {
  const site = aSite();
  const result = await site.sign({selfSigned: {}}, await selfSignedInput(site, {subject: []}));
  t.like(result, {kind: 'issued', warnings: [{reason: 'BadConfig'}]});
});

const unknown = test.macro((t, spec: IssuerSpec, reason: string) => {
  const found = aSite().types.of(spec);
  t.like(found, {kind: 'unknown', reason});
});
test(
  'a type that this version does not have is named',
  unknown,
  {acme: {}} as IssuerSpec,
  'IssuerTypeNotSupported',
);
test('an issuer without a type is refused', unknown, {}, 'ErrInitIssuer');
test(
  'an issuer with two types is refused',
  unknown,
  {selfSigned: {}, ca: {secretName: 'ca'}},
  'ErrInitIssuer',
);

interface InputOptions extends Partial<Omit<SigningInput, 'csr'>> {
  readonly csr?: Parameters<typeof aCsr>[1];
}

async function anInput({csr = {}, ...rest}: InputOptions = {}): Promise<SigningInput> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  return {
    csr: parseSigningRequest(unbase64(aCsr(key, csr))),
    durationMs: DAY_MS,
    isCa: false,
    usages: ['digital signature', 'key encipherment'],
    ...rest,
  };
}

async function selfSignedInput(
  site: ReturnType<typeof aSite>,
  csr: Parameters<typeof aCsr>[1] = {},
): Promise<SigningInput> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  const name = {namespace: 'shop', name: 'own-key'};
  site.put(aSecret({...name, data: {'tls.key': encodePrivateKey(key, 'PKCS1')}}));
  return {
    ...(await anInput()),
    csr: parseSigningRequest(unbase64(aCsr(key, csr))),
    privateKeySecret: name,
  };
}

function aSite() {
  const api = new MemoryApi(new MovableClock());
  let reads = 0;
  let status: number | undefined;
  const memory = api.client();
  const client: ApiClient = {
    ...memory,
    get: (resource, name, options) => {
      reads += 1;
      if (status === undefined) return memory.get(resource, name, options);
      const refusal = {status, reason: 'Refused', message: 'refused by the test'};
      return Promise.reject(new ApiRefusedError('get', refusal));
    },
  };
  const otherSecrets = createView<{key: string; resourceVersion: string}>({
    indexes: {},
    onChange: () => undefined,
  });
  const secrets: SecretReader = createSecretReader({
    client,
    views: {secrets: createView({indexes: {}, onChange: () => undefined}), otherSecrets},
  });
  const types = createIssuerTypes({secrets});
  const typeOf = (spec: IssuerSpec) => {
    const found = types.of(spec);
    if (found.kind === 'unknown') throw new Error(found.message);
    return found.type;
  };
  return {
    reads: () => reads,
    refuse: (next: number) => {
      status = next;
    },
    types,
    put: (secret: ReturnType<typeof aSecret>) => {
      const {metadata} = api.put(secretType, secret);
      otherSecrets.observe({
        key: `${metadata.namespace ?? ''}/${metadata.name}`,
        resourceVersion: metadata.resourceVersion ?? '',
      });
    },
    remove: (name: string) => {
      api.remove(secretType, `shop/${name}`);
      otherSecrets.forget(`shop/${name}`);
    },
    check: async (spec: IssuerSpec) => typeOf(spec).check(anIssuer(spec), context),
    sign: async (spec: IssuerSpec, input: SigningInput): Promise<SigningResult> =>
      typeOf(spec).sign(input, anIssuer(spec), context),
  };
}

function after(days: number): Date {
  return new Date(Math.floor(NOW.getTime() / 1_000) * 1_000 + days * DAY_MS);
}

function before(days: number): Date {
  return after(-days);
}
