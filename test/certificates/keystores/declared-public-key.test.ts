import {randomBytes} from 'node:crypto';
import test from 'ava';
import {declaredPublicKey} from '#certificates/keystores/declared-public-key';
import {
  encodePrivateKey,
  generatePrivateKey,
  keyAlgorithmOf,
  publicKeyDigest,
  type KeyAlgorithm,
} from '#certificates/x509/keys';
import {decodePemBlocks, type PemBlock} from '#certificates/x509/pem';

const agrees = test.macro({
  title: (_, algorithm: KeyAlgorithm) =>
    `declaredPublicKey() agrees with OpenSSL on ${JSON.stringify(algorithm)}, PKCS#1 and PKCS#8`,
  exec: async (t, algorithm: KeyAlgorithm) => {
    const key = await generatePrivateKey(algorithm);
    for (const encoding of ['PKCS1', 'PKCS8'] as const) {
      t.deepEqual(declaredPublicKey(block(encodePrivateKey(key, encoding))), {
        keyAlgorithm: keyAlgorithmOf(key),
        publicKeyDigest: publicKeyDigest(key),
      });
    }
  },
});
test(agrees, {kind: 'RSA', size: 2048});
test(agrees, {kind: 'RSA', size: 3072});
test(agrees, {kind: 'ECDSA', size: 256});
test(agrees, {kind: 'ECDSA', size: 384});
test(agrees, {kind: 'ECDSA', size: 521});

test('declaredPublicKey() says nothing of what is not plainly an RSA or EC key', async t => {
  const key = block(encodePrivateKey(await generatePrivateKey({kind: 'Ed25519'}), 'PKCS8'));
  t.is(declaredPublicKey(key), undefined, 'Ed25519 declares nothing');
  t.is(declaredPublicKey({label: 'CERTIFICATE', der: key.der}), undefined);
  t.is(declaredPublicKey({label: 'RSA PRIVATE KEY', der: key.der}), undefined);
  t.is(declaredPublicKey({label: 'EC PRIVATE KEY', der: Buffer.of()}), undefined);
});

test('declaredPublicKey() survives every cut and any octets, and takes no key that is cut', async t => {
  for (const algorithm of [
    {kind: 'RSA', size: 2048},
    {kind: 'ECDSA', size: 256},
  ] as const) {
    const {label, der} = block(encodePrivateKey(await generatePrivateKey(algorithm), 'PKCS1'));
    for (let length = 0; length < der.length; length++) {
      t.is(declaredPublicKey({label, der: der.subarray(0, length)}), undefined);
    }
    for (let i = 0; i < 500; i++) {
      const damaged = Buffer.from(der);
      damaged[(i * 7) % damaged.length] = i & 0xff;
      t.notThrows(() => declaredPublicKey({label, der: damaged}));
      t.is(declaredPublicKey({label, der: randomBytes(i)}), undefined);
    }
  }
});

function block(pem: string): PemBlock {
  const [first] = decodePemBlocks(pem, {
    what: 'a key',
    labels: ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'],
    maxBytes: 13_000,
    maxBlocks: 1,
  });
  if (first === undefined) throw new Error('there is no block');
  return first;
}
