import test from 'ava';
import type {KeyObject} from 'node:crypto';
import {ApiRefusedError} from '#shared/kube/errors';
import type {Issuer} from '#certificates/apis/issuer';
import {certificateRequests, issuers, secrets} from '#certificates/apis/resources';
import {
  decideRequest,
  type RequestStep,
} from '#certificates/controllers/certificate-requests/decide';
import {requestStatus} from '#certificates/controllers/certificate-requests/request-status';
import {issuerReadiness} from '#certificates/controllers/issuers/readiness';
import {createIssuerTypes} from '#certificates/issuers/registry';
import {generatePrivateKey} from '#certificates/x509/keys';
import {World} from '#test/certificates/a-world';
import {
  aCa,
  aCaSecret,
  aCsr,
  anIssuer,
  aRequest,
  base64,
  noSecrets,
  type ARequest,
} from '#test/certificates/issuing';

const NOW = new Date('2026-05-01T12:00:00.700Z');
const issuerTypes = createIssuerTypes({secrets: noSecrets});
const APPROVER = 'certificaterequests-approver';
const SIGNERS = ['certificaterequests-issuer-ca', 'certificaterequests-issuer-selfsigned'];
const approved = {type: 'Approved', status: 'True'} as const;
const denied = {type: 'Denied', status: 'True', message: 'not today'} as const;
const ready = (reason: string) => ({type: 'Ready', status: 'False', reason}) as const;
const selfSigned = anIssuer({selfSigned: {}});

let key: KeyObject;
test.before(async () => {
  key = await generatePrivateKey({kind: 'ECDSA', size: 256});
});

interface Case {
  readonly request?: Omit<Partial<ARequest>, 'spec'> & {readonly spec?: Partial<ARequest['spec']>};
  readonly issuer?: Issuer | 'none';
  readonly controllers?: readonly string[];
}

const decides = test.macro((t, {request = {}, issuer, controllers}: Case, expected: object) => {
  const step: RequestStep = decideRequest({
    request: aRequest({...request, spec: {request: aCsr(key), ...request.spec}}),
    issuer: issuer === 'none' ? undefined : (issuer ?? selfSigned),
    issuerTypes,
    controllers: controllers ?? [APPROVER, ...SIGNERS],
  });
  t.like(step, expected);
});

test('a request is approved and signed in one go', decides, {}, {kind: 'sign', approve: true});
test(
  'an approved request is signed',
  decides,
  {request: {conditions: [approved]}},
  {kind: 'sign', approve: false},
);
test(
  'a request is not signed without approval when the approver is off',
  decides,
  {controllers: SIGNERS},
  {kind: 'wait-for-approval'},
);
test(
  'approval that says False is none',
  decides,
  {request: {conditions: [{type: 'Approved', status: 'False'}]}, controllers: SIGNERS},
  {kind: 'wait-for-approval'},
);
test(
  'a denied request is not signed, and repeats the words of the denial',
  decides,
  {request: {conditions: [denied]}},
  {kind: 'deny', message: 'the request was denied: not today'},
);
test(
  'denied wins over approved',
  decides,
  {request: {conditions: [approved, denied]}},
  {kind: 'deny'},
);
test(
  'denied is written even for a CSR that cannot be read',
  decides,
  {request: {spec: {request: base64('x')}, conditions: [denied]}},
  {kind: 'deny'},
);
for (const reason of ['Issued', 'Failed', 'Denied']) {
  test(
    `a request that is ${reason} is left alone`,
    decides,
    {request: {conditions: [denied, ready(reason)]}},
    {kind: 'leave'},
  );
}
test(
  'a pending request goes on',
  decides,
  {request: {conditions: [approved, ready('Pending')]}},
  {kind: 'sign'},
);
test(
  'a request of a foreign group is left alone, even without a readable CSR',
  decides,
  {request: {spec: {request: '', issuerRef: {name: 'x', group: 'example.com'}}}},
  {kind: 'leave'},
);
test(
  'a CSR that cannot be read is refused before it is approved',
  decides,
  {request: {spec: {request: base64('x')}}, controllers: SIGNERS},
  {kind: 'refuse'},
);
test(
  'a request that others called invalid is refused in their words',
  decides,
  {request: {conditions: [approved, {type: 'InvalidRequest', status: 'True', message: 'odd'}]}},
  {kind: 'refuse', message: 'odd'},
);
test(
  'a kind of issuer that does not exist is refused',
  decides,
  {request: {spec: {issuerRef: {name: 'x', kind: 'Foo'}}}},
  {kind: 'refuse'},
);
for (const duration of ['0', '-1h', '5', '1ms', '99999999h']) {
  test(
    `a duration of ${duration} is refused`,
    decides,
    {request: {spec: {duration}}},
    {kind: 'refuse'},
  );
}
test(
  'a short duration is signed: only Certificates have a minimum',
  decides,
  {request: {spec: {duration: '10m'}}},
  {kind: 'sign', input: {durationMs: 600_000}},
);
test('without a duration it is 90 days', decides, {}, {input: {durationMs: 90 * 24 * 3_600_000}});
test(
  'the Secret of the key lies beside the request',
  decides,
  {request: {annotations: {'cert-manager.io/private-key-secret-name': 'k'}}},
  {input: {privateKeySecret: {namespace: 'shop', name: 'k'}}},
);
test(
  'a request waits for its issuer, approved already',
  decides,
  {issuer: 'none'},
  {kind: 'pend', approve: true, reason: 'IssuerNotFound'},
);
test(
  'a request waits for an issuer that was not checked yet',
  decides,
  {issuer: anIssuer({selfSigned: {}}, {namespace: 'shop', ready: false})},
  {kind: 'pend', reason: 'IssuerNotReady'},
);
test(
  'a request of a type that does not work waits and says which do',
  decides,
  {issuer: anIssuer({vault: {server: 'https://v', path: 'p', auth: {}}})},
  {kind: 'pend', reason: 'IssuerNotReady'},
);
test(
  'a type whose signer is switched off is approved and left to others',
  decides,
  {controllers: [APPROVER]},
  {kind: 'only-approve'},
);
test(
  'a type whose signer is switched off is left alone once approved',
  decides,
  {controllers: [APPROVER], request: {conditions: [approved]}},
  {kind: 'leave'},
);
test('a request being deleted is left alone', t => {
  const request = aRequest({spec: {request: aCsr(key)}});
  const metadata = {...request.metadata, deletionTimestamp: '2026-05-01T00:00:00Z'};
  const step = decideRequest({
    request: {...request, metadata},
    issuer: selfSigned,
    issuerTypes,
    controllers: SIGNERS,
  });
  t.is(step.kind, 'leave');
});

test('the Ready condition of an older spec says nothing', t => {
  const issuer = anIssuer({selfSigned: {}});
  t.true(issuerReadiness(issuer).ready);
  t.false(issuerReadiness({...issuer, metadata: {...issuer.metadata, generation: 2}}).ready);
});

test('approval and certificate are one status, with the CA', t => {
  const outcome = {kind: 'issued', message: 'signed', chainPem: 'chain', caPem: 'ca'} as const;
  const status = requestStatus(undefined, {outcome, approve: true, now: NOW});
  t.deepEqual(
    status.conditions?.map(({type, status, reason, lastTransitionTime}) => [
      type,
      status,
      reason,
      lastTransitionTime,
    ]),
    [
      ['Approved', 'True', 'cert-manager.io', '2026-05-01T12:00:00Z'],
      ['Ready', 'True', 'Issued', '2026-05-01T12:00:00Z'],
    ],
  );
  t.like(status, {certificate: base64('chain'), ca: base64('ca')});
});

test('a failure has its time, and keeps the first one', t => {
  const outcome = {kind: 'failed', message: 'no'} as const;
  const status = requestStatus(undefined, {outcome, approve: false, now: NOW});
  t.is(status.failureTime, '2026-05-01T12:00:00Z');
  const again = requestStatus(status, {outcome, approve: false, now: new Date()});
  t.deepEqual(again, status);
});

test('an invalid request fails and says InvalidRequest, so that its Certificate fails', t => {
  const outcome = {kind: 'invalid', message: 'no CSR'} as const;
  const {conditions} = requestStatus(undefined, {outcome, approve: false, now: NOW});
  t.like(conditions, [
    {type: 'Ready', reason: 'Failed'},
    {type: 'InvalidRequest', status: 'True'},
  ]);
});

test('a denied request ends as Denied', t => {
  const outcome = {kind: 'denied', message: 'no'} as const;
  const before = {conditions: [denied]};
  const {conditions} = requestStatus(before, {outcome, approve: false, now: NOW});
  t.like(conditions, [denied, {type: 'Ready', status: 'False', reason: 'Denied'}]);
});

/** A cluster in memory with a request `www` that is addressed to the issuer `issuer`. */
function aWorld() {
  const world = new World();
  const {metadata, ...request} = aRequest({spec: {request: aCsr(key)}});
  const {name, namespace = ''} = metadata;
  world.put(certificateRequests, {...request, metadata: {name, namespace}});
  const written = () => world.writes();
  return {world, written};
}

test('a request that waits is written once, and again when what it waits for changes', async t => {
  const {world, written} = aWorld();
  await world.settle();
  await world.settle();
  t.deepEqual(written(), ['update-status CertificateRequest shop/www']);
  t.deepEqual(
    world.told.map(({reason}) => reason),
    ['cert-manager.io', 'IssuerNotFound'],
  );
  const {status: _, ...issuer} = anIssuer({ca: {secretName: 'ca'}});
  world.put(issuers, issuer);
  await world.settle();
  t.deepEqual(written().slice(1), [
    'update-status CertificateRequest shop/www', // the issuer is there, and not checked yet
    'update-status Issuer shop/issuer',
    'update-status CertificateRequest shop/www', // its Secret is missing
  ]);
  world.put(secrets, aCaSecret(await aCa({notBefore: new Date(0)})));
  await world.settle();
  t.is(
    world.request('www')?.status?.conditions?.find(({type}) => type === 'Ready')?.reason,
    'Issued',
  );
});

test("a request that is deleted meanwhile is nobody's trouble", async t => {
  const {world} = aWorld();
  world.api.obstacle = () => {
    world.api.obstacle = undefined;
    world.api.remove(certificateRequests, 'shop/www');
  };
  await world.settle();
  t.deepEqual(world.errors, []);
  t.deepEqual(world.told, []);
});

test('a conflict is tried again', async t => {
  const {world} = aWorld();
  let refusals = 0;
  world.api.obstacle = ({key: object}) => {
    if (refusals === 3) return;
    refusals += 1;
    const refusal = {status: 409, reason: 'Conflict', message: 'by a test'};
    throw new ApiRefusedError(object, refusal);
  };
  await world.settle();
  t.is(world.errors.length, 3);
  t.is(world.request('www')?.status?.conditions?.length, 2);
});
