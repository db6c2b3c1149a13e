import test from 'ava';
import {generateKeyPairSync} from 'node:crypto';
import {usageSchema} from '#certificates/apis/usages';
import {createSigningRequest, parseSigningRequest} from '#certificates/x509/certificate-request';
import {subjectName} from '#certificates/x509/distinguished-name';
import type {GeneralName} from '#certificates/x509/general-names';
import {encodePrivateKey, generatePrivateKey, type KeyAlgorithm} from '#certificates/x509/keys';
import {formatName, parseLiteralSubject} from '#certificates/x509/literal-subject';
import {fixedKey} from '#test/certificates/fixed-key';
import {openssl} from '#test/certificates/openssl';
import {isGolden} from '#test/golden';
import {temporaryFolder} from '#test/temporary-folder';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';

const key = fixedKey('request');
const subject = subjectName({commonName: 'web'});
const dns = (value: string): GeneralName => ({kind: 'dns', value});

/** openssl's account of a request whose signature it found to be right. */
function verifiedText(pem: string): string {
  return openssl(['req', '-verify', '-noout', '-text', '-nameopt', 'RFC2253,-esc_msb,utf8'], pem);
}

/** The line below the one that begins with a title. */
function below(text: string, title: string): string {
  const lines = text.split('\n').map(line => line.trim());
  return lines[lines.findIndex(line => line.startsWith(title)) + 1] ?? '';
}

const allNames: readonly GeneralName[] = [
  dns('*.example.com'),
  dns('xn--bcher-kva.example'),
  {kind: 'email', value: 'ops@example.com'},
  {kind: 'ip', value: '192.0.2.7'},
  {kind: 'ip', value: '2001:DB8:0:0::1'},
  {kind: 'uri', value: 'spiffe://cluster.local/ns/a/sa/b'},
  {kind: 'other', oid: '1.3.6.1.4.1.311.20.2.3', value: 'jürgen@example.com'},
];

const algorithms: readonly {
  readonly algorithm: KeyAlgorithm;
  readonly key: string;
  readonly signature: string;
}[] = [
  {algorithm: {kind: 'RSA', size: 2048}, key: '2048 bit', signature: 'sha256WithRSAEncryption'},
  {algorithm: {kind: 'RSA', size: 3072}, key: '3072 bit', signature: 'sha384WithRSAEncryption'},
  {algorithm: {kind: 'ECDSA', size: 256}, key: 'NIST CURVE: P-256', signature: 'ecdsa-with-SHA256'},
  {algorithm: {kind: 'ECDSA', size: 384}, key: 'NIST CURVE: P-384', signature: 'ecdsa-with-SHA384'},
  {algorithm: {kind: 'ECDSA', size: 521}, key: 'NIST CURVE: P-521', signature: 'ecdsa-with-SHA512'},
  {algorithm: {kind: 'Ed25519'}, key: 'ED25519', signature: 'ED25519'},
];

for (const {algorithm, key: keyText, signature} of algorithms) {
  const name = `${algorithm.kind} ${'size' in algorithm ? algorithm.size.toString() : ''}`;
  test(`a request with ${name}: openssl verifies it and finds what was asked for`, async t => {
    const own = await generatePrivateKey(algorithm);
    const text = verifiedText(
      createSigningRequest({subject, names: [dns('web.example')], key: own}),
    );
    t.true(text.includes(keyText), text);
    t.true(text.includes(`Signature Algorithm: ${signature}`), text);
    t.is(below(text, 'X509v3 Subject Alternative Name:'), 'DNS:web.example');
  });
}

test('a request for a key of 4096 bits is signed with SHA-512, and as named with another', t => {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 4096});
  const request = (signatureAlgorithm?: string): string =>
    verifiedText(createSigningRequest({subject, names: [], key: privateKey, signatureAlgorithm}));
  t.true(request().includes('sha512WithRSAEncryption'));
  t.true(request('SHA256WithRSA').includes('sha256WithRSAEncryption'));
});

test('a request for a signature algorithm that the key cannot do is refused', t => {
  for (const signatureAlgorithm of ['SHA256WithRSA', 'ECDSAWithSHA256', 'MD5', 'toString']) {
    const make = (): string => createSigningRequest({subject, names: [], key, signatureAlgorithm});
    t.throws(make, {code: 'ERR_REQUEST_INVALID'}, signatureAlgorithm);
  }
});

test('all kinds of names come out as they went in, for openssl and for us', t => {
  const pem = createSigningRequest({subject, names: allNames, key});
  const parsed = parseSigningRequest(pem);
  t.deepEqual(
    parsed.names,
    allNames.map(name =>
      name.kind === 'ip' ? {...name, value: name.value.replace('DB8:0:0::1', 'db8::1')} : name,
    ),
  );
  t.is(
    below(verifiedText(pem), 'X509v3 Subject Alternative Name:'),
    'DNS:*.example.com, DNS:xn--bcher-kva.example, email:ops@example.com, IP Address:192.0.2.7, ' +
      'IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://cluster.local/ns/a/sa/b, ' +
      'othername: UPN::jürgen@example.com',
  );
});

test('names are critical exactly when the subject is empty', t => {
  const names = [dns('a.example')];
  const title = 'X509v3 Subject Alternative Name:';
  t.true(
    verifiedText(createSigningRequest({subject: [], names, key})).includes(`${title} critical`),
  );
  t.false(verifiedText(createSigningRequest({subject, names, key})).includes(`${title} critical`));
});

test('every usage word of the API is encoded as openssl knows it, and read back', t => {
  const expected: Readonly<Record<string, string>> = {
    signing: 'Digital Signature',
    'digital signature': 'Digital Signature',
    'content commitment': 'Non Repudiation',
    'key encipherment': 'Key Encipherment',
    'data encipherment': 'Data Encipherment',
    'key agreement': 'Key Agreement',
    'cert sign': 'Certificate Sign',
    'crl sign': 'CRL Sign',
    'encipher only': 'Encipher Only',
    'decipher only': 'Decipher Only',
    any: 'Any Extended Key Usage',
    'server auth': 'TLS Web Server Authentication',
    'client auth': 'TLS Web Client Authentication',
    'code signing': 'Code Signing',
    'email protection': 'E-mail Protection',
    's/mime': 'E-mail Protection',
    'ipsec end system': 'IPSec End System',
    'ipsec tunnel': 'IPSec Tunnel',
    'ipsec user': 'IPSec User',
    timestamping: 'Time Stamping',
    'ocsp signing': 'OCSP Signing',
    'microsoft sgc': 'Microsoft Server Gated Crypto',
    'netscape sgc': 'Netscape Server Gated Crypto',
  };
  t.deepEqual(Object.keys(expected).toSorted(), usageSchema.enum.toSorted());
  const same: Readonly<Record<string, string>> = {
    signing: 'digital signature',
    's/mime': 'email protection',
  };
  for (const [word, text] of Object.entries(expected)) {
    const pem = createSigningRequest({subject, names: [], usages: [word], key});
    const found = verifiedText(pem);
    const title = found.includes('X509v3 Key Usage: critical')
      ? 'X509v3 Key Usage: critical'
      : 'X509v3 Extended Key Usage:';
    t.is(below(found, title), text, word);
    t.deepEqual(parseSigningRequest(pem).usages, [same[word] ?? word]);
  }
});

test('key usage has no more octets and bits than it needs', t => {
  const bits = (usages: readonly string[]): string => {
    const der = parseSigningRequest(createSigningRequest({subject, names: [], usages, key})).der;
    const start = der.indexOf(Buffer.from('0603551d0f0101ff04', 'hex')) + 10;
    return der.subarray(start, start + 2 + (der[start + 1] ?? 0)).toString('hex');
  };
  t.is(bits(['digital signature']), '03020780');
  t.is(bits(['digital signature', 'key encipherment']), '030205a0');
  t.is(bits(['cert sign', 'crl sign']), '03020106');
  t.is(bits(['decipher only']), '0303070080');
});

test('a usage that does not exist is refused with the one that was meant', t => {
  const make = (): string =>
    createSigningRequest({subject, names: [], usages: ['server-auth '], key});
  const error = t.throws(make, {code: 'ERR_REQUEST_INVALID'});
  t.true((error as Error & {readonly hint: string}).hint.includes('server auth'));
});

test('a request says what it does not ask for by being without it', t => {
  const parsed = parseSigningRequest(createSigningRequest({subject: [], names: [], key}));
  t.deepEqual([parsed.subject, parsed.names, parsed.usages], [[], [], undefined]);
  t.false('isCa' in parsed || 'nameConstraints' in parsed);
});

test('basic constraints and name constraints come out as they went in', t => {
  const nameConstraints = {
    critical: true,
    permitted: {dnsDomains: ['example.com', ''], ipRanges: ['10.0.0.0/8', '2001:db8::/33']},
    excluded: {emailAddresses: ['.example.org'], uriDomains: ['example.net']},
  };
  const pem = createSigningRequest({subject, names: [], isCa: true, nameConstraints, key});
  const parsed = parseSigningRequest(pem);
  t.true(parsed.isCa);
  t.deepEqual(parsed.nameConstraints, nameConstraints);
  const text = verifiedText(pem);
  t.is(below(text, 'X509v3 Basic Constraints: critical'), 'CA:TRUE');
  const found = text.slice(text.indexOf('X509v3 Name Constraints: critical'));
  t.deepEqual(found.match(/(?:DNS|IP|email|URI):[^\n]*/g), [
    'DNS:example.com',
    'DNS:',
    'IP:10.0.0.0/255.0.0.0',
    'IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:8000:0:0:0:0:0',
    'email:.example.org',
    'URI:example.net',
  ]);
});

test('an IP range with an address inside of it is encoded as its beginning', t => {
  const nameConstraints = {permitted: {ipRanges: ['10.1.2.3/12', '2001:DB8:FFFF::/33']}};
  const pem = createSigningRequest({subject, names: [], nameConstraints, key});
  t.deepEqual(parseSigningRequest(pem).nameConstraints, {
    critical: false,
    permitted: {ipRanges: ['10.0.0.0/12', '2001:db8:8000::/33']},
  });
});

test('names that no certificate can hold are refused', t => {
  const impossible: readonly GeneralName[] = [
    dns('bücher.example'),
    dns(''),
    dns('a b'),
    {kind: 'email', value: 'ü@example.com'},
    {kind: 'uri', value: 'https://bücher.example'},
    {kind: 'ip', value: '10.0.0.0/8'},
    {kind: 'ip', value: '300.1.1.1'},
    {kind: 'ip', value: 'fe80::1%eth0'},
    {kind: 'other', oid: '1.99.x', value: 'a'},
    {kind: 'other', oid: '1.2.3', value: '\ud800'},
    {kind: 'registeredId', value: '3.1'},
    {kind: 'opaque', der: 'a303020100'},
  ];
  for (const name of impossible) {
    const make = (): string => createSigningRequest({subject, names: [name], key});
    t.throws(make, {code: 'ERR_NAME_INVALID'}, JSON.stringify(name));
  }
  const nameConstraints = {permitted: {ipRanges: ['10.0.0.0/33']}};
  t.throws(() => createSigningRequest({subject, names: [], nameConstraints, key}), {
    code: 'ERR_NAME_INVALID',
  });
});

test("a request is octet for octet openssl's own, with RSA and Ed25519", async t => {
  await using folder = await temporaryFolder();
  const [keyPath, configPath] = [join(folder.path, 'key.pem'), join(folder.path, 'request.cnf')];
  writeFileSync(
    configPath,
    `[req]
distinguished_name = dn
req_extensions = ext
prompt = no
string_mask = MASK:0x2002
utf8 = yes
[dn]
C = DE
O = Übung & Söhne
OU = Infra
CN = web.example.com
[ext]
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
basicConstraints = critical, CA:true
subjectAltName = DNS:web.example.com, email:a@example.com, IP:192.0.2.1, IP:2001:db8::1, URI:spiffe://a/b, otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@b
nameConstraints = critical, permitted;DNS:example.com, excluded;IP:10.0.0.0/255.0.0.0
`,
  );
  for (const own of [await generatePrivateKey({kind: 'RSA', size: 2048}), key]) {
    writeFileSync(keyPath, encodePrivateKey(own, 'PKCS8'));
    const theirs = openssl(['req', '-new', '-key', keyPath, '-config', configPath, '-sha256']);
    const ours = createSigningRequest({
      subject: subjectName({
        commonName: 'web.example.com',
        countries: ['DE'],
        organizations: ['Übung & Söhne'],
        organizationalUnits: ['Infra'],
      }),
      names: [
        dns('web.example.com'),
        {kind: 'email', value: 'a@example.com'},
        {kind: 'ip', value: '192.0.2.1'},
        {kind: 'ip', value: '2001:db8::1'},
        {kind: 'uri', value: 'spiffe://a/b'},
        {kind: 'other', oid: '1.3.6.1.4.1.311.20.2.3', value: 'a@b'},
      ],
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
      isCa: true,
      nameConstraints: {
        critical: true,
        permitted: {dnsDomains: ['example.com']},
        excluded: {ipRanges: ['10.0.0.0/8']},
      },
      key: own,
    });
    t.is(ours, theirs);
  }
});

test('the same request is the same file in every run', t => {
  const pem = createSigningRequest({
    subject: parseLiteralSubject('CN=golden,OU=a+OU=b,O=Test,DC=example,DC=com'),
    names: allNames,
    usages: ['digital signature', 'server auth'],
    key,
  });
  isGolden(t, pem, new URL('golden/request.pem', import.meta.url));
});

test("requests made by openssl are read, with PSS, SHA-1, keytool's label and unknown attributes", async t => {
  await using folder = await temporaryFolder();
  const keyPath = join(folder.path, 'key.pem');
  openssl(['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', keyPath]);
  const make = (...options: readonly string[]): string =>
    openssl(['req', '-new', '-key', keyPath, '-subj', '/CN=a/O=b', ...options]);
  const pss = ['-sigopt', 'rsa_padding_mode:pss'];
  const requests = [
    make(),
    make('-sha1'),
    make('-sha384', ...pss),
    make('-sha256', ...pss, '-sigopt', 'rsa_pss_saltlen:10'),
    make('-sha1', ...pss),
    make('-addext', 'tlsfeature=status_request', '-addext', 'certificatePolicies=1.2.3'),
    make().replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'),
    openssl(['req', '-new', '-key', keyPath, '-subj', '/CN=a/O=b', '-text']),
  ];
  for (const request of requests) {
    const parsed = parseSigningRequest(request);
    t.is(formatName(parsed.subject), 'O=b,CN=a');
    t.true(parsed.signatureIsValid());
  }
});

test('a request that was changed after it was signed is read but not believed', t => {
  const {der} = parseSigningRequest(createSigningRequest({subject, names: [dns('aaaa')], key}));
  const changed = Buffer.from(der.toString('latin1').replace('aaaa', 'aaab'), 'latin1');
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${changed.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  const parsed = parseSigningRequest(pem.replace(/[A-Za-z0-9+/]{64}/g, '$&\n'));
  t.deepEqual(parsed.names, [dns('aaab')]);
  t.false(parsed.signatureIsValid());
});

test('what is no request is refused', t => {
  const pem = createSigningRequest({subject, names: [], key});
  const cases: Readonly<Record<string, string>> = {
    'no text': '',
    'a certificate instead': pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'),
    'two of them': pem + pem,
    'no end': pem.slice(0, -10),
    'not base64': pem.replace('A', '?'),
    'too long': pem + ' '.repeat(40_000),
    'an empty sequence':
      '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----',
  };
  for (const [what, text] of Object.entries(cases)) {
    t.throws(() => parseSigningRequest(text), {code: 'ERR_REQUEST_INVALID'}, what);
  }
});
