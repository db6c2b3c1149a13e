import {createPrivateKey, X509Certificate} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {certificateRequests, secrets} from '#certificates/apis/resources';
import type {Controller} from '#certificates/controller';
import {generatePrivateKey} from '#certificates/x509/keys';
import {createSigningRequest} from '#certificates/x509/certificate-request';
import {subjectName} from '#certificates/x509/distinguished-name';
import {openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {anIssuedCertificate} from '#test/certificates/an-issued-certificate';
import {
  issuingCondition,
  leftByCertManager,
  readyStatus,
  seconds,
  type LeftBehind,
} from '#test/certificates/left-by-cert-manager';

const signal = AbortSignal.timeout(600_000);
const MINUTE_MS = 60_000;
let site: ControllerSite;

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
});
test.after.always(async () => {
  await site[Symbol.asyncDispose]();
});

test.serial('a Ready Certificate of cert-manager is left exactly as it is', async t => {
  const left = await leftByCertManager(site);
  await left.createRequest({
    name: 'web-x7k2p',
    revision: 1,
    keySecret: 'web-lm5nq',
    answer: 'issued',
  });
  await left.applySecret();
  await left.writeStatus(readyStatus(left.chainPem));
  await isLeftAlone(t, left);
});

test.serial('so is one whose request was deleted, and one with a stable request name', async t => {
  const without = await leftByCertManager(site);
  await without.applySecret();
  await without.writeStatus(readyStatus(without.chainPem, 4));
  const stable = await leftByCertManager(site);
  await stable.createRequest({
    name: 'web-2',
    revision: 2,
    keySecret: 'web-lm5nq',
    answer: 'issued',
  });
  await stable.applySecret();
  await stable.writeStatus(readyStatus(stable.chainPem, 2));
  await isLeftAlone(t, without, stable);
});

test.serial(
  'a Ready Certificate whose status was lost is Ready again without an issuance',
  async t => {
    const left = await leftByCertManager(site);
    await left.applySecret();
    const before = await version(left);
    await using stack = new AsyncDisposableStack();
    stack.use(await site.start());
    const {status} = await site.ready(web(left));
    t.is(status?.notAfter, readyStatus(left.chainPem).notAfter);
    t.is(await version(left), before);
  },
);

test.serial('an issuance that has just begun goes on: no key, no request yet', async t => {
  const left = await leftByCertManager(site);
  await left.writeStatus({conditions: [issuingCondition(new Date())]});
  const {status} = await takenOver(left);
  t.is(status?.revision, 1);
});

test.serial(
  'an issuance goes on with the key that cert-manager made, recorded in the status or not',
  async t => {
    for (const isRecorded of [true, false]) {
      const left = await leftByCertManager(site);
      const name = await left.createKeySecret(left.key);
      await left.writeStatus({
        conditions: [issuingCondition(new Date())],
        ...(isRecorded && {nextPrivateKeySecretName: name}),
      });
      await takenOver(left);
      await hasKeyOf(t, left);
      t.is(await site.client.get(secrets, {namespace: left.namespace, name}, {signal}), undefined);
    }
  },
);

test.serial(
  'an issuance goes on with the request that cert-manager made, under its generated name',
  async t => {
    for (const answer of [undefined, 'approved', 'issued'] as const) {
      const left = await leftByCertManager(site);
      const keySecret = await left.createKeySecret(left.key);
      await left.createRequest({
        name: 'web-x7k2p',
        revision: 1,
        keySecret,
        ...(answer && {answer}),
      });
      await left.writeStatus({
        conditions: [issuingCondition(new Date())],
        nextPrivateKeySecretName: keySecret,
      });
      await takenOver(left);
      await hasKeyOf(t, left);
      t.deepEqual(await requestNames(left), ['web-x7k2p'], answer);
    }
  },
);

test.serial(
  'an issuance whose Secret is written already is finished with that certificate',
  async t => {
    const left = await leftByCertManager(site);
    const keySecret = await left.createKeySecret(left.key);
    await left.createRequest({name: 'web-x7k2p', revision: 1, keySecret, answer: 'issued'});
    await left.applySecret();
    await left.writeStatus({
      conditions: [issuingCondition(new Date())],
      nextPrivateKeySecretName: keySecret,
    });
    const before = await version(left);
    const {status} = await takenOver(left);
    t.is(status?.revision, 1);
    t.is(await version(left), before);
  },
);

test.serial('several keys of one issuance: the recorded one is used, the others go', async t => {
  const left = await leftByCertManager(site);
  const recorded = await left.createKeySecret(left.key);
  const stray = await site.client.get(
    secrets,
    {namespace: left.namespace, name: recorded},
    {signal},
  );
  if (stray === undefined) throw new Error('the key is not there');
  const {
    resourceVersion: _version,
    uid: _uid,
    managedFields: _fields,
    ...metadata
  } = stray.metadata;
  await site.client.create(
    secrets,
    {...stray, metadata: {...metadata, name: 'web-zzzzz'}},
    {signal},
  );
  await left.writeStatus({
    conditions: [issuingCondition(new Date())],
    nextPrivateKeySecretName: recorded,
  });
  await takenOver(left);
  await hasKeyOf(t, left);
  const name = {namespace: left.namespace, name: 'web-zzzzz'};
  t.is(await site.client.get(secrets, name, {signal}), undefined);
});

test.serial('a failure of cert-manager is waited out, not tried again at once', async t => {
  const left = await leftByCertManager(site);
  const failedAt = seconds(new Date(Date.now() - MINUTE_MS));
  await left.createRequest({name: 'web-x7k2p', revision: 1, keySecret: 'web-lm5nq', answer: 'failed', failedAt}); // prettier-ignore
  await left.writeStatus({
    conditions: [
      {
        ...issuingCondition(new Date(Date.now() - MINUTE_MS)),
        status: 'False',
        reason: 'Failed',
        message: 'The certificate request has failed to complete and will be retried',
      },
    ],
    lastFailureTime: failedAt,
    failedIssuanceAttempts: 1,
  });
  await using stack = new AsyncDisposableStack();
  await quiet(stack.use(await site.start()));
  const {status} = await site.certificate(web(left), () => true);
  t.is(status?.failedIssuanceAttempts, 1);
  t.is(status?.lastFailureTime, failedAt);
  t.deepEqual(await requestNames(left), ['web-x7k2p']);
});

test.serial(
  'a renewal under way keeps the present certificate until the new one is there',
  async t => {
    const left = await leftByCertManager(site);
    await left.createRequest({
      name: 'web-x7k2p',
      revision: 1,
      keySecret: 'web-lm5nq',
      answer: 'issued',
    });
    await left.applySecret();
    const next = await generatePrivateKey({kind: 'RSA', size: 2048});
    const keySecret = await left.createKeySecret(next);
    const request = createSigningRequest({
      subject: subjectName({commonName: 'web.example.com'}),
      names: [{kind: 'dns', value: 'web.example.com'}],
      usages: ['digital signature', 'key encipherment'],
      key: next,
    });
    await left.createRequest({name: 'web-q9v8t', revision: 2, keySecret, request});
    const ready = readyStatus(left.chainPem);
    await left.writeStatus({
      ...ready,
      conditions: [
        ...(ready.conditions ?? []),
        {...issuingCondition(new Date()), reason: 'Renewing'},
      ],
      nextPrivateKeySecretName: keySecret,
    });
    const {status} = await takenOver(left);
    t.is(status?.revision, 2);
    const data = await site.secretData({namespace: left.namespace, name: 'web-tls'});
    t.true(createPrivateKey(data['tls.key']?.toString() ?? '').equals(next));
    t.deepEqual(await requestNames(left), ['web-q9v8t'], 'one revision is kept');
  },
);

test.serial(
  'owner references: set where they are switched on, removed where they are switched off again',
  async t => {
    const ownersOf = async (
      name: {readonly namespace: string; readonly name: string},
      some: boolean,
    ) => {
      const isSo = (owners: unknown): boolean => (owners !== undefined) === some;
      const {metadata} = await site.object(secrets, name, found => isSo(found.metadata['ownerReferences'])); // prettier-ignore
      return metadata['ownerReferences'];
    };
    const {name, namespaced, certificate} = await (async () => {
      await using stack = new AsyncDisposableStack();
      stack.use(await site.start());
      return await anIssuedCertificate(site);
    })();
    {
      await using stack = new AsyncDisposableStack();
      stack.use(await site.start({config: {certificateOwnerRef: true}}));
      t.like(await ownersOf(name, true), [
        {kind: 'Certificate', name: 'web', uid: certificate.metadata.uid, controller: true},
      ]);
    }
    await using stack = new AsyncDisposableStack();
    stack.use(await site.start());
    t.is(await ownersOf(name, false), undefined);
    t.is((await site.ready(namespaced('web'))).status?.revision, 1);
  },
);

/** Starts a controller, lets it come to rest, and compares everything with before. */
async function isLeftAlone(t: ExecutionContext, ...lefts: readonly LeftBehind[]): Promise<void> {
  const before = await Promise.all(lefts.map(everything));
  await using stack = new AsyncDisposableStack();
  await quiet(stack.use(await site.start()));
  t.deepEqual(await Promise.all(lefts.map(everything)), before);
}

/** All that could be written: versions say whether it was. */
async function everything(left: LeftBehind) {
  const {metadata, status} = await site.certificate(web(left), () => true);
  const requests = await site.client.list(certificateRequests, {signal, namespace: left.namespace});
  return {
    certificate: metadata.resourceVersion,
    status,
    secret: await version(left),
    requests: requests.map(request => [request.metadata.name, request.metadata.resourceVersion]),
  };
}

/** A marker that was issued after the start shows that every queue has been worked through. */
async function quiet(controller: Controller): Promise<void> {
  const {namespaced} = await anIssuedCertificate(site);
  const isIdle = (): boolean => controller.queues.every(({depth}) => depth === 0);
  await site.certificate(namespaced('web'), isIdle);
}

async function takenOver(left: LeftBehind) {
  await using stack = new AsyncDisposableStack();
  stack.use(await site.start());
  return await site.ready(web(left)); // else the controller ends before
}

async function hasKeyOf(t: ExecutionContext, left: LeftBehind): Promise<void> {
  const data = await site.secretData({namespace: left.namespace, name: 'web-tls'});
  const key = createPrivateKey(data['tls.key']?.toString() ?? '');
  t.true(key.equals(left.key));
  t.true(new X509Certificate(data['tls.crt']?.toString() ?? '').checkPrivateKey(key));
}

async function version({namespace}: LeftBehind): Promise<string | undefined> {
  const secret = await site.client.get(secrets, {namespace, name: 'web-tls'}, {signal});
  return secret?.metadata.resourceVersion;
}

async function requestNames({namespace}: LeftBehind): Promise<readonly string[]> {
  const requests = await site.client.list(certificateRequests, {signal, namespace});
  return requests.map(({metadata}) => metadata.name).toSorted();
}

function web({namespace}: LeftBehind) {
  return {namespace, name: 'web'} as const;
}
