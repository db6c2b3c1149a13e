import {hash} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {createJks, createJksTruststore} from '#certificates/keystores/jks';
import {aChain, type AChain} from '#test/certificates/a-chain';
import {exportKey, hasKeytool, listKeystore} from '#test/certificates/keystore-tools';
import {testWhere} from '#test/test-where';

const password = 'changeit';
const javaTest = testWhere(hasKeytool, "Java's keytool");

javaTest('createJks() makes one key entry with its chain and the CA for keytool', async t => {
  const chain = await aChain();
  const text = await keytool(t, createJks({...input(chain), alias: 'certificate'}));
  t.regex(text, /Keystore type: JKS/u);
  t.regex(text, /Your keystore contains 2 entries/u);
  t.regex(text, /Alias name: certificate\n.*\nEntry type: PrivateKeyEntry\nCertificate chain length: 2/u); // prettier-ignore
  t.regex(text, /Alias name: ca\n.*\nEntry type: trustedCertEntry/u);
  t.regex(text, /Owner: CN=www\.example\.com/u);
});

javaTest('createJks() shrouds a key that Java opens again', async t => {
  const algorithms = [{kind: 'RSA', size: 2048}, {kind: 'Ed25519'}] as const;
  for (const algorithm of algorithms) {
    const chain = await aChain({algorithm});
    const {status, stdout, stderr} = await exportKey(createJks(input(chain)), {alias: 'key', password}); // prettier-ignore
    t.is(status, 0, stderr);
    t.true(stdout.includes(chain.key.export({format: 'pem', type: 'pkcs8'}).toString()));
  }
});

javaTest('createJks() is refused by Java with another password', async t => {
  const {status} = await listKeystore(createJks(input(await aChain())), 'changeit2');
  t.not(status, 0);
});

javaTest('createJks() writes the alias in the lower case that Java looks for', async t => {
  const store = createJks({...input(await aChain()), alias: 'MyÄlias'});
  t.regex(await keytool(t, store), /Alias name: my.{1,2}lias\n/u);
});

javaTest('createJks() does not let the CA replace a key whose alias is ca', async t => {
  const text = await keytool(t, createJks({...input(await aChain()), alias: 'CA'}));
  t.regex(text, /Alias name: ca\n.*\nEntry type: PrivateKeyEntry/u);
  t.regex(text, /Alias name: ca-1\n.*\nEntry type: trustedCertEntry/u);
});

javaTest('createJksTruststore() makes trusted entries ca, ca-1 … and nothing else', async t => {
  const [a, b] = [await aChain(), await aChain()];
  const text = await keytool(t, createJksTruststore({password, ca: [a.root, b.root, a.root]}));
  t.regex(text, /Your keystore contains 2 entries/u);
  t.deepEqual([...text.matchAll(/Alias name: (\S+)/gu)].map(([, alias]) => alias).toSorted(), ['ca', 'ca-1']); // prettier-ignore
  t.false(text.includes('PrivateKeyEntry'));
});

test('createJks() ends with the SHA-1 over password, phrase and contents', async t => {
  const store = createJks(input(await aChain()));
  t.is(store.readUInt32BE(0), 0xfeedfeed);
  t.is(store.readUInt32BE(4), 2);
  const body = store.subarray(0, -20);
  const prefix = Buffer.concat([Buffer.from(password, 'utf16le').swap16(), Buffer.from('Mighty Aphrodite')]); // prettier-ignore
  t.deepEqual(store.subarray(-20), hash('sha1', Buffer.concat([prefix, body]), 'buffer'));
});

test('createJks() writes the alias as modified UTF-8: surrogates one by one, zero as two octets', async t => {
  const store = createJks({...input(await aChain()), alias: 'é\u{1f511}\0'});
  const length = store.readUInt16BE(16);
  t.is(store.subarray(18, 18 + length).toString('hex'), 'c3a9' + 'eda0bd' + 'edb491' + 'c080');
});

test('createJks() dates its entries by the start of the validity', async t => {
  const notBefore = new Date('2026-03-04T05:06:07Z');
  const store = createJks({...input(await aChain({notBefore})), alias: 'a'});
  t.is(Number(store.readBigInt64BE(19)), notBefore.getTime());
});

test('createJks() refuses an empty or overlong alias and password', async t => {
  const chain = input(await aChain());
  const refused = {code: 'ERR_KEYSTORE_INVALID'};
  t.throws(() => createJks({...chain, alias: ''}), refused);
  t.throws(() => createJks({...chain, alias: 'x'.repeat(2_000)}), refused);
  t.throws(() => createJks({...chain, password: ''}), refused);
  t.throws(() => createJksTruststore({password: 'x'.repeat(2_000), ca: []}), refused);
});

function input({key, leaf, intermediate, root}: AChain) {
  return {alias: 'key', password, key, chain: [leaf, intermediate], ca: [root]} as const;
}

async function keytool(t: ExecutionContext, store: Buffer): Promise<string> {
  const {status, stdout} = await listKeystore(store, password);
  t.is(status, 0, stdout);
  return stdout;
}
