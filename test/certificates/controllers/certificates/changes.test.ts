import test from 'ava';
import * as kinds from '#certificates/apis/resources';
import {NAMESPACE, aWorld} from '#test/certificates/a-world';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

test('a certificate is renewed when a third of its life remains, and its old request goes', async t => {
  const world = await aWorld();
  world.order('web', {duration: '2160h'});
  await world.settle();
  t.is(world.certificate('web')?.status?.renewalTime, '2026-04-30T00:00:00Z');
  t.is(world.certificate('web')?.status?.notAfter, '2026-05-30T00:00:00Z');
  t.is(world.dueAt('web')?.toISOString(), '2026-04-30T00:00:00.000Z');
  await world.advance(60 * DAY_MS - 1_000);
  t.is(world.certificate('web')?.status?.revision, 1);
  world.api.writes.length = 0;
  await world.advance(1_000);
  t.is(world.certificate('web')?.status?.revision, 2);
  t.is(world.certificate('web')?.status?.notAfter, '2026-07-29T00:00:00Z');
  t.deepEqual(
    world.requestsOf('web').map(({metadata}) => metadata.name),
    ['web-2'],
  );
  t.is(world.writes().length, 8);
  t.true(
    world.told.some(({reason, message}) => reason === 'Issuing' && message.startsWith('Renewing')),
  );
});

test('readiness stays True while a certificate waits to be renewed, and says for what', async t => {
  const world = await aWorld();
  world.order('web', {duration: '3h', renewBefore: '2h'});
  await world.settle();
  world.api.remove(kinds.clusterIssuers, 'ca');
  await world.advance(HOUR_MS);
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.regex(
    world.condition('web', 'Ready')?.message ?? '',
    /up to date.*; CertificateRequest "web-2" is pending/,
  );
  t.like(world.condition('web', 'Issuing'), {status: 'True', reason: 'Renewing'});
  await world.advance(2 * HOUR_MS);
  t.like(world.condition('web', 'Ready'), {status: 'False', reason: 'Expired'});
});

for (const [title, change, reason] of [
  ['a DNS name', {dnsNames: ['web.example.com', 'www.example.com']}, 'RequestChanged'],
  ['the common name', {commonName: 'web.example.com'}, 'RequestChanged'],
  ['an IP address', {ipAddresses: ['10.0.0.1']}, 'RequestChanged'],
  ['a URI', {uris: ['spiffe://cluster/web']}, 'RequestChanged'],
  ['an e-mail address', {emailAddresses: ['web@example.com']}, 'RequestChanged'],
  ['the subject', {subject: {organizations: ['Example']}}, 'RequestChanged'],
  ['the duration', {duration: '100h'}, 'RequestChanged'],
  ['usages', {usages: ['server auth']}, 'RequestChanged'],
  ['isCA', {isCA: true}, 'RequestChanged'],
  ['the key algorithm', {privateKey: {algorithm: 'Ed25519'}}, 'SecretMismatch'],
  ['the key size', {privateKey: {algorithm: 'ECDSA', size: 384}}, 'SecretMismatch'],
  ['the issuer', {issuerRef: {name: 'self', kind: 'ClusterIssuer'}}, 'IncorrectIssuer'],
  ['the name of the Secret', {secretName: 'other'}, 'DoesNotExist'],
] as const) {
  test(`a change of ${title} issues again, because of ${reason}`, async t => {
    const world = await aWorld();
    world.order('web');
    await world.settle();
    world.told.length = 0;
    world.order('web', change);
    await world.settle();
    t.is(world.certificate('web')?.status?.revision, 2);
    t.like(world.condition('web', 'Ready'), {status: 'True', observedGeneration: 2});
    t.deepEqual(world.errors, []);
  });
}

for (const [title, change] of [
  ['the order of DNS names', {dnsNames: ['b.example.com', 'a.example.com']}],
  ['renewBefore', {renewBefore: '1h'}],
  ['the history limit', {revisionHistoryLimit: 3}],
  ['default usages that are written out', {usages: ['digital signature', 'key encipherment']}],
  ['the default duration that is written out', {duration: '2160h'}],
  ['the encoding of the key', {privateKey: {algorithm: 'ECDSA', encoding: 'PKCS8'}}],
  ['labels of the Secret', {secretTemplate: {labels: {team: 'a'}}}],
  [
    'issuer defaults that are written out',
    {issuerRef: {name: 'ca', kind: 'ClusterIssuer', group: 'cert-manager.io'}},
  ],
] as const) {
  test(`a change of ${title} does not issue again`, async t => {
    const world = await aWorld();
    world.order('web', {dnsNames: ['a.example.com', 'b.example.com']});
    await world.settle();
    world.order('web', {dnsNames: ['a.example.com', 'b.example.com'], ...(change as object)});
    await world.settle();
    t.is(world.certificate('web')?.status?.revision, 1);
    t.like(world.condition('web', 'Ready'), {status: 'True', observedGeneration: 2});
    t.is(world.requestsOf('web').length, 1);
  });
}

test('constraints with ranges written loosely are not issued for ever', async t => {
  const world = await aWorld();
  const permitted = {ipRanges: ['10.1.2.3/8', '2001:DB8::/32'], dnsDomains: ['example.com']};
  world.order('web', {isCA: true, commonName: 'sub', nameConstraints: {critical: true, permitted}});
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.is(world.requestsOf('web').length, 1);
});

test('a deleted Secret is issued again with a new key', async t => {
  const world = await aWorld();
  world.order('web');
  await world.settle();
  const key = world.secret('web-tls')?.data?.['tls.key'];
  world.api.remove(kinds.secrets, `${NAMESPACE}/web-tls`);
  await world.settle();
  t.is(world.certificate('web')?.status?.revision, 2);
  t.truthy(world.secret('web-tls')?.data?.['tls.key']);
  t.not(world.secret('web-tls')?.data?.['tls.key'], key);
});

for (const [title, data, reason] of [
  ['without a key', {'tls.key': ''}, 'MissingData'],
  ['without a certificate', {'tls.crt': ''}, 'MissingData'],
  ['with a broken key', {'tls.key': 'bm9uZQ=='}, 'InvalidKeyPair'],
  ['with a broken certificate', {'tls.crt': 'bm9uZQ=='}, 'InvalidCertificate'],
] as const) {
  test(`a Secret ${title} is issued again`, async t => {
    const world = await aWorld();
    world.order('web');
    await world.settle();
    world.told.length = 0;
    const secret = world.secret('web-tls');
    if (secret === undefined) return t.fail();
    world.put(kinds.secrets, {...secret, data: {...secret.data, ...data}});
    t.like(await world.decision('web'), {kind: 'begin-issuing', violation: {reason}});
    await world.settle();
    t.is(world.certificate('web')?.status?.revision, 2);
    t.like(world.condition('web', 'Ready'), {status: 'True'});
    return undefined;
  });
}

test('labels and annotations that somebody removed come back without an issuance', async t => {
  const world = await aWorld();
  world.order('web', {secretTemplate: {labels: {team: 'a'}, annotations: {note: 'b'}}});
  await world.settle();
  const secret = world.secret('web-tls');
  if (secret === undefined) return t.fail();
  const labels = {...secret.metadata.labels, team: 'someone else'};
  world.put(kinds.secrets, {...secret, metadata: {...secret.metadata, labels}});
  await world.settle();
  t.is(world.secret('web-tls')?.metadata.labels?.['team'], 'a');
  t.is(world.certificate('web')?.status?.revision, 1);
  t.is(world.secret('web-tls')?.data?.['tls.crt'], secret.data?.['tls.crt']);
  return undefined;
});

test('a tool that fights over a Secret is answered five times a minute, and told about', async t => {
  const world = await aWorld();
  world.order('web', {secretTemplate: {labels: {team: 'a'}}});
  await world.settle();
  const spoil = async (): Promise<void> => {
    const secret = world.secret('web-tls');
    if (secret === undefined) throw new Error('no Secret');
    const labels = {...secret.metadata.labels, team: 'b'};
    world.put(kinds.secrets, {...secret, metadata: {...secret.metadata, labels}});
    await world.settle();
  };
  world.api.writes.length = 0;
  for (let i = 0; i < 20; i += 1) await spoil();
  t.is(world.writes().filter(write => write.startsWith('apply Secret')).length, 5);
  t.regex(world.condition('web', 'Ready')?.message ?? '', /again and again/);
  await world.advance(60_000);
  t.is(world.secret('web-tls')?.metadata.labels?.['team'], 'a');
});

test('a Secret that is spoilt as soon as it is written is not issued without end', async t => {
  const world = await aWorld();
  world.order('web');
  await world.settle();
  for (let i = 0; i < 30; i += 1) {
    const secret = world.secret('web-tls');
    if (secret === undefined) return t.fail();
    world.put(kinds.secrets, {...secret, data: {...secret.data, 'tls.key': 'bm9uZQ=='}});
    await world.settle();
  }
  t.true((world.certificate('web')?.status?.revision ?? 0) <= 10);
  t.regex(world.condition('web', 'Ready')?.message ?? '', /issued too often/);
  const before = world.certificate('web')?.status?.revision ?? 0;
  await world.advance(11 * 60_000);
  t.is(world.certificate('web')?.status?.revision, before + 1);
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  return undefined;
});

test('rotationPolicy Never keeps the key through a renewal', async t => {
  const world = await aWorld();
  const spec = {
    duration: '2h',
    renewBefore: '1h',
    privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'},
  } as const;
  world.order('web', spec);
  await world.settle();
  const key = world.secret('web-tls')?.data?.['tls.key'];
  const chain = world.secret('web-tls')?.data?.['tls.crt'];
  await world.advance(HOUR_MS);
  t.is(world.certificate('web')?.status?.revision, 2);
  t.is(world.secret('web-tls')?.data?.['tls.key'], key);
  t.not(world.secret('web-tls')?.data?.['tls.crt'], chain);
  t.true(world.told.some(({reason}) => reason === 'Reused'));
});

test('rotationPolicy Never and another key size: it waits, and says what to do', async t => {
  const world = await aWorld();
  world.order('web', {privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'}});
  await world.settle();
  world.order('web', {privateKey: {algorithm: 'ECDSA', size: 384, rotationPolicy: 'Never'}});
  await world.settle();
  t.is(world.certificate('web')?.status?.revision, 1);
  t.regex(
    world.condition('web', 'Issuing')?.message ?? '',
    /rotationPolicy is Never; set it to Always/,
  );
  t.like(world.condition('web', 'Ready'), {status: 'False', reason: 'SecretMismatch'});
  t.is(world.told.filter(({reason}) => reason === 'CannotRegenerateKey').length, 1);
  world.order('web', {privateKey: {algorithm: 'ECDSA', size: 384, rotationPolicy: 'Always'}});
  await world.settle();
  t.is(world.certificate('web')?.status?.revision, 2);
  t.like(world.condition('web', 'Ready'), {status: 'True'});
});

test('rotationPolicy Never and a key that nobody can read: a new one is made, with a warning', async t => {
  const world = await aWorld();
  world.order('web', {privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'}});
  await world.settle();
  const secret = world.secret('web-tls');
  if (secret === undefined) return t.fail();
  world.put(kinds.secrets, {...secret, data: {...secret.data, 'tls.key': 'bm9uZQ=='}});
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.true(world.told.some(({type, reason}) => type === 'Warning' && reason === 'DecodeFailed'));
  return undefined;
});
