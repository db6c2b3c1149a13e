import test, {type ExecutionContext} from 'ava';
import type {Certificate} from '#certificates/apis/certificate';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import {findCondition} from '#certificates/apis/conditions';
import * as kinds from '#certificates/apis/resources';
import {formatTime} from '#certificates/apis/time';
import type {ResourceType} from '#certificates/kube/resource';
import {parseCertificate} from '#certificates/x509/certificate';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import type {Controller} from '#certificates/controller';
import {
  openControllerSite,
  type ControllerSite,
  type StartOptions,
} from '#test/certificates/a-controller';
import {aCertificate, aNamespace, keySecrets, requestsOf, settled} from '#test/certificates/a-life';
import {MovableClock} from '#test/certificates/movable-clock';
import {watchedClient} from '#test/certificates/watched-client';
import {eventually} from '#test/eventually';

// A Certificate's life against a real API server: what is decided is tested in memory
// (test/certificates/controllers/certificates); here, that the API takes and keeps it.

const signal = AbortSignal.timeout(840_000);
const HOUR_MS = 3_600_000;
/** What one issuance may write, events apart; a renewal deletes the old request besides. */
const WRITES_MAX = 8;
let site: ControllerSite;

/** A controller for the rest of a test. */
async function run(t: ExecutionContext, options: StartOptions = {}): Promise<Controller> {
  const controller = await site.start(options);
  t.teardown(() => controller[Symbol.asyncDispose]());
  return controller;
}

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
});
test.after.always(async () => {
  await site[Symbol.asyncDispose]();
});

test.serial('an issuance takes at most eight writes, and so does a renewal', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  const clock = new MovableClock();
  const {client, writes} = watchedClient(site.client);
  const controller = await run(t, {client, clock});
  await site.apply(aCertificate(namespace, 'web', {duration: '3h', renewBefore: '1h'}));
  const first = await settled(site, namespace, 'web', 1);
  const ofWeb = () => writes.filter(({name}) => name.startsWith('web'));
  await eventually(() => ofWeb().length >= 7); // counted when they are answered
  const issued = ofWeb();
  t.is(issued.length, 7, JSON.stringify(issued));
  t.true(writes.length <= WRITES_MAX, JSON.stringify(writes));
  const before = writes.length;
  clock.advance(2 * HOUR_MS + 1_000);
  const second = await settled(site, namespace, 'web', 2);
  await eventually(async () => (await requestsOf(site, namespace, 'web')).length === 1);
  const renewed = writes.slice(before).filter(({name}) => name.startsWith('web'));
  t.true(renewed.length <= WRITES_MAX, JSON.stringify(renewed));
  t.true(String(second.status?.notAfter) > String(first.status?.notAfter));
  t.is(controller.views.secrets.size >= 1, true);
});

test.serial('renewal by percentage and inside windows, under a moved clock', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  const clock = new MovableClock();
  await run(t, {clock});
  const windows = [{cron: '0 3 * * *', windowDuration: '1h', timezone: 'UTC'}];
  await site.apply(
    aCertificate(namespace, 'tenth', {duration: '100h', renewBeforePercentage: 10}),
    aCertificate(namespace, 'night', {duration: '240h', renewBefore: '100h', renewal: {windows}}),
    aCertificate(namespace, 'never', {duration: '100h', renewal: {policy: 'Disabled'}}),
  );
  const tenth = await settled(site, namespace, 'tenth', 1);
  const night = await settled(site, namespace, 'night', 1);
  const never = await settled(site, namespace, 'never', 1);
  const hoursBeforeEnd = ({status}: Certificate): number =>
    (Date.parse(status?.notAfter ?? '') - Date.parse(status?.renewalTime ?? '')) / HOUR_MS;
  t.is(hoursBeforeEnd(tenth), 10);
  t.regex(night.status?.renewalTime ?? '', /T03:00:00Z$/);
  t.true(hoursBeforeEnd(night) <= 100 && hoursBeforeEnd(night) > 76);
  t.is(never.status?.renewalTime, undefined);
  clock.set(new Date(Date.parse(tenth.status?.renewalTime ?? '') + 1_000));
  await settled(site, namespace, 'tenth', 2);
  clock.set(new Date(Date.parse(never.status?.notAfter ?? '') + 1_000));
  await site.certificate(
    {namespace, name: 'never'},
    ({status}) => findCondition(status?.conditions, 'Ready')?.reason === 'Expired',
  );
  clock.set(new Date(Date.parse(night.status?.renewalTime ?? '') + 1_000));
  await settled(site, namespace, 'night', 2);
  t.is(
    (await site.client.get(kinds.certificates, {namespace, name: 'never'}, {signal}))?.status
      ?.revision,
    1,
  );
});

test.serial(
  'killed after each of its writes: the next controller ends it, with the same key',
  async t => {
    t.timeout(300_000);
    const namespace = await aNamespace(site);
    for (let n = 0; n <= WRITES_MAX; n += 1) {
      const name = `web-${n}`;
      const dying = Promise.withResolvers<boolean>();
      const {client} = watchedClient(site.client, (_write, before) => {
        if (before < n) return Promise.resolve();
        dying.resolve(true);
        return Promise.reject(new Error('killed'));
      });
      const keys = new Set<string>();
      const first = await site.start({client});
      await site.apply(aCertificate(namespace, name));
      const done = site.ready({namespace, name}).then(() => false);
      done.catch(() => undefined);
      // The last write comes when the Certificate is Ready already.
      const died = n < 7 ? await dying.promise : await Promise.race([dying.promise, done]);
      t.is(died || n >= 7, true, `killed after write ${n}`);
      for (const request of await requestsOf(site, namespace, name)) keys.add(keyOf(request));
      await first[Symbol.asyncDispose]();
      const second = await site.start();
      await settled(site, namespace, name, 1);
      const requests = await requestsOf(site, namespace, name);
      t.is(requests.length, 1, `one request, killed after write ${n}`);
      for (const request of requests) keys.add(keyOf(request));
      t.is(keys.size, 1, `one key, killed after write ${n}`);
      const data = await site.secretData({namespace, name: `${name}-tls`});
      t.true(keys.has(parseCertificate(data['tls.crt'] ?? Buffer.alloc(0)).publicKeyDigest));
      await second[Symbol.asyncDispose]();
    }
  },
);

function keyOf({spec}: CertificateRequest): string {
  return parseSigningRequest(Buffer.from(spec.request, 'base64')).publicKeyDigest;
}

test.serial('a conflict on every write of a status: it still ends, with one request', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  let turn = 0;
  const {client} = watchedClient(site.client, async ({verb, kind, name}) => {
    turn += 1;
    if (verb !== 'updateStatus' || turn % 2 === 0) return;
    const resources: readonly ResourceType[] = [kinds.certificates, kinds.certificateRequests];
    const resource = resources.find(r => r.kind === kind);
    if (resource === undefined) return;
    const patch = {metadata: {annotations: {'test.example.com/turn': `${turn}`}}};
    await site.client.patch(resource, {namespace, name}, patch, {signal});
  });
  await run(t, {client});
  await site.apply(aCertificate(namespace, 'web'));
  await settled(site, namespace, 'web', 1);
  t.is((await requestsOf(site, namespace, 'web')).length, 1);
});

test.serial(
  'a changed specification, a deleted Secret and cmctl renew issue again; history is kept',
  async t => {
    t.timeout(180_000);
    const namespace = await aNamespace(site);
    await run(t);
    const spec = {revisionHistoryLimit: 2};
    await site.apply(aCertificate(namespace, 'web', spec));
    await settled(site, namespace, 'web', 1);

    await site.apply(
      aCertificate(namespace, 'web', {...spec, dnsNames: ['a.example.com', 'b.example.com']}),
    );
    await settled(site, namespace, 'web', 2);
    const data = await site.secretData({namespace, name: 'web-tls'});
    const {names} = parseCertificate(data['tls.crt'] ?? Buffer.alloc(0));
    t.deepEqual(
      names.map(each => 'value' in each && each.value),
      ['a.example.com', 'b.example.com'],
    );

    await site.client.delete(kinds.secrets, {namespace, name: 'web-tls'}, {signal});
    await settled(site, namespace, 'web', 3);

    await renewByHand(namespace, 'web');
    await settled(site, namespace, 'web', 4);
    await eventually(async () => (await requestsOf(site, namespace, 'web')).length === 2);
    t.deepEqual(
      (await requestsOf(site, namespace, 'web')).map(({metadata}) => metadata.name).toSorted(),
      ['web-3', 'web-4'],
    );
  },
);

/** As cmctl does it. */
async function renewByHand(namespace: string, name: string): Promise<void> {
  const found = await site.client.get(kinds.certificates, {namespace, name}, {signal});
  if (found === undefined) throw new Error(`there is no Certificate ${name}`);
  const issuing = {
    type: 'Issuing',
    status: 'True',
    reason: 'ManuallyTriggered',
    message: 'Certificate re-issuance manually triggered',
    lastTransitionTime: formatTime(new Date()),
    observedGeneration: found.metadata.generation,
  };
  const conditions = (found.status?.conditions ?? []).filter(({type}) => type !== 'Issuing');
  const status = {...found.status, conditions: [...conditions, issuing]};
  await site.client.updateStatus(kinds.certificates, {...found, status} as Certificate, {signal});
}

test.serial('rotationPolicy Never keeps the key, Always does not', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  await run(t);
  const never = {privateKey: {algorithm: 'ECDSA', rotationPolicy: 'Never'}} as const;
  await site.apply(aCertificate(namespace, 'never', never), aCertificate(namespace, 'always'));
  await settled(site, namespace, 'never', 1);
  await settled(site, namespace, 'always', 1);
  const before = await Promise.all(['never', 'always'].map(name => keyIn(namespace, name)));
  for (const name of ['never', 'always']) await renewByHand(namespace, name);
  await settled(site, namespace, 'never', 2);
  await settled(site, namespace, 'always', 2);
  const after = await Promise.all(['never', 'always'].map(name => keyIn(namespace, name)));
  t.is(after[0], before[0]);
  t.not(after[1], before[1]);
});

async function keyIn(namespace: string, name: string): Promise<string> {
  const data = await site.secretData({namespace, name: `${name}-tls`});
  return data['tls.key']?.toString() ?? '';
}

test.serial(
  'a failure waits an hour, then two; retry-now does not wait; then it works',
  async t => {
    t.timeout(180_000);
    const namespace = await aNamespace(site);
    const clock = new MovableClock();
    await run(t, {clock});
    const name = {namespace, name: 'web'};
    const external = {issuerRef: {name: 'theirs', kind: 'Signer', group: 'pki.example.org'}};
    await site.apply(aCertificate(namespace, 'web', external));
    for (const [attempts, hours] of [
      [1, 1],
      [2, 2],
    ] as const) {
      await refuse(namespace, clock.now());
      await site.certificate(name, ({status}) => status?.failedIssuanceAttempts === attempts);
      await eventually(async () => (await keySecrets(site, namespace)).length === 0);
      clock.advance(hours * HOUR_MS - 60_000);
      const waiting = await site.client.get(kinds.certificates, name, {signal});
      t.is(findCondition(waiting?.status?.conditions, 'Issuing')?.status, 'False');
      t.regex(
        findCondition(waiting?.status?.conditions, 'Ready')?.message ?? '',
        /the next attempt is at/,
      );
      clock.advance(120_000);
      await issuing(namespace);
    }
    await refuse(namespace, clock.now());
    await site.certificate(name, ({status}) => status?.failedIssuanceAttempts === 3);
    const annotations = {'slipway.dev/retry-now': 'please'};
    await site.client.patch(kinds.certificates, name, {metadata: {annotations}}, {signal});
    await issuing(namespace);
    const [request] = await requestsOf(site, namespace, 'web');
    t.is(request?.metadata.annotations?.['slipway.dev/retry-now'], 'please');

    await site.apply(aCertificate(namespace, 'web'));
    const ready = await settled(site, namespace, 'web', 1);
    t.is(ready.status?.failedIssuanceAttempts, undefined);
    t.is(ready.status?.lastFailureTime, undefined);
  },
);

/** Waits for the request of an external issuer that has no answer, and says no. */
async function refuse(namespace: string, at: Date): Promise<void> {
  const fresh = await site.request(
    {namespace, name: 'web-1'},
    ({status}) => status?.failureTime === undefined,
  );
  const failureTime = formatTime(at);
  const condition = {
    type: 'Ready',
    status: 'False',
    reason: 'Failed',
    message: 'not today',
    lastTransitionTime: failureTime,
  };
  const status = {...fresh.status, conditions: [condition], failureTime};
  await site.client.updateStatus(
    kinds.certificateRequests,
    {...fresh, status} as CertificateRequest,
    {signal},
  );
}

/** A new attempt is under way: its request has no answer yet. */
async function issuing(namespace: string): Promise<void> {
  await site.certificate(
    {namespace, name: 'web'},
    ({status}) => findCondition(status?.conditions, 'Issuing')?.status === 'True',
  );
  await eventually(async () => {
    const [request, ...more] = await requestsOf(site, namespace, 'web');
    return request !== undefined && more.length === 0 && request.status?.failureTime === undefined;
  });
}

test.serial('two Certificates with one Secret: one is Ready, the other says why not', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  await run(t);
  await site.apply(aCertificate(namespace, 'first', {secretName: 'shared'}));
  await settled(site, namespace, 'first', 1);
  await site.apply(aCertificate(namespace, 'second', {secretName: 'shared'}));
  const second = await site.certificate(
    {namespace, name: 'second'},
    ({status}) => findCondition(status?.conditions, 'Ready')?.status === 'False',
  );
  t.is(findCondition(second.status?.conditions, 'Ready')?.reason, 'IncorrectCertificate');
  t.is((await requestsOf(site, namespace, 'second')).length, 0);
  await site.client.delete(kinds.certificates, {namespace, name: 'first'}, {signal});
  await settled(site, namespace, 'second', 1);
});

test.serial('a keystore waits for its password by watch', async t => {
  t.timeout(120_000);
  const namespace = await aNamespace(site);
  await run(t);
  const passwordSecretRef = {name: 'password', key: 'value'};
  const pkcs12 = {create: true, profile: 'Modern2023', passwordSecretRef} as const;
  await site.apply(aCertificate(namespace, 'web', {keystores: {pkcs12}}));
  const waiting = await site.certificate({namespace, name: 'web'}, ({status}) =>
    (findCondition(status?.conditions, 'Issuing')?.message ?? '').includes('"password"'),
  );
  t.regex(
    findCondition(waiting.status?.conditions, 'Issuing')?.message ?? '',
    /does not exist; create it/,
  );
  await site.client.create(
    kinds.secrets,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {namespace, name: 'password'},
      data: {value: 'Y2hhbmdlaXQ='},
    },
    {signal},
  );
  await settled(site, namespace, 'web', 1);
  const data = await site.secretData({namespace, name: 'web-tls'});
  t.truthy(data['keystore.p12']);
});
