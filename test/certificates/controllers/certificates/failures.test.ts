import test from 'ava';
import * as kinds from '#certificates/apis/resources';
import {EXTERNAL, NAMESPACE, aWorld} from '#test/certificates/a-world';

const HOUR_MS = 3_600_000;

test('an issuer that does not exist: the chain of reasons is in the conditions, and it goes on when it comes', async t => {
  const world = await aWorld();
  world.order('web', {issuerRef: {name: 'later'}});
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'True', reason: 'DoesNotExist'});
  t.regex(
    world.condition('web', 'Issuing')?.message ?? '',
    /CertificateRequest "web-1" is pending: .*Issuer later/,
  );
  t.regex(
    world.condition('web', 'Ready')?.message ?? '',
    /does not exist; CertificateRequest "web-1" is pending/,
  );
  const before = world.writes().length;
  await world.settle();
  t.is(world.writes().length, before, 'waiting writes nothing');
  world.put(kinds.issuers, {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Issuer',
    metadata: {namespace: NAMESPACE, name: 'later'},
    spec: {selfSigned: {}},
  });
  await world.settle();
  t.like(world.condition('web', 'Ready'), {
    status: 'True',
    message: 'Certificate is up to date and has not expired',
  });
});

test('an external issuer: the request is left to it, and after ten seconds the wait is told', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  t.is(world.request('web-1')?.status, undefined);
  t.notRegex(world.condition('web', 'Issuing')?.message ?? '', /web-1/);
  await world.advance(10_000);
  t.regex(world.condition('web', 'Issuing')?.message ?? '', /"web-1" waits for its approval/);
  const approved = {type: 'Approved', status: 'True', reason: 'test', message: 'yes'};
  world.answer('web-1', {conditions: [approved]});
  await world.settle();
  t.regex(
    world.condition('web', 'Issuing')?.message ?? '',
    /external signer of Signer.pki.example.org "theirs"/,
  );
});

test('a failed issuance waits an hour, then two, then four, and says until when', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  for (const [attempt, hours] of [
    [1, 1],
    [2, 2],
    [3, 4],
    [4, 8],
  ] as const) {
    world.answer('web-1', world.failure('the CA is on holiday'));
    await world.settle();
    t.like(world.condition('web', 'Issuing'), {status: 'False', reason: 'Failed'});
    t.is(world.certificate('web')?.status?.failedIssuanceAttempts, attempt);
    t.deepEqual(world.keySecrets(), []);
    t.regex(
      world.condition('web', 'Ready')?.message ?? '',
      /on holiday; the next attempt is at 2026/,
    );
    await world.advance(hours * HOUR_MS - 1_000);
    t.like(world.condition('web', 'Issuing'), {status: 'False'}, `attempt ${attempt}`);
    await world.advance(1_000);
    t.like(world.condition('web', 'Issuing'), {status: 'True'}, `attempt ${attempt}`);
    t.is(world.requestsOf('web').length, 1);
    t.is(world.request('web-1')?.status, undefined, 'the request of the failure was replaced');
  }
});

test('a success forgets the failures', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  world.order('web');
  await world.settle();
  const {status} = world.certificate('web') ?? {};
  t.like(world.condition('web', 'Ready'), {status: 'True'});
  t.is(status?.lastFailureTime, undefined);
  t.is(status?.failedIssuanceAttempts, undefined);
});

test('a changed specification ends the back-off', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  world.order('web', {...EXTERNAL, dnsNames: ['other.example.com']});
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'True'});
  t.is(world.request('web-1')?.status, undefined);
});

test('deleting the failed request does not end the back-off', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  world.api.remove(kinds.certificateRequests, `${NAMESPACE}/web-1`);
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'False'});
  t.is(world.requestsOf('web').length, 0);
});

test('retry-now tries once at once, and once more with another value', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  for (const value of ['please', 'pretty please']) {
    world.order('web', EXTERNAL, {annotations: {'slipway.dev/retry-now': value}});
    await world.settle();
    t.like(world.condition('web', 'Issuing'), {status: 'True'}, value);
    t.is(world.request('web-1')?.metadata.annotations?.['slipway.dev/retry-now'], value);
    world.answer('web-1', world.failure());
    await world.settle();
    t.like(world.condition('web', 'Issuing'), {status: 'False'}, 'used up');
    const attempts = world.certificate('web')?.status?.failedIssuanceAttempts;
    world.restart();
    await world.settle();
    t.is(
      world.certificate('web')?.status?.failedIssuanceAttempts,
      attempts,
      'also for the next controller',
    );
  }
});

test('retry-now of an instant counts without the failed request, if it is later than the failure', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  world.api.remove(kinds.certificateRequests, `${NAMESPACE}/web-1`);
  world.order('web', EXTERNAL, {annotations: {'slipway.dev/retry-now': '2026-02-01T00:00:00Z'}});
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'False'}, 'an old wish');
  world.order('web', EXTERNAL, {annotations: {'slipway.dev/retry-now': '2026-03-01T00:00:01Z'}});
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'True'});
});

test('cmctl renew issues again, also during a back-off, and in the second of the failure', async t => {
  const world = await aWorld();
  world.order('web', EXTERNAL);
  await world.settle();
  world.answer('web-1', world.failure());
  await world.settle();
  const web = world.certificate('web');
  if (web === undefined) return t.fail();
  const conditions = (web.status?.conditions ?? []).filter(({type}) => type !== 'Issuing');
  const now = `${world.clock.now().toISOString().slice(0, 19)}Z`;
  const issuing = {
    type: 'Issuing',
    status: 'True',
    reason: 'ManuallyTriggered',
    message: 'by hand',
    lastTransitionTime: now,
  } as const;
  world.put(kinds.certificates, {
    ...web,
    status: {...web.status, conditions: [...conditions, issuing]},
  });
  await world.settle();
  t.like(world.condition('web', 'Issuing'), {status: 'True', reason: 'ManuallyTriggered'});
  t.is(world.request('web-1')?.status, undefined, 'a new request');
  t.is(world.certificate('web')?.status?.failedIssuanceAttempts, 1);
  return undefined;
});

for (const [title, condition, reason] of [
  ['denied', {type: 'Denied', status: 'True', reason: 'policy', message: 'not you'}, 'Denied'],
  [
    'invalid',
    {type: 'InvalidRequest', status: 'True', reason: 'x', message: 'nonsense'},
    'InvalidRequest',
  ],
  ['failed', {type: 'Ready', status: 'False', reason: 'Failed', message: 'no'}, 'Failed'],
  [
    'ready with reason Denied',
    {type: 'Ready', status: 'False', reason: 'Denied', message: 'no'},
    'Denied',
  ],
] as const) {
  test(`a request that is ${title} ends the attempt with reason ${reason}, and not the next one`, async t => {
    const world = await aWorld();
    world.order('web', EXTERNAL);
    await world.settle();
    const lastTransitionTime = `${world.clock.now().toISOString().slice(0, 19)}Z`;
    world.answer('web-1', {conditions: [{...condition, lastTransitionTime}]});
    await world.settle();
    t.like(world.condition('web', 'Issuing'), {status: 'False', reason});
    t.true(world.told.some(each => each.type === 'Warning' && each.reason === reason));
    await world.advance(HOUR_MS);
    t.like(world.condition('web', 'Issuing'), {status: 'True'});
    t.is(world.request('web-1')?.status, undefined);
  });
}

test('a certificate that cannot be used is a failure: rubbish, another key, already over', async t => {
  for (const [chain, says] of [
    ['rubbish', /cannot be used/],
    ['other', /another private key/],
  ] as const) {
    const world = await aWorld();
    world.order('other');
    world.order('web', EXTERNAL);
    await world.settle();
    const certificate =
      chain === 'other'
        ? (world.secret('other-tls')?.data?.['tls.crt'] ?? '')
        : Buffer.from(chain).toString('base64');
    const ready = {type: 'Ready', status: 'True', reason: 'Issued', message: 'there'};
    world.answer('web-1', {conditions: [ready], certificate});
    await world.settle();
    t.like(world.condition('web', 'Issuing'), {status: 'False', reason: 'InvalidCertificate'});
    t.regex(world.condition('web', 'Issuing')?.message ?? '', says);
    t.is(world.secret('web-tls'), undefined);
  }
});

test('a Secret that no watch knows at the moment is asked for before it counts as missing', async t => {
  const world = await aWorld();
  world.order('web');
  await world.settle();
  const key = `${NAMESPACE}/web-tls`;
  // Its label was taken away: gone from one watch, and not yet in the other.
  world.views.secrets.forget(key);
  await world.settle();
  t.is(world.requestsOf('web').length, 1);
  t.is(world.certificate('web')?.status?.revision, 1);
});
