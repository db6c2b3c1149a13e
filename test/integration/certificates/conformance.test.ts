import {createPrivateKey, X509Certificate} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import {secrets, type SecretObject} from '#certificates/apis/resources';
import type {Controller} from '#certificates/controller';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {nameValues} from '#certificates/x509/distinguished-name';
import {usageBits} from '#certificates/x509/extensions';
import type {GeneralName} from '#certificates/x509/general-names';
import {formatName} from '#certificates/x509/literal-subject';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {certificateShapes, type CertificateShape} from '#test/certificates/certificate-shapes';
import {openssl} from '#test/certificates/openssl';
import {temporaryFolder} from '#test/temporary-folder';

const flavours = [
  {title: 'SelfSigned Issuer', kind: 'Issuer', name: 'own'},
  {title: 'SelfSigned ClusterIssuer', kind: 'ClusterIssuer', name: 'own'},
  {title: 'CA Issuer', kind: 'Issuer', name: 'ca'},
  {title: 'CA ClusterIssuer', kind: 'ClusterIssuer', name: 'ca'},
] as const;
type Flavour = (typeof flavours)[number];

const apiVersion = 'cert-manager.io/v1';
const signal = AbortSignal.timeout(600_000);
let site: ControllerSite;
let controller: Controller;
let namespace: string;

test.before(async t => {
  t.timeout(240_000);
  site = await openControllerSite({signal});
  namespace = await site.namespace();
  // The cluster's issuers read their Secrets here too.
  controller = await site.start({config: {clusterResourceNamespace: namespace}});
  await site.apply(
    {apiVersion, kind: 'Issuer', metadata: {name: 'own', namespace}, spec: {selfSigned: {}}},
    {apiVersion, kind: 'ClusterIssuer', metadata: {name: 'own'}, spec: {selfSigned: {}}},
    aCertificate('root', {
      isCA: true,
      commonName: 'Root',
      duration: '8760h',
      secretName: 'root',
      issuerRef: {name: 'own'},
    }),
    {
      apiVersion,
      kind: 'Issuer',
      metadata: {name: 'ca', namespace},
      spec: {ca: {secretName: 'root'}},
    },
    {apiVersion, kind: 'ClusterIssuer', metadata: {name: 'ca'}, spec: {ca: {secretName: 'root'}}},
  );
  // All at once: the tests then look at each.
  for (const flavour of flavours) {
    await site.apply(...certificateShapes.map((shape, i) => certificateOf(flavour, shape, i)));
  }
});
test.after.always(async () => {
  await controller[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

for (const flavour of flavours) {
  for (const [i, shape] of certificateShapes.entries()) {
    test.serial(`${flavour.title}: ${shape.title}`, async t => {
      t.timeout(120_000);
      const wanted = certificateOf(flavour, shape, i);
      const found = await site.ready({namespace, name: wanted.metadata.name});
      const secret = await secretOf(wanted);
      await isIssuedAsAsked(t, {wanted, found, secret, flavour});
    });
  }

  test.serial(`${flavour.title}: changed DNS names are issued anew, with a new key`, async t => {
    t.timeout(120_000);
    const {before, after} = await issuedTwice(flavour, 'changed', {
      change: name =>
        site.apply(aCertificate(name, {...shortSpec(flavour, name), dnsNames: ['b.example.com']})),
      spec: {},
    });
    t.deepEqual(valuesOf(after.certificate.names, 'dns'), ['b.example.com']);
    t.not(after.key, before.key);
  });

  test.serial(
    `${flavour.title}: a key that may not rotate is kept when its certificate is lost`,
    async t => {
      t.timeout(120_000);
      const spec = {privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'}} as const;
      const {before, after} = await issuedTwice(flavour, 'kept', {
        change: async name => {
          const data = {'tls.crt': ''};
          await site.client.patch(secrets, {namespace, name}, {data}, {signal});
        },
        spec,
      });
      t.is(after.key, before.key);
      t.is(after.certificate.publicKeyDigest, before.certificate.publicKeyDigest);
    },
  );
}

function aCertificate(name: string, spec: CertificateSpec): Certificate {
  return {apiVersion, kind: 'Certificate', metadata: {name, namespace}, spec};
}

function certificateOf(flavour: Flavour, {spec}: CertificateShape, i: number): Certificate {
  const name = `${flavour.name}-${flavour.kind.toLowerCase()}-${String(i + 1)}`;
  const {kind, name: issuer} = flavour;
  return aCertificate(name, {...spec, secretName: name, issuerRef: {kind, name: issuer}});
}

function shortSpec({kind, name: issuer}: Flavour, name: string): CertificateSpec {
  return {
    dnsNames: ['a.example.com'],
    secretName: name,
    issuerRef: {kind, name: issuer},
    privateKey: {algorithm: 'ECDSA'},
  };
}

interface IssuedSecret {
  readonly object: SecretObject;
  readonly certificate: ParsedCertificate;
  readonly chain: string;
  readonly ca: string;
  readonly key: string;
}

async function secretOf({spec}: Certificate): Promise<IssuedSecret> {
  const name = {namespace, name: spec.secretName};
  const data = await site.secretData(name);
  const text = (key: string): string => data[key]?.toString('latin1') ?? '';
  const chain = text('tls.crt');
  const [leaf = ''] = /-----BEGIN[^]*?END CERTIFICATE-----\n/.exec(chain) ?? [];
  return {
    object: await site.object(secrets, name, () => true),
    certificate: parseCertificate(leaf),
    chain,
    ca: text('ca.crt'),
    key: text('tls.key'),
  };
}

interface Twice {
  readonly spec: Partial<CertificateSpec>;
  readonly change: (name: string) => Promise<unknown>;
}

async function issuedTwice(
  flavour: Flavour,
  what: string,
  {spec, change}: Twice,
): Promise<{readonly before: IssuedSecret; readonly after: IssuedSecret}> {
  const name = `${flavour.name}-${flavour.kind.toLowerCase()}-${what}`;
  const wanted = aCertificate(name, {...shortSpec(flavour, name), ...spec});
  await site.apply(wanted);
  await site.ready({namespace, name});
  const before = await secretOf(wanted);
  await change(name);
  await site.certificate({namespace, name}, ({status}) => status?.revision === 2);
  await site.ready({namespace, name});
  return {before, after: await secretOf(wanted)};
}

interface Issued {
  readonly wanted: Certificate;
  readonly found: Certificate;
  readonly secret: IssuedSecret;
  readonly flavour: Flavour;
}

/** What cert-manager's conformance suite looks at in each certificate. */
async function isIssuedAsAsked(t: ExecutionContext, issued: Issued): Promise<void> {
  hasKeyAsAsked(t, issued);
  hasNamesAsAsked(t, issued);
  hasTimesAsAsked(t, issued);
  hasAnnotations(t, issued);
  const {certificate, object} = issued.secret;
  const {isCA = false, usages} = issued.wanted.spec;
  t.is(certificate.isCa, isCA);
  const asked = usages ?? ['digital signature', 'key encipherment'];
  t.deepEqual(usageBits(certificate.usages), usageBits(isCA ? [...asked, 'cert sign'] : asked));
  t.is(object.type, 'kubernetes.io/tls');
  t.deepEqual(Object.keys(object.data ?? {}).toSorted(), ['ca.crt', 'tls.crt', 'tls.key']);
  await isChained(t, issued);
}

function hasKeyAsAsked(t: ExecutionContext, {wanted, secret}: Issued): void {
  const {algorithm = 'RSA', size, encoding = 'PKCS1'} = wanted.spec.privateKey ?? {};
  const key = createPrivateKey(secret.key);
  t.true(new X509Certificate(secret.certificate.der).checkPrivateKey(key));
  const labels = {RSA: 'RSA PRIVATE KEY', ECDSA: 'EC PRIVATE KEY', Ed25519: 'PRIVATE KEY'};
  const label = encoding === 'PKCS8' ? 'PRIVATE KEY' : labels[algorithm];
  t.true(secret.key.startsWith(`-----BEGIN ${label}-----`));
  const {modulusLength, namedCurve} = key.asymmetricKeyDetails ?? {};
  const curves = {256: 'prime256v1', 384: 'secp384r1', 521: 'secp521r1'} as const;
  t.is(key.asymmetricKeyType, ({RSA: 'rsa', ECDSA: 'ec', Ed25519: 'ed25519'} as const)[algorithm]);
  if (algorithm === 'RSA') t.is(modulusLength, size ?? 2048);
  if (algorithm === 'ECDSA') t.is(namedCurve, curves[(size ?? 256) as keyof typeof curves]);
}

function hasNamesAsAsked(t: ExecutionContext, {wanted, secret}: Issued): void {
  const {names, subject} = secret.certificate;
  const {spec} = wanted;
  if (spec.literalSubject !== undefined) {
    t.is(formatName(subject), spec.literalSubject);
  } else {
    t.deepEqual(
      nameValues(subject, '2.5.4.3'),
      spec.commonName === undefined ? [] : [spec.commonName],
    );
    t.deepEqual(nameValues(subject, '2.5.4.10'), spec.subject?.organizations ?? []);
  }
  t.deepEqual(valuesOf(names, 'dns'), (spec.dnsNames ?? []).toSorted());
  t.deepEqual(valuesOf(names, 'uri'), (spec.uris ?? []).toSorted());
  t.deepEqual(valuesOf(names, 'email'), (spec.emailAddresses ?? []).toSorted());
  const addresses = (spec.ipAddresses ?? []).map(address => address.toLowerCase());
  t.deepEqual(valuesOf(names, 'ip'), addresses.toSorted());
  t.deepEqual(
    valuesOf(names, 'other'),
    (spec.otherNames ?? []).map(({utf8Value = ''}) => utf8Value),
  );
}

function valuesOf(names: readonly GeneralName[], kind: GeneralName['kind']): readonly string[] {
  return names
    .flatMap(name => (name.kind === kind && 'value' in name ? [name.value] : []))
    .toSorted();
}

const HOUR_MS = 3_600_000;

function hasTimesAsAsked(t: ExecutionContext, {wanted, found, secret}: Issued): void {
  const {notBefore, notAfter} = secret.certificate;
  const seconds = (instant: Date): string => instant.toISOString().replace('.000Z', 'Z');
  t.is(found.status?.notBefore, seconds(notBefore));
  t.is(found.status?.notAfter, seconds(notAfter));
  const hours = Number.parseInt(wanted.spec.duration ?? '2160h', 10);
  const lifetimeMs = notAfter.getTime() - notBefore.getTime();
  t.true(Math.abs(lifetimeMs - hours * HOUR_MS) <= 30_000);
  const renewal = new Date(found.status?.renewalTime ?? 0).getTime();
  t.true(Math.abs(renewal - (notBefore.getTime() + (lifetimeMs * 2) / 3)) <= 1_000);
}

function hasAnnotations(t: ExecutionContext, {wanted, secret, flavour}: Issued): void {
  const {annotations = {}, labels = {}} = secret.object.metadata;
  const has = (key: string, value: string): unknown =>
    t.is(annotations[`cert-manager.io/${key}`], value, key);
  has('certificate-name', wanted.metadata.name);
  has('issuer-name', flavour.name);
  has('issuer-kind', flavour.kind);
  has('issuer-group', 'cert-manager.io');
  const {names, subject} = secret.certificate;
  has('common-name', nameValues(subject, '2.5.4.3').at(-1) ?? '');
  const listed = (key: string): readonly string[] =>
    (annotations[`cert-manager.io/${key}`] ?? 'missing').split(',').filter(Boolean).toSorted();
  t.deepEqual(listed('alt-names'), valuesOf(names, 'dns'));
  t.deepEqual(listed('ip-sans'), valuesOf(names, 'ip'));
  t.deepEqual(listed('uri-sans'), valuesOf(names, 'uri'));
  t.is(labels['controller.cert-manager.io/fao'], 'true');
}

/** openssl's verdict, for the purpose where the usages name one. */
async function isChained(t: ExecutionContext, {wanted, secret, flavour}: Issued): Promise<void> {
  const ca = parseCertificate(secret.ca);
  t.true(ca.isSelfSigned);
  t.deepEqual(ca.subjectDer, ca.issuerDer);
  if (flavour.name === 'own') t.is(secret.ca, secret.chain);
  else t.true(secret.certificate.isIssuedBy(ca));
  await using folder = await temporaryFolder();
  const [leafPath, caPath] = [join(folder.path, 'tls.crt'), join(folder.path, 'ca.crt')];
  writeFileSync(leafPath, secret.chain);
  writeFileSync(caPath, secret.ca);
  const purpose = wanted.spec.usages?.includes('server auth') ? ['-purpose', 'sslserver'] : [];
  const verdict = openssl([
    'verify', '-no-CApath', '-CAfile', caPath, '-untrusted', leafPath, ...purpose, leafPath,
  ]); // prettier-ignore
  t.is(verdict.trim(), `${leafPath}: OK`);
}
