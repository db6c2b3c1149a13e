import {randomBytes} from 'node:crypto';
import test from 'ava';
import type {SecretObject} from '#certificates/apis/resources';
import {heldValue, secretFacts} from '#certificates/controllers/certificates/secret-facts';
import {managedFields} from '#certificates/controllers/certificates/secret-managed-fields';
import {formatCsvLine} from '#certificates/controllers/certificates/certificate-annotations';
import {createSharedValues} from '#certificates/controllers/certificates/shared-values';
import {encodePrivateKey} from '#certificates/x509/keys';
import {aChain} from '#test/certificates/a-chain';

const manager = 'cert-manager-certificates-issuing';

test('secretFacts() says good of a pair that belongs together, with what the leaf says', async t => {
  const chain = await aChain();
  const {keyPair, hasTlsKey, hasTlsCrt} = secretFacts(pair(chain));
  t.like(keyPair, {
    kind: 'good',
    keyAlgorithm: {kind: 'ECDSA', size: 256},
    publicKeyDigest: chain.leaf.publicKeyDigest,
    leaf: {
      names: [{kind: 'dns', value: 'www.example.com'}],
      notBefore: chain.leaf.notBefore,
      notAfter: chain.leaf.notAfter,
      isCa: false,
      isSelfSigned: false,
      serial: chain.leaf.serial.toString('hex'),
    },
  });
  t.deepEqual([hasTlsKey, hasTlsCrt, keyPair.message], [true, true, undefined]);
});

test('secretFacts() tells what is wrong with a pair', async t => {
  const [a, b] = [await aChain(), await aChain()];
  const kindOf = (data: Data): string => secretFacts(secret({data})).keyPair.kind;
  const [key, certificate] = [keyPem(a.key), a.chainPem];
  t.is(kindOf({}), 'missing');
  t.is(kindOf({'tls.key': key}), 'missing');
  t.is(kindOf({'tls.crt': certificate}), 'missing');
  t.is(kindOf({'tls.key': '', 'tls.crt': certificate}), 'missing');
  t.is(kindOf({'tls.key': 'no key', 'tls.crt': certificate}), 'invalid-key');
  t.is(kindOf({'tls.key': key, 'tls.crt': 'no certificate'}), 'invalid-certificate');
  t.is(kindOf({'tls.key': key, 'tls.crt': key}), 'invalid-certificate');
  t.is(kindOf({'tls.key': key, 'tls.crt': b.chainPem}), 'mismatch');
  t.is(
    kindOf({'tls.key': key, 'tls.crt': a.leaf.pem + 'x'.repeat(100_000)}),
    'invalid-certificate',
  );
});

test('secretFacts() knows algorithm and digest of a key that waits for its certificate', async t => {
  const {key, leaf} = await aChain({algorithm: {kind: 'Ed25519'}});
  const labels = {'cert-manager.io/next-private-key': 'true'};
  const facts = secretFacts(secret({labels, data: {'tls.key': keyPem(key)}}));
  t.true(facts.isTemporaryKey);
  t.like(facts.keyPair, {
    kind: 'missing',
    keyAlgorithm: {kind: 'Ed25519'},
    publicKeyDigest: leaf.publicKeyDigest,
  });
});

test('secretFacts() keeps no key material and no values, and about two kilobytes at most', async t => {
  const chain = await aChain({algorithm: {kind: 'RSA', size: 2048}});
  const facts = secretFacts({
    ...pair(chain),
    metadata: {
      ...pair(chain).metadata,
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': 'x'.repeat(200_000),
        'cert-manager.io/common-name': 'www.example.com',
      },
    },
  });
  const text = JSON.stringify(facts);
  const key = keyPem(chain.key).replace(/-----[^-]+-----|\n/gu, '');
  for (let i = 0; i + 24 <= key.length; i += 24) t.false(text.includes(key.slice(i, i + 24)));
  t.true(text.length < 2_048, `${text.length} characters`);
});

test('secretFacts() holds once what many Secrets have alike', async t => {
  const [a, b] = [secretFacts(pair(await aChain())), secretFacts(pair(await aChain()))];
  t.is(a.dataKeys, b.dataKeys);
  t.is(a.managed, b.managed);
  t.is(a.formats, b.formats);
  t.is(a.keyPair.leaf?.issuer, b.keyPair.leaf?.issuer);
});

test('createSharedValues() tells values apart by what they hold, and is bounded', t => {
  const values = createSharedValues({max: 2});
  const share = (value: unknown): unknown => values.share(value);
  const a = {x: 1};
  t.is(share(a), a);
  t.is(share({x: 1}), a);
  t.deepEqual(share({x: 2}), {x: 2});
  t.deepEqual(share([1]), [1]);
  t.not(share({x: 1}), a, 'forgotten when it was full');
});

test('secretFacts() holds long values as digests that heldValue() compares', t => {
  const long = 'v'.repeat(5_000);
  const {labels, annotations} = secretFacts(
    secret({annotations: {'cert-manager.io/x': long, 'cert-manager.io/y': 'short'}}),
  );
  t.deepEqual(annotations, {'cert-manager.io/x': heldValue(long), 'cert-manager.io/y': 'short'});
  t.true(heldValue(long).length < 64);
  t.not(heldValue(`${long}w`), heldValue(long));
  t.deepEqual(labels, {});
});

test('secretFacts() reads nothing again of a version that it knows, nor of data that it knows', async t => {
  const chain = await aChain();
  const first = secretFacts(pair(chain));
  t.is(secretFacts(pair(chain), first), first);
  const labelled = {...pair(chain), metadata: {...pair(chain).metadata, resourceVersion: '2'}};
  const second = secretFacts(labelled, first);
  t.is(second.keyPair, first.keyPair);
  t.is(second.resourceVersion, '2');
  const other = {...labelled, metadata: {...labelled.metadata, uid: 'another'}};
  t.not(secretFacts(other, first).keyPair, first.keyPair);
});

test('secretFacts() compares the formats and annotations with the pair', async t => {
  const chain = await aChain();
  const [key, certificate] = [keyPem(chain.key), chain.chainPem];
  const der = chain.key.export({format: 'der', type: 'pkcs8'});
  const right = secret({
    data: {'tls.key': key, 'tls.crt': certificate, 'key.der': der, 'tls-combined.pem': `${key}\n${certificate}`}, // prettier-ignore
    annotations: {'cert-manager.io/common-name': 'www.example.com', 'cert-manager.io/alt-names': 'other.example.com'}, // prettier-ignore
  });
  const facts = secretFacts(right);
  t.deepEqual(facts.formats, {DER: 'right', CombinedPEM: 'right'});
  t.deepEqual(facts.certificateAnnotations.wrong, ['cert-manager.io/alt-names']);
  const wrong = secret({
    data: {'tls.key': key, 'tls.crt': certificate, 'key.der': 'x', 'tls-combined.pem': certificate},
  });
  t.deepEqual(secretFacts(wrong).formats, {DER: 'wrong', CombinedPEM: 'wrong'});
  t.deepEqual(secretFacts(pair(chain)).formats, {DER: 'absent', CombinedPEM: 'absent'});
});

test('secretFacts() survives whatever stands in a Secret', async t => {
  const chain = await aChain();
  const valid = Buffer.from(chain.chainPem);
  for (let i = 0; i < 300; i++) {
    const damaged = Buffer.from(valid);
    for (const at of randomBytes(3)) damaged[at * 3] = at;
    const data = {'tls.key': randomBytes(i), 'tls.crt': i % 2 === 0 ? damaged : randomBytes(i * 7)};
    t.notThrows(() => secretFacts(secret({data})));
  }
  const strange = {
    ...secret({}),
    data: {a: 1, 'tls.key': null} as unknown as Record<string, string>,
  };
  t.notThrows(() => secretFacts(strange));
});

test('managedFields() finds labels, annotations, data and owners of its manager', t => {
  const managed = managedFields(
    entries({
      'f:metadata': {
        'f:labels': {'.': {}, 'f:a': {}, 'f:example.com/b': {}},
        'f:annotations': {'f:c': {}},
        'f:ownerReferences': {'.': {}, 'k:{"uid":"u-1"}': {'.': {}, 'f:name': {}}},
      },
      'f:data': {'.': {}, 'f:tls.crt': {}, 'f:tls.key': {}},
      'f:type': {},
    }),
    manager,
  );
  t.deepEqual(managed, {
    kind: 'known',
    labels: ['a', 'example.com/b'],
    annotations: ['c'],
    dataKeys: ['tls.crt', 'tls.key'],
    ownerUids: ['u-1'],
  });
});

test('managedFields() counts applies of its manager only, and joins several', t => {
  const fields = (label: string) => ({'f:metadata': {'f:labels': {[`f:${label}`]: {}}}});
  const [entry] = entries(fields('a')).managedFields;
  const managed = managedFields(
    {
      managedFields: [
        entry,
        {...entry, apiVersion: 'v2', fieldsV1: fields('b')},
        {...entry, manager: 'kubectl', fieldsV1: fields('x')},
        {...entry, operation: 'Update', fieldsV1: fields('y')},
        {...entry, subresource: 'status', fieldsV1: fields('z')},
        {...entry, fieldsV1: undefined},
      ],
    },
    manager,
  );
  t.deepEqual(managed.kind === 'known' && managed.labels, ['a', 'b']);
  t.deepEqual(managedFields({}, manager), managedFields({managedFields: []}, manager));
});

const unreadable = test.macro((t, metadata: unknown) => {
  t.is(managedFields(metadata, manager).kind, 'unreadable');
});
test('managedFields() refuses a list that is none', unreadable, {managedFields: 'x'});
test('managedFields() refuses another type of fields', unreadable, {managedFields: [{...entries({}).managedFields[0], fieldsType: 'FieldsV9'}]}); // prettier-ignore
test('managedFields() refuses fields that are a list', unreadable, entries([]));
test('managedFields() refuses metadata that is a text', unreadable, entries({'f:metadata': 'x'}));
test('managedFields() refuses a label without its prefix', unreadable, entries({'f:metadata': {'f:labels': {a: {}}}})); // prettier-ignore
test('managedFields() refuses an owner without a uid', unreadable, entries({'f:metadata': {'f:ownerReferences': {'k:{"name":"x"}': {}}}})); // prettier-ignore
test('managedFields() refuses an owner that is not JSON', unreadable, entries({'f:metadata': {'f:ownerReferences': {'k:{{': {}}}})); // prettier-ignore
test('managedFields() refuses more entries than the API server writes', unreadable, {managedFields: Array.from({length: 2_000}, () => ({}))}); // prettier-ignore
test('managedFields() refuses more keys than fit an object', unreadable, entries({'f:data': Object.fromEntries(Array.from({length: 6_000}, (_, i) => [`f:${i}`, {}]))})); // prettier-ignore

test('managedFields() never throws, whatever it is given', t => {
  const values = [null, 0, 'x', [], {}, [null], {'.': null}, {'f:metadata': {'f:labels': null}}];
  for (const a of values) {
    for (const b of values) {
      t.notThrows(() => managedFields(a, manager));
      t.notThrows(() => managedFields(entries({'f:metadata': a, 'f:data': b}), manager));
      t.notThrows(() => managedFields({managedFields: [a, b]}, manager));
    }
  }
});

test('managedFields() takes nothing from the prototype of objects', t => {
  const managed = managedFields(entries({'f:metadata': {}}), manager);
  t.deepEqual(managed.kind === 'known' && managed.labels, []);
  t.is(managedFields(entries({'f:data': {'f:__proto__': {}}}), manager).kind, 'known');
});

test('formatCsvLine() quotes what would be read otherwise, and nothing else', t => {
  t.is(formatCsvLine(['a', 'b c', 'é']), 'a,b c,é');
  t.is(formatCsvLine(['Example, Inc.', 'say "x"']), '"Example, Inc.","say ""x"""');
  t.is(formatCsvLine([' a', 'b\nc', '\\.']), '" a","b\nc","\\."');
  t.is(formatCsvLine([]), '');
});

type Data = Readonly<Record<string, string | Buffer>>;

function secret({
  data = {},
  labels = {},
  annotations = {},
}: {
  readonly data?: Data;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}): SecretObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {name: 'tls', namespace: 'shop', uid: 'u', resourceVersion: '1', labels, annotations},
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}

type Chain = Awaited<ReturnType<typeof aChain>>;

function pair({key, chainPem}: Chain): SecretObject {
  return secret({data: {'tls.key': keyPem(key), 'tls.crt': chainPem}});
}

function keyPem(key: Chain['key']): string {
  return encodePrivateKey(key, 'PKCS8');
}

function entries(fieldsV1: unknown) {
  const entry = {manager, operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1};
  return {managedFields: [entry]} as const;
}
