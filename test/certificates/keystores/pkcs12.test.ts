import {createHmac, pbkdf2Sync} from 'node:crypto';
import {createSecureContext} from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {CodedError} from '#shared/errors';
import {derivePkcs12} from '#certificates/keystores/pkcs12-kdf';
import {createPkcs12, createPkcs12Truststore} from '#certificates/keystores/pkcs12';
import type {Pkcs12Profile} from '#certificates/keystores/pkcs12-profile';
import {encryptRc2Cbc} from '#certificates/keystores/rc2';
import {DerReader, derTags, readSequence} from '#certificates/x509/der';
import {readObjectIdentifier, readSmallInteger} from '#certificates/x509/der-values';
import {aChain, type AChain} from '#test/certificates/a-chain';
import {hasKeytool, listKeystore, openPkcs12} from '#test/certificates/keystore-tools';
import {testWhere} from '#test/test-where';

const profiles = ['LegacyRC2', 'LegacyDES', 'Modern2023', 'Modern2026'] as const;
const password = 'changeit, ünd "mehr"';

const javaTest = testWhere(hasKeytool, "Java's keytool");

// openssl 3.0 cannot read the newest profile; Node's own OpenSSL and the test below can
const opensslProfiles = profiles.filter(profile => profile !== 'Modern2026');

const readByOpenssl = test.macro({
  title: (_, profile: Pkcs12Profile) =>
    `createPkcs12() makes what openssl reads back whole (${profile})`,
  exec: async (t, profile: Pkcs12Profile) => {
    const chain = await aChain();
    const text = await openssl(t, store(profile, chain), password);
    const blocks = text.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----\n/gu) ?? [];
    t.deepEqual(blocks, [
      chain.leaf.pem,
      chain.intermediate.pem,
      chain.root.pem,
      chain.key.export({format: 'pem', type: 'pkcs8'}).toString(),
    ]);
    const ids = [...text.matchAll(/localKeyID: ([0-9A-F ]+)/gu)].map(([, id]) => id);
    t.is(ids.length, 2, 'the leaf and the key have one, the CAs none');
    t.is(ids[0], ids[1]);
  },
});
for (const profile of opensslProfiles) test(readByOpenssl, profile);

const refusedByOpenssl = test.macro({
  title: (_, profile: Pkcs12Profile) =>
    `createPkcs12() makes what openssl refuses with another password (${profile})`,
  exec: async (t, profile: Pkcs12Profile) => {
    const result = await openPkcs12(store(profile, await aChain()), 'wrong');
    t.not(result.status, 0);
  },
});
for (const profile of opensslProfiles) test(refusedByOpenssl, profile);

test('createPkcs12() in Modern2023 and Modern2026 makes what TLS servers load as it is', async t => {
  const chain = await aChain({algorithm: {kind: 'RSA', size: 2048}});
  for (const profile of ['Modern2023', 'Modern2026'] as const) {
    const pfx = store(profile, chain);
    t.notThrows(() => createSecureContext({pfx, passphrase: password}), profile);
    t.throws(() => createSecureContext({pfx, passphrase: 'wrong'}), {message: /mac/u}, profile);
  }
});

test('createPkcs12() in Modern2026 protects itself by PBMAC1 with PBKDF2 and HMAC-SHA256', async t => {
  const pfx = readSequence(store('Modern2026', await aChain()), 'the file');
  t.is(readSmallInteger(pfx.next(derTags.integer), 'the version'), 3);
  const safe = readSequence(pfx.next(derTags.sequence).encoded, 'the contents');
  safe.next(derTags.objectIdentifier);
  const explicit = new DerReader(safe.next(0xa0).content, 'the contents');
  const contents = explicit.next(derTags.octetString).content;
  const mac = readSequence(pfx.next(derTags.sequence).encoded, 'MacData');
  const digestInfo = readSequence(mac.next(derTags.sequence).encoded, 'DigestInfo');
  const algorithm = readSequence(digestInfo.next(derTags.sequence).encoded, 'the algorithm');
  t.is(oid(algorithm), '1.2.840.113549.1.5.14');
  const parameters = readSequence(algorithm.next(derTags.sequence).encoded, 'PBMAC1');
  const kdf = readSequence(parameters.next(derTags.sequence).encoded, 'PBKDF2');
  t.is(oid(kdf), '1.2.840.113549.1.5.12');
  const kdfParameters = readSequence(kdf.next(derTags.sequence).encoded, 'PBKDF2');
  const salt = kdfParameters.next(derTags.octetString).content;
  t.is(salt.length, 16);
  t.is(readSmallInteger(kdfParameters.next(derTags.integer), 'iterations'), 2048);
  t.is(readSmallInteger(kdfParameters.next(derTags.integer), 'key length'), 32, 'RFC 9579 §5');
  const key = pbkdf2Sync(password, salt, 2048, 32, 'sha256');
  const expected = createHmac('sha256', key).update(contents).digest();
  t.deepEqual(digestInfo.next(derTags.octetString).content, expected);
});

test('createPkcs12() writes a certificate that is in the chain and in the CA once', async t => {
  const chain = await aChain();
  const both = [chain.leaf, chain.intermediate, chain.root];
  const input = {password, key: chain.key, chain: both, ca: [chain.root]} as const;
  const text = await openssl(t, createPkcs12({...input, profile: 'Modern2023'}), password);
  t.is(text.match(/BEGIN CERTIFICATE/gu)?.length, 3);
});

test('createPkcs12() takes Ed25519 and P-521 keys, and characters beyond the basic plane', async t => {
  for (const algorithm of [{kind: 'Ed25519'}, {kind: 'ECDSA', size: 521}] as const) {
    const chain = await aChain({algorithm});
    const secret = 'pässwörd 🔑';
    const pfx = createPkcs12({...common(chain), profile: 'LegacyDES', password: secret});
    t.regex(await openssl(t, pfx, secret), /BEGIN PRIVATE KEY/u);
  }
});

const refuses = test.macro(async (t, text: string) => {
  const chain = await aChain();
  const error = t.throws(
    () => createPkcs12({...common(chain), profile: 'Modern2023', password: text}),
    {instanceOf: CodedError, code: 'ERR_KEYSTORE_INVALID'},
  );
  t.true(text === '' || !error.message.includes(text));
});
test('createPkcs12() refuses an empty password', refuses, '');
test('createPkcs12() refuses a password of a megabyte', refuses, 'x'.repeat(1_000_000));

test('createPkcs12() refuses more certificates than a Secret can hold', async t => {
  const chain = await aChain();
  t.throws(
    () =>
      createPkcs12({
        ...common(chain),
        profile: 'Modern2023',
        password,
        ca: Array.from({length: 1_000}, () => chain.root),
      }),
    {code: 'ERR_KEYSTORE_INVALID'},
  );
});

javaTest('createPkcs12() makes one entry with its chain for keytool', async t => {
  const chain = await aChain();
  for (const profile of opensslProfiles) {
    const pfx = createPkcs12({...common(chain), profile, password: 'changeit'});
    const text = await keytool(t, pfx);
    t.regex(text, /Your keystore contains 1 entry/u, profile);
    t.regex(text, /Entry type: PrivateKeyEntry\nCertificate chain length: 3/u, profile);
  }
});

javaTest('createPkcs12Truststore() makes trusted entries for keytool, one per CA', async t => {
  const [a, b] = [await aChain(), await aChain()];
  for (const profile of ['LegacyRC2', 'Modern2023'] as const) {
    // Two roots of one name: Java would keep the last of one alias.
    const ca = [a.root, b.root, a.intermediate, a.root];
    const text = await keytool(t, createPkcs12Truststore({profile, password: 'changeit', ca}));
    t.regex(text, /Your keystore contains 3 entries/u, profile);
    t.is(text.match(/Entry type: trustedCertEntry/gu)?.length, 3, profile);
    t.regex(text, /Alias name: cn=root,o=example\\, inc\.\n/u, profile);
    t.regex(text, /Alias name: cn=root,o=example\\, inc\. \(2\)\n/u, profile);
  }
});

test('createPkcs12Truststore() tells the subject and any usage in the attributes', async t => {
  const {root} = await aChain();
  const pfx = createPkcs12Truststore({profile: 'Modern2023', password, ca: [root]});
  const text = await openssl(t, pfx, password);
  t.regex(text, /friendlyName: CN=Root,O=Example\\, Inc\./u);
  t.regex(text, /2\.16\.840\.1\.113894\.746875\.1\.1: /u); // keytool's test sees what it says
});

// RFC 2268 §5, the vectors whose key length is the effective length; CBC with a zero vector is one
// block of ECB, and the padding a second block.
test('encryptRc2Cbc() agrees with the vectors of RFC 2268', t => {
  const iv = Buffer.alloc(8);
  const encrypt = (key: string, plaintext: string): string =>
    encryptRc2Cbc({key: hex(key), iv}, hex(plaintext))
      .subarray(0, 8)
      .toString('hex');
  t.is(encrypt('ffffffffffffffff', 'ffffffffffffffff'), '278b27e42e2f0d49');
  t.is(encrypt('3000000000000000', '1000000000000001'), '30649edf9be7d2c2');
  t.is(encrypt('88bca90e90875a7f0f79c384627bafb2', '0000000000000000'), '2269552ab0f85ca6');
});

test('derivePkcs12() derives keys and vectors longer than its digest', t => {
  const salt = hex('0102030405060708');
  const base = {digest: 'sha1', password: 'smeg', salt, iterations: 1} as const;
  const key = derivePkcs12({...base, purpose: 'key', octets: 24});
  const iv = derivePkcs12({...base, purpose: 'iv', octets: 8});
  t.deepEqual([key.length, iv.length], [24, 8]);
  t.deepEqual(derivePkcs12({...base, purpose: 'key', octets: 20}), key.subarray(0, 20));
  t.notDeepEqual(derivePkcs12({...base, purpose: 'mac', octets: 8}), iv);
});

test('createPkcs12() encrypts the key: it can be had with the password only', async t => {
  const chain = await aChain();
  const pfx = store('Modern2023', chain);
  const pkcs8 = chain.key.export({format: 'der', type: 'pkcs8'});
  t.is(pfx.indexOf(pkcs8.subarray(-32)), -1);
  t.is(pfx.indexOf(chain.leaf.der.subarray(-32)), -1, 'certificates neither');
});

function common({key, leaf, intermediate, root}: AChain) {
  return {key, chain: [leaf, intermediate], ca: [root]} as const;
}

function store(profile: Pkcs12Profile, chain: AChain): Buffer {
  return createPkcs12({...common(chain), profile, password});
}

async function openssl(t: ExecutionContext, pfx: Buffer, secret: string): Promise<string> {
  const result = await openPkcs12(pfx, secret);
  t.is(result.status, 0, result.stderr);
  return result.stdout;
}

async function keytool(t: ExecutionContext, pfx: Buffer): Promise<string> {
  const result = await listKeystore(pfx, 'changeit');
  t.is(result.status, 0, result.stdout);
  return result.stdout;
}

const oid = (reader: DerReader): string =>
  readObjectIdentifier(reader.next(derTags.objectIdentifier), 'the algorithm');

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
