import test from 'ava';
import * as kinds from '#certificates/apis/resources';
import {EXTERNAL, NAMESPACE, aWorld} from '#test/certificates/a-world';

const HOUR_MS = 3_600_000;

test('two Certificates with one Secret: the older has it, the other says so and looks again', async t => {
  const world = await aWorld();
  world.order('web');
  await world.settle();
  world.clock.advance(5_000);
  world.order('rival', {secretName: 'web-tls'});
  await world.settle();
  t.like(world.condition('rival', 'Ready'), {status: 'False', reason: 'IncorrectCertificate'});
  t.regex(
    world.condition('rival', 'Ready')?.message ?? '',
    /belongs to Certificate "web".*another spec.secretName/,
  );
  t.is(world.condition('rival', 'Issuing'), undefined);
  t.is(world.requestsOf('rival').length, 0);
  t.is(world.dueAt('rival')?.getTime(), world.clock.now().getTime() + 3 * 60_000);
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  world.api.remove(kinds.certificates, `${NAMESPACE}/web`);
  await world.settle();
  t.like(world.condition('rival', 'Ready'), {status: 'True'}, 'its turn came');
});

test('of two new Certificates with one Secret only one issues', async t => {
  const world = await aWorld();
  world.order('b', {secretName: 'shared'});
  world.order('a', {secretName: 'shared'});
  await world.settle();
  t.like(world.condition('a', 'Ready'), {status: 'True'});
  t.like(world.condition('b', 'Ready'), {status: 'False', reason: 'IncorrectCertificate'});
  await world.advance(10 * 60_000);
  t.is(world.requestsOf('b').length, 0);
  t.is(world.certificate('a')?.status?.revision, 1);
});

test('a specification that cannot be carried out: Ready says what to do, and nothing is asked for', async t => {
  const world = await aWorld();
  world.order('web', {duration: 'for ever', dnsNames: ['web.example.com']});
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'False', reason: 'InvalidSpec'});
  t.regex(world.condition('web', 'Ready')?.message ?? '', /spec.duration/);
  t.is(world.requestsOf('web').length, 0);
  t.is(world.dueAt('web'), undefined, 'no busy loop');
  world.order('web');
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
});

test('absurd values never crash: they end in conditions', async t => {
  for (const spec of [
    {duration: '-1h'},
    {duration: '999999999h'},
    {renewBefore: '999999h'},
    {renewBeforePercentage: 0},
    {renewBeforePercentage: 100},
    {renewBeforePercentage: -5},
    {privateKey: {algorithm: 'RSA', size: 7}},
    {privateKey: {algorithm: 'ECDSA', size: 7}},
    {dnsNames: ['*']},
    {dnsNames: []},
    {dnsNames: ['a'.repeat(5_000)]},
    {ipAddresses: ['300.1.1.1']},
    {uris: ['not a uri']},
    {emailAddresses: ['someone <a@b.c>']},
    {literalSubject: '=,=,='},
    {literalSubject: 'CN=ok', commonName: 'not both'},
    {otherNames: [{oid: 'x', utf8Value: 'y'}]},
    {revisionHistoryLimit: -3},
    {renewal: {windows: [{cron: 'x', windowDuration: '1h'}]}},
    {renewal: {windows: [{cron: '0 0 31 2 *', windowDuration: '1h', timezone: 'Mars/Phobos'}]}},
    {usages: ['world domination']},
    {signatureAlgorithm: 'SHA256WithRSA'},
    {nameConstraints: {permitted: {ipRanges: ['x']}}},
    {keystores: {jks: {create: true}, pkcs12: {create: true, password: ''}}},
    {secretName: 'Not A Name'},
    {secretTemplate: {labels: {'cert-manager.io/x': 'y'}}},
  ]) {
    const world = await aWorld();
    world.order('web', spec as object);
    await t.notThrowsAsync(world.settle({retries: 0}), JSON.stringify(spec));
    t.truthy(world.condition('web', 'Ready'), JSON.stringify(spec));
    await t.notThrowsAsync(world.advance(HOUR_MS), JSON.stringify(spec));
    t.true(world.writes().length < 40, JSON.stringify(spec));
  }
});

test('a label of the template that is ours does not keep a certificate from before from its renewal', async t => {
  const world = await aWorld();
  world.order('web', {secretTemplate: {labels: {'cert-manager.io/x': 'y', app: 'web'}}});
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.deepEqual(world.secret('web-tls')?.metadata.labels, {
    app: 'web',
    'controller.cert-manager.io/fao': 'true',
  });
  const before = world.writes().length;
  await world.advance(HOUR_MS);
  t.is(world.writes().length, before);
  await world.advance(90 * 24 * HOUR_MS);
  t.is(world.certificate('web')?.status?.revision, 2);
});

test('a keystore password that is missing is waited for, without asking again and again', async t => {
  const world = await aWorld();
  const reference = {name: 'password', key: 'secret'};
  world.order('web', {
    keystores: {pkcs12: {create: true, profile: 'Modern2023', passwordSecretRef: reference}},
  });
  await world.settle();
  t.regex(
    world.condition('web', 'Issuing')?.message ?? '',
    /Secret "password".*does not exist; create it/,
  );
  t.is(world.told.filter(({reason}) => reason === 'KeystorePasswordSecretNotFound').length, 1);
  t.is(world.dueAt('web'), undefined);
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {namespace: NAMESPACE, name: 'password'},
  };
  world.put(kinds.secrets, {...secret, data: {other: 'eA=='}});
  await world.settle();
  t.regex(world.condition('web', 'Issuing')?.message ?? '', /has no key "secret"/);
  world.put(kinds.secrets, {...secret, data: {secret: 'Y2hhbmdlaXQ='}});
  await world.settle();
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.truthy(world.secret('web-tls')?.data?.['keystore.p12']);
  t.is(world.requestsOf('web').length, 1);
});

test('a temporary certificate fills the Secret while the issuer thinks, and is not Ready', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL, {
    annotations: {'cert-manager.io/issue-temporary-certificate': 'true'},
  });
  await world.settle();
  t.truthy(world.secret('web-tls')?.data?.['tls.crt']);
  t.is(world.secret('web-tls')?.data?.['ca.crt'], undefined);
  t.like(world.condition('web', 'Ready'), {status: 'False'});
  t.is(world.writes().filter(write => write.startsWith('apply')).length, 1);
});

test('renewal.policy Disabled never renews, and tells when the certificate ends', async t => {
  const world = await aWorld();
  world.order('web', {duration: '1h', renewal: {policy: 'Disabled'}});
  await world.settle();
  t.is(world.certificate('web')?.status?.renewalTime, undefined);
  await world.advance(HOUR_MS);
  t.is(world.certificate('web')?.status?.revision, 1);
  t.like(world.condition('web', 'Ready'), {status: 'False', reason: 'Expired'});
});

test('a Certificate that is being deleted is left alone', async t => {
  const world = await aWorld();
  world.order(
    'web',
    {},
    {deletionTimestamp: '2026-03-01T00:00:00Z', finalizers: ['foregroundDeletion']},
  );
  await world.settle();
  t.deepEqual(world.writes(), []);
});

test('no issuance leaves a key in an event or a condition', async t => {
  const world = await aWorld();
  world.order('web', {privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'}});
  await world.settle();
  const text = JSON.stringify([world.told, world.certificate('web'), world.requestsOf('web')]);
  t.notRegex(text, /PRIVATE KEY/);
});
