import test, {type ExecutionContext} from 'ava';
import {createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify} from 'node:crypto';
import {
  decodePrivateKey,
  encodePrivateKey,
  encodePrivateKeyDer,
  generatePrivateKey,
  keyAlgorithmOf,
  publicKeyDigest,
  type KeyAlgorithm,
} from '#certificates/x509/keys';
import {decodePem, encodePem} from '#certificates/x509/pem';
import {fixedKey} from '#test/certificates/fixed-key';
import {openssl} from '#test/certificates/openssl';

const algorithms: readonly (readonly [KeyAlgorithm, pkcs1Label: string])[] = [
  [{kind: 'RSA', size: 2048}, 'RSA PRIVATE KEY'],
  [{kind: 'ECDSA', size: 256}, 'EC PRIVATE KEY'],
  [{kind: 'ECDSA', size: 384}, 'EC PRIVATE KEY'],
  [{kind: 'ECDSA', size: 521}, 'EC PRIVATE KEY'],
  [{kind: 'Ed25519'}, 'PRIVATE KEY'],
];

for (const [algorithm, pkcs1Label] of algorithms) {
  const name = `${algorithm.kind} ${'size' in algorithm ? String(algorithm.size) : ''}`.trim();
  test(`a key ${name} is written in both encodings as openssl reads it, and read back`, async t => {
    const key = await generatePrivateKey(algorithm);
    t.deepEqual(keyAlgorithmOf(key), algorithm);
    for (const encoding of ['PKCS1', 'PKCS8'] as const) {
      const pem = encodePrivateKey(key, encoding);
      const label = encoding === 'PKCS1' ? pkcs1Label : 'PRIVATE KEY';
      t.true(pem.startsWith(`-----BEGIN ${label}-----\n`), encoding);
      t.true(decodePrivateKey(pem).equals(key), encoding);
      t.true(decodePrivateKey(Buffer.from(pem)).equals(key), encoding);
      t.is(encodePem(label, encodePrivateKeyDer(key, encoding)), pem);
      const publicPem = openssl(['pkey', '-pubout'], pem);
      t.is(publicKeyDigest(createPublicKey(publicPem)), publicKeyDigest(key));
    }
  });
}

test('a size of RSA out of range is refused', async t => {
  for (const size of [1024, 2047, 8193, 2048.5, Number.NaN]) {
    await t.throwsAsync(generatePrivateKey({kind: 'RSA', size}), {code: 'ERR_PRIVATE_KEY_INVALID'});
  }
});

test('the digest of a key is that of its public half alone', t => {
  const key = fixedKey('a');
  t.is(publicKeyDigest(key), publicKeyDigest(createPublicKey(key)));
  t.not(publicKeyDigest(key), publicKeyDigest(fixedKey('b')));
  t.regex(publicKeyDigest(key), /^[0-9a-f]{64}$/);
});

test('a key behind curve parameters or before a certificate is read, as Go reads it', t => {
  const pem = openssl(['ecparam', '-genkey', '-name', 'prime256v1']);
  t.true(pem.includes('BEGIN EC PARAMETERS'));
  t.deepEqual(keyAlgorithmOf(decodePrivateKey(pem)), {kind: 'ECDSA', size: 256});
  const key = fixedKey('a');
  const combined = encodePrivateKey(key, 'PKCS8') + encodePem('CERTIFICATE', Buffer.from('any'));
  t.true(decodePrivateKey(combined).equals(key));
});

const refuses = test.macro((t: ExecutionContext, pem: string) => {
  const error = t.throws(() => decodePrivateKey(pem), {code: 'ERR_PRIVATE_KEY_INVALID'});
  const [, secret = 'no text'] = /\n(.{8,64})\n/.exec(pem) ?? [];
  t.false(JSON.stringify([error.message, String(error.cause)]).includes(secret.slice(0, 8)));
  t.is(error.cause, undefined);
});

const good = encodePrivateKey(fixedKey('a'), 'PKCS8');
const weak = (modulusLength: number): string =>
  encodePem('RSA PRIVATE KEY', generateKeyPairSync('rsa', {modulusLength}).privateKey.export({format: 'der', type: 'pkcs1'})); // prettier-ignore

test('no key at all is refused', refuses, '');
test(
  'a certificate instead of a key is refused',
  refuses,
  encodePem('CERTIFICATE', Buffer.alloc(9)),
);
test('two keys are refused', refuses, good + good);
test(
  'an encrypted key is refused',
  refuses,
  openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], good),
);
test('an old encrypted key is refused', refuses, openssl(['ec', '-aes128', '-passout', 'pass:x'], openssl(['ecparam', '-genkey', '-noout', '-name', 'prime256v1']))); // prettier-ignore
test('an RSA key of 512 bits is refused', refuses, weak(512));
test('an RSA key of 8200 bits is refused', refuses, oversized());
test('a key on another curve is refused', refuses, openssl(['ecparam', '-genkey', '-noout', '-name', 'secp256k1'])); // prettier-ignore
test('a key for Ed448 is refused', refuses, openssl(['genpkey', '-algorithm', 'ed448']));
test('a public key is refused', refuses, openssl(['pkey', '-pubout'], good));
test('a key that is cut off is refused', refuses, good.replace('MC4C', 'MC4D'));
test('a key of 13,001 bytes is refused', refuses, good + ' '.repeat(13_001 - good.length));

/** Numbers of the right length that make no key: to find a real one takes half a minute. */
function oversized(): string {
  const number = (octetCount: number): string =>
    Buffer.alloc(octetCount, 0xff).toString('base64url');
  const [n, half] = [number(1025), number(513)];
  const jwk = {kty: 'RSA', e: 'AQAB', n, d: n, p: half, q: half, dp: half, dq: half, qi: half};
  const key = createPrivateKey({key: jwk, format: 'jwk'});
  return encodePem('RSA PRIVATE KEY', key.export({format: 'der', type: 'pkcs1'}));
}

test('an RSA key of 1024 bits, which an old Secret may hold, is read and signs', t => {
  const key = decodePrivateKey(weak(1024));
  const data = Buffer.from('a');
  t.true(verify('sha512', data, createPublicKey(key), sign('sha512', data, key)));
});

const expected = {what: 'a test', labels: ['A B'], maxBytes: 1000, maxBlocks: 2};
const block = encodePem(
  'A B',
  Buffer.from('hello, hello, hello, hello, hello, hello, hello, hello'),
);
const decoded = (text: string | Buffer): readonly string[] => decodePem(text, expected).map(String);

test('PEM is read with any line ends, indents and text around the blocks', t => {
  const once = decoded(block);
  t.is(once.length, 1);
  t.deepEqual(decoded(block.replaceAll('\n', '\r\n')), once);
  t.deepEqual(decoded(block.replaceAll('\n', '\n  ')), once);
  t.deepEqual(decoded(`Bag Attributes: <none>\n${block}-- the end --\n`), once);
  t.deepEqual(decoded(block.trimEnd()), once);
  t.deepEqual(decoded(Buffer.from(block + block)), [...once, ...once]);
  t.deepEqual(decoded(block.replace(/\n(.{10})(.*)\n/, '\n$1\n$2\n')), once);
});

test('PEM that is not right is refused', t => {
  const cases: Readonly<Record<string, string>> = {
    nothing: '',
    'too many blocks': block.repeat(3),
    'too many bytes': block + ' '.repeat(1000),
    'another label': block.replaceAll('A B', 'A C'),
    'another label at the end': block.replace('END A B', 'END A C'),
    'no end': block.replace(/-----END.*/, ''),
    'no beginning': block.replace(/-----BEGIN.*/, ''),
    'a beginning in the middle': block.replace('\n', '\n-----BEGIN A B-----\n'),
    'an empty block': '-----BEGIN A B-----\n-----END A B-----',
    'another character': block.replace('aGVs', 'aGV*'),
    'a length that base64 never has': block.replace('aGVs', 'aGV'),
    'padding in the middle': block.replace('\n', '\nYQ==\n'),
    headers: block.replace('\n', '\nProc-Type: 4,ENCRYPTED\n\n'),
  };
  for (const [what, text] of Object.entries(cases)) {
    t.throws(() => decodePem(text, expected), {code: 'ERR_PEM_INVALID'}, what);
  }
});
