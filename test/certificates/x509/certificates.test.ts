import test from 'ava';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseCertificate} from '#certificates/x509/certificate';
import {createCertificate, type CertificateFields} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import type {GeneralName} from '#certificates/x509/general-names';
import {
  decodePrivateKey,
  encodePrivateKey,
  generatePrivateKey,
  publicKeyDigest,
  type KeyAlgorithm,
} from '#certificates/x509/keys';
import {formatName, parseLiteralSubject} from '#certificates/x509/literal-subject';
import {fixedKey} from '#test/certificates/fixed-key';
import {openssl} from '#test/certificates/openssl';
import {isGolden} from '#test/golden';
import {temporaryFolder} from '#test/temporary-folder';

const caKey = fixedKey('ca');
const leafKey = fixedKey('leaf');
const notBefore = new Date('2026-01-02T03:04:05Z');
const notAfter = new Date('2036-01-02T03:04:05Z');
const web: GeneralName = {kind: 'dns', value: 'web.example.com'};
const serial = Buffer.from('7f000000000000000000000000000000000000ff', 'hex');

const ca = parseCertificate(
  createCertificate({
    subject: subjectName({commonName: 'CA', organizations: ['Test']}),
    names: [],
    publicKey: caKey,
    serial,
    notBefore,
    notAfter,
    usages: ['cert sign', 'crl sign', 'digital signature'],
    isCa: true,
    issuer: {key: caKey},
  }),
);

const leafFields: CertificateFields = {
  subject: subjectName({commonName: 'web.example.com'}),
  names: [web],
  publicKey: leafKey,
  serial,
  notBefore,
  notAfter,
  usages: ['digital signature', 'key encipherment', 'server auth'],
  isCa: false,
  issuer: {key: caKey, certificate: ca},
};

function text(pem: string): string {
  return openssl(['x509', '-noout', '-text', '-nameopt', 'RFC2253,-esc_msb,utf8'], pem);
}

/** openssl's verdict on a chain: `OK`, or the reason against it. */
async function verdict(
  leaf: string,
  {
    roots,
    intermediates = '',
    options = [],
  }: {
    readonly roots: string;
    readonly intermediates?: string;
    readonly options?: readonly string[];
  },
): Promise<string> {
  await using folder = await temporaryFolder();
  const files = {leaf, roots, intermediates};
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder.path, name), content);
  const [leafPath, rootsPath, intermediatesPath] = Object.keys(files).map(name =>
    join(folder.path, name),
  );
  const untrusted = intermediates === '' ? [] : ['-untrusted', intermediatesPath ?? ''];
  try {
    openssl([
      'verify', '-x509_strict', '-no-CApath', '-CAfile', rootsPath ?? '', ...untrusted,
      '-attime', String(notBefore.getTime() / 1000 + 60), ...options, leafPath ?? '',
    ]); // prettier-ignore
    return 'OK';
  } catch (error) {
    return String(error);
  }
}

test('a certificate of a CA: openssl verifies chain and purpose, strictly', async t => {
  const algorithms: readonly KeyAlgorithm[] = [
    {kind: 'RSA', size: 2048},
    {kind: 'ECDSA', size: 256},
    {kind: 'ECDSA', size: 384},
    {kind: 'ECDSA', size: 521},
    {kind: 'Ed25519'},
  ];
  for (const algorithm of algorithms) {
    const own = await generatePrivateKey(algorithm);
    const root = createCertificate({
      ...leafFields,
      subject: subjectName({commonName: 'root'}),
      names: [],
      publicKey: own,
      usages: ['cert sign'],
      isCa: true,
      issuer: {key: own},
    });
    const leaf = createCertificate({
      ...leafFields,
      issuer: {key: own, certificate: parseCertificate(root)},
    });
    const options = ['-purpose', 'sslserver', '-verify_hostname', 'web.example.com'];
    t.is(await verdict(leaf, {roots: root, options}), 'OK', algorithm.kind);
    t.regex(await verdict(leaf, {roots: root, options: ['-purpose', 'smimesign']}), /purpose/);
    t.true(parseCertificate(leaf).isIssuedBy(parseCertificate(root)));
    t.is(parseCertificate(leaf).publicKeyDigest, publicKeyDigest(leafKey));
    t.is(parseCertificate(root).publicKeyDigest, publicKeyDigest(own));
  }
});

test("name constraints of a CA bind what it issues, in openssl's eyes", async t => {
  const root = parseCertificate(
    createCertificate({
      ...leafFields,
      subject: subjectName({commonName: 'bound'}),
      names: [],
      publicKey: caKey,
      usages: ['cert sign'],
      isCa: true,
      nameConstraints: {
        critical: true,
        permitted: {dnsDomains: ['example.com'], ipRanges: ['10.0.0.0/8']},
        excluded: {dnsDomains: ['secret.example.com']},
      },
      issuer: {key: caKey},
    }),
  );
  const issue = (name: GeneralName): Promise<string> =>
    verdict(
      createCertificate({
        ...leafFields,
        subject: [],
        names: [name],
        issuer: {key: caKey, certificate: root},
      }),
      {roots: root.pem},
    );
  t.is(await issue(web), 'OK');
  t.is(await issue({kind: 'ip', value: '10.9.9.9'}), 'OK');
  t.regex(await issue({kind: 'dns', value: 'example.org'}), /permitted subtree/);
  t.regex(await issue({kind: 'dns', value: 'a.secret.example.com'}), /excluded subtree/);
  t.regex(await issue({kind: 'ip', value: '192.0.2.1'}), /permitted subtree/);
});

test('a leaf under an intermediate: openssl finds the way, with names in any string type', async t => {
  await using folder = await temporaryFolder();
  const [keyPath, configPath] = [join(folder.path, 'key'), join(folder.path, 'config')];
  writeFileSync(keyPath, encodePrivateKey(caKey, 'PKCS8'));
  for (const mask of ['MASK:0x0004', 'MASK:0x0800', 'MASK:0x0100', 'MASK:0x2000']) {
    writeFileSync(
      configPath,
      `[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\nutf8=yes\nstring_mask=${mask}\n` +
        '[dn]\nO=Übung & Co\nCN=a@b\n[ext]\nbasicConstraints=critical,CA:true\n' +
        'keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n',
    );
    const root = openssl([
      'req',
      '-x509',
      '-new',
      '-key',
      keyPath,
      '-config',
      configPath,
      '-days',
      '9',
    ]);
    const parsed = parseCertificate(root);
    t.is(formatName(parsed.subject), 'CN=a@b,O=Übung & Co', mask);
    const middleKey = fixedKey('middle');
    const middle = createCertificate({
      ...leafFields,
      subject: subjectName({commonName: 'middle'}),
      names: [],
      publicKey: middleKey,
      usages: ['cert sign'],
      isCa: true,
      issuer: {key: caKey, certificate: parsed},
    });
    const leaf = createCertificate({
      ...leafFields,
      issuer: {key: middleKey, certificate: parseCertificate(middle)},
    });
    const now = ['-attime', String(parsed.notBefore.getTime() / 1000 + 1)];
    const chain = {roots: root, intermediates: middle, options: now};
    t.is(await verdict(leaf, chain), 'OK', mask);
  }
});

test('openssl and we agree on every field of a certificate', t => {
  const pem = createCertificate({
    ...leafFields,
    crlDistributionPoints: ['http://crl.example/1', 'http://crl.example/2'],
    ocspServers: ['http://ocsp.example'],
    issuingCertificateUrls: ['http://ca.example/ca.crt'],
  });
  const lines = text(pem)
    .split('\n')
    .map(line => line.trim());
  const after = (title: string): string => lines[lines.indexOf(title) + 1] ?? '';
  t.is(after('X509v3 Key Usage: critical'), 'Digital Signature, Key Encipherment');
  t.is(after('X509v3 Extended Key Usage:'), 'TLS Web Server Authentication');
  t.is(after('X509v3 Basic Constraints: critical'), 'CA:FALSE');
  t.is(after('X509v3 Subject Alternative Name:'), 'DNS:web.example.com');
  t.deepEqual(
    lines.filter(line => line.includes('URI:')),
    [
      'OCSP - URI:http://ocsp.example',
      'CA Issuers - URI:http://ca.example/ca.crt',
      'URI:http://crl.example/1',
      'URI:http://crl.example/2',
    ],
  );
  t.true(lines.includes('Not Before: Jan  2 03:04:05 2026 GMT'));
  t.true(lines.includes('Not After : Jan  2 03:04:05 2036 GMT'));
  const parsed = parseCertificate(pem);
  const hex = (octets?: Buffer): string =>
    octets?.toString('hex').replaceAll(/..(?=.)/g, '$&:') ?? '';
  t.is(after('X509v3 Subject Key Identifier:'), hex(parsed.subjectKeyId).toUpperCase());
  t.is(after('X509v3 Authority Key Identifier:'), hex(ca.subjectKeyId).toUpperCase());
  t.deepEqual(parsed.authorityKeyId, ca.subjectKeyId);
  t.is(after('Serial Number:'), hex(parsed.serial));
  t.deepEqual([parsed.notBefore, parsed.notAfter], [notBefore, notAfter]);
  t.deepEqual(parsed.usages, leafFields.usages);
  t.deepEqual(parsed.names, [web]);
  t.deepEqual(
    [parsed.isCa, ca.isCa, parsed.isSelfSigned, ca.isSelfSigned],
    [false, true, false, true],
  );
  t.is(parsed.pem, pem);
  t.deepEqual(parseCertificate(parsed.der).der, parsed.der);
});

test('times are UTCTime up to 2049 and GeneralizedTime from 2050 on', t => {
  const pem = createCertificate({
    ...leafFields,
    notBefore: new Date('2049-12-31T23:59:59.999Z'),
    notAfter: new Date('2050-01-01T00:00:00.500Z'),
  });
  const found = openssl(['asn1parse'], pem);
  t.regex(found, /UTCTIME {11}:491231235959Z/);
  t.regex(found, /GENERALIZEDTIME {3}:20500101000000Z/);
  const {notBefore: from, notAfter: to} = parseCertificate(pem);
  t.deepEqual([from, to].map(Number), [Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1)]);
});

test('times that no certificate has are refused', t => {
  const cases: readonly (readonly [string, string])[] = [
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00Z', '+010000-01-01T00:00:00Z'],
    ['1949-12-31T23:59:59Z', '2026-01-01T00:00:00Z'],
    ['2026-01-01T00:00:00Z', 'never'],
  ];
  for (const [from, to] of cases) {
    const fields = {...leafFields, notBefore: new Date(from), notAfter: new Date(to)};
    t.throws(() => createCertificate(fields), {code: 'ERR_REQUEST_INVALID'}, to);
  }
});

test('serial numbers are positive, in their shortest form, of 20 octets, and never the same', t => {
  const {serial: _, ...withoutSerial} = leafFields;
  const serials = Array.from(
    {length: 40},
    () => parseCertificate(createCertificate(withoutSerial)).serial,
  );
  for (const {length, 0: first = 0} of serials) t.true(length === 20 && first > 0 && first < 0x80);
  t.is(new Set(serials.map(octets => octets.toString('hex'))).size, 40);
});

test('a URL of the issuer that cannot be encoded is refused', t => {
  const urls = ['http://bücher.example'];
  for (const field of ['crlDistributionPoints', 'ocspServers', 'issuingCertificateUrls']) {
    t.throws(() => createCertificate({...leafFields, [field]: urls}), {code: 'ERR_NAME_INVALID'});
  }
});

test('a name whose value no software reads is not issued', t => {
  const number = [[{oid: '2.5.4.3', value: '020101', stringType: 'der'}]] as const;
  const broken = [[{oid: '2.5.4.3', value: '1c0161', stringType: 'der'}]] as const;
  for (const subject of [number, broken]) {
    t.throws(() => createCertificate({...leafFields, subject}), {code: 'ERR_NAME_INVALID'});
  }
});

test('the same certificate is the same file in every run', t => {
  const pem = createCertificate({
    ...leafFields,
    subject: parseLiteralSubject('UID=7,CN=Grüße\\, Welt,OU=a+OU=b,O=Test,C=DE'),
    names: [web, {kind: 'ip', value: '2001:db8::1'}],
    nameConstraints: {permitted: {uriDomains: ['.example.com']}},
    crlDistributionPoints: ['http://crl.example'],
    ocspServers: ['http://ocsp.example'],
  });
  isGolden(t, pem, new URL('golden/certificate.pem', import.meta.url));
});

test('certificates made by openssl are read: old versions, unknown extensions, unusual keys', async t => {
  await using folder = await temporaryFolder();
  const keyPath = join(folder.path, 'key.pem');
  const make = (key: readonly string[], options: readonly string[] = []): string => {
    openssl(['genpkey', ...key, '-out', keyPath]);
    return openssl(['req', '-x509', '-new', '-key', keyPath, '-subj', '/CN=a/O=b', ...options]);
  };
  const ec = (curve: string): readonly string[] => [
    '-algorithm',
    'EC',
    '-pkeyopt',
    `ec_paramgen_curve:${curve}`,
  ];
  make(ec('P-256'));
  const original = decodePrivateKey(readFileSync(keyPath));
  openssl(['ec', '-in', keyPath, '-conv_form', 'compressed', '-out', keyPath]);
  const compressed = openssl(['req', '-x509', '-key', keyPath, '-subj', '/CN=a/O=b']);
  const compressedKey = decodePrivateKey(readFileSync(keyPath));
  const certificates = [
    compressed,
    make(ec('secp256k1')),
    make(['-algorithm', 'Ed448']),
    make(['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048']),
    make(ec('P-384'), ['-addext', 'certificatePolicies=1.2.3.4', '-addext', '1.2.3.4=DER:0500']),
    make(ec('P-256'), ['-set_serial', '-5']),
    make(ec('P-256'), ['-addext', 'subjectAltName=RID:1.2.3.4,otherName:1.2.3;IA5:x']),
  ];
  for (const pem of certificates) {
    const parsed = parseCertificate(pem);
    t.is(formatName(parsed.subject), 'O=b,CN=a');
    t.true(parsed.isSelfSigned);
    t.is(parsed.publicKeyDigest.length, 64);
    t.is(parsed.publicKey.type, 'public');
  }
  const {publicKey, publicKeyDigest: digest} = parseCertificate(compressed);
  t.regex(openssl(['x509', '-noout', '-text'], compressed), /pub:\n +0[23]:/);
  t.is(digest, publicKeyDigest(original));
  t.is(digest, publicKeyDigest(compressedKey));
  t.is(digest, publicKeyDigest(publicKey));
});

test('what is no certificate is refused', t => {
  const pem = createCertificate(leafFields);
  const {der} = parseCertificate(pem);
  const cases: Readonly<Record<string, string | Buffer>> = {
    'no text': '',
    'no octets': Buffer.alloc(0),
    'two certificates': pem + pem,
    'a request': pem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST'),
    'too long a text': pem + '\n'.repeat(40_000),
    'too many octets': Buffer.concat([Buffer.from([0x30]), Buffer.alloc(40_000)]),
    'cut off': der.subarray(0, -1),
    'followed by an octet': Buffer.concat([der, Buffer.from([0])]),
    'indefinite length': Buffer.concat([
      Buffer.from('3080', 'hex'),
      der.subarray(4),
      Buffer.alloc(2),
    ]),
    'a longer length than needed': Buffer.concat([Buffer.from('308300', 'hex'), der.subarray(2)]),
  };
  for (const [what, input] of Object.entries(cases)) {
    t.throws(() => parseCertificate(input), {code: 'ERR_CERTIFICATE_INVALID'}, what);
  }
});

test('an extension that comes twice is refused', t => {
  const {der} = parseCertificate(createCertificate({...leafFields, usages: ['server auth']}));
  // The key's own extension becomes a second one for the authority: same length, other last octet.
  const hex = der.toString('hex').replace('0603551d0e0416', '0603551d230416');
  t.not(hex, der.toString('hex'));
  t.throws(() => parseCertificate(Buffer.from(hex, 'hex')), {code: 'ERR_CERTIFICATE_INVALID'});
});
