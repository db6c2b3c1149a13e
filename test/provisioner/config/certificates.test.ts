import {generateKeyPairSync} from 'node:crypto';
import {chmod} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {loadCluster} from '#provisioner/config/load';
import {ConfigurationError} from '#provisioner/config/problem';
import {aKeyPair} from '#test/a-ca';
import {defaults, load, problemsOf, withSpec, writeFiles, type Files} from './fixture.ts';

const company = aKeyPair();
const SPEC = 'spec.certificates.issuers';
const FILES = {'ca.pem': company.certificate, id_ca: company.privateKey};
const fromFiles = {certificate: {fromFile: 'ca.pem'}, privateKey: {fromFile: 'id_ca'}};

const certificates = (value: Readonly<Record<string, unknown>>, files: Files = {}): Files => ({
  'cluster.yaml': withSpec({certificates: value}),
  ...FILES,
  ...files,
});
const issuers = (...list: readonly Readonly<Record<string, unknown>>[]) =>
  certificates({issuers: list});
const ca = (value: unknown, files: Files = {}) =>
  certificates({issuers: [{name: 'a', ca: value}]}, files);

const refuses = test.macro(async (t: ExecutionContext, files: Files, expected: string[]) => {
  const found = await problemsOf(t, files);
  t.deepEqual(
    found.map(line => line.replace('cluster.yaml ', '')),
    expected,
  );
});

test('an issuer without a kind is refused', refuses, issuers({name: 'a'}), [
  `ERR_CONFIG_VALUE ${SPEC}[0]`,
]);
test(
  'an issuer of two kinds is refused',
  refuses,
  issuers({name: 'a', selfSigned: {}, ca: {generate: {}}}),
  [`ERR_CONFIG_VALUE ${SPEC}[0]`],
);
test('kinds that do not work yet are refused', refuses, issuers({name: 'a', acme: {}}), [
  `ERR_CONFIG_UNKNOWN_KEY ${SPEC}[0].acme`,
]);
test(
  'two issuers of one name are refused, an Issuer of the same name is not',
  refuses,
  issuers(
    {name: 'a', selfSigned: {}},
    {name: 'a', namespace: 'web', selfSigned: {}},
    {name: 'a', selfSigned: {}},
  ),
  [`ERR_CONFIG_DUPLICATE_ISSUER ${SPEC}[2].name`],
);
test(
  'a name that is too long for what is made of it is refused',
  refuses,
  issuers({name: 'a'.repeat(64), selfSigned: {}}),
  [`ERR_CONFIG_VALUE ${SPEC}[0].name`],
);
test(
  'issuers without a controller are refused',
  refuses,
  certificates({enabled: false, issuers: [{name: 'a', selfSigned: {}}]}),
  [`ERR_CONFIG_VALUE ${SPEC}`],
);
test('a CA of nothing is refused', refuses, ca({}), [`ERR_CONFIG_VALUE ${SPEC}[0].ca`]);
test('a CA of two sources is refused', refuses, ca({secretName: 's', generate: {}}), [
  `ERR_CONFIG_VALUE ${SPEC}[0].ca`,
]);
test(
  'a CA certificate without its key is refused',
  refuses,
  ca({certificate: fromFiles.certificate}),
  [`ERR_CONFIG_VALUE ${SPEC}[0].ca`],
);
test('a lifetime of minutes is refused', refuses, ca({generate: {duration: '90m'}}), [
  `ERR_CONFIG_VALUE ${SPEC}[0].ca.generate.duration`,
]);
test(
  'a reference to two places, and one to none, are refused',
  refuses,
  ca({certificate: {fromFile: 'ca.pem', fromEnv: 'CA'}, privateKey: {}}),
  [`ERR_CONFIG_VALUE ${SPEC}[0].ca.certificate`, `ERR_CONFIG_VALUE ${SPEC}[0].ca.privateKey`],
);
test(
  'a variable that is not set and a file that is not there are refused together',
  refuses,
  ca({certificate: {fromFile: 'gone.pem'}, privateKey: {fromEnv: 'NOT_SET'}}),
  [
    `ERR_CONFIG_FILE_MISSING ${SPEC}[0].ca.certificate.fromFile`,
    `ERR_CONFIG_ENVIRONMENT ${SPEC}[0].ca.privateKey.fromEnv`,
  ],
);

const other = aKeyPair();
const leaf = aKeyPair({isCa: false});
const past = aKeyPair({notBefore: new Date(0), notAfter: new Date(86_400_000)});
const future = aKeyPair({notBefore: new Date(Date.now() + 86_400_000), notAfter: new Date(Date.now() + 2 * 86_400_000)}); // prettier-ignore
const encrypted = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: {type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x'},
  publicKeyEncoding: {type: 'spki', format: 'pem'},
}).privateKey;

for (const [what, culprit, files] of [
  ['that is no certificate', 'certificate', {'ca.pem': 'hello'}],
  ['that is no CA', 'certificate', {'ca.pem': leaf.certificate}],
  ['that has ended', 'certificate', {'ca.pem': past.certificate, id_ca: past.privateKey}],
  ['that is not valid yet', 'certificate', {'ca.pem': future.certificate}],
  ['of another key', 'privateKey', {id_ca: other.privateKey}],
  ['whose key is encrypted', 'privateKey', {id_ca: encrypted}],
  ['whose key is none', 'privateKey', {id_ca: 'hello'}],
  ['longer than the controller reads', 'certificate', {'ca.pem': company.certificate.repeat(200)}],
] as const) {
  test(`a CA ${what} is refused`, refuses, ca(fromFiles, files), [
    `ERR_CONFIG_CA_UNUSABLE ${SPEC}[0].ca.${culprit}`,
  ]);
}

test('a key that others may read is refused', async t => {
  const directory = await writeFiles(t, {...defaults, ...ca(fromFiles)});
  await chmod(join(directory, 'id_ca'), 0o644);
  const error = await t.throwsAsync(loadCluster({file: join(directory, 'cluster.yaml')}), {
    instanceOf: ConfigurationError,
  });
  t.is(error.code, 'ERR_CONFIG_KEY_PERMISSIONS');
});

test('a private key in cluster.yaml itself is refused, and not repeated', async t => {
  const files = {...defaults, ...ca({...fromFiles, privateKey: company.privateKey})};
  const error = await t.throwsAsync(load(t, files), {instanceOf: ConfigurationError});
  const body = company.privateKey.split('\n')[1] ?? '';
  t.false(error.message.includes(body));
  t.is(error.code, 'ERR_CONFIG_VALUE');
});

test('commands that make no issuer need no keys', async t => {
  const named = {certificate: {fromFile: 'gone.pem'}, privateKey: {fromEnv: 'NOT_SET'}};
  const cluster = await load(t, ca(named), {secrets: false});
  t.deepEqual(cluster.certificates.issuers[0]?.source, {kind: 'ca-key-pair', keyPair: undefined});
});

test('a loaded key prints as nothing', async t => {
  const cluster = await load(t, ca(fromFiles));
  t.regex(JSON.stringify(cluster), /"privateKey":"\[redacted\]"/);
});

test('without a word about certificates the controller is installed, with no issuer', async t => {
  t.deepEqual((await load(t)).certificates, {enabled: true, issuers: []});
});
