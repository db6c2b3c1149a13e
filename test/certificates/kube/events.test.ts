import test from 'ava';
import {
  createEventRecorder,
  type EventRecorder,
  type EventRecorderOptions,
  type EventText,
} from '#certificates/kube/events';
import {createTokenBucket} from '#certificates/kube/token-bucket';
import {createLog} from '#shared/log';
import {MovableClock} from '#test/certificates/movable-clock';
import {createScriptedApi, refusal} from '#test/certificates/scripted-api';
import type {Answer, ScriptedApi, ScriptedRequest} from '#test/certificates/scripted-api';

interface Bench {
  readonly recorder: EventRecorder;
  readonly clock: MovableClock;
  readonly api: ScriptedApi;
  readonly lines: string[];
}

function aRecorder(
  respond: (request: ScriptedRequest) => Answer | Promise<Answer> = accept,
  options: Partial<EventRecorderOptions> = {},
): Bench {
  const clock = new MovableClock({start: new Date('2026-01-01T00:00:00.500Z'), frozen: true});
  const api = createScriptedApi(respond);
  const lines: string[] = [];
  const log = createLog({level: 'debug', write: line => lines.push(line)});
  const {client} = api;
  const component = 'cert-manager-test';
  const recorder = createEventRecorder({client, component, clock, log, ...options});
  return {recorder, clock, api, lines};
}

const accept = (): Answer => ({json: {metadata: {name: 'e'}}});

const subject = (name = 'web', uid = `uid-of-${name}`) => ({
  apiVersion: 'cert-manager.io/v1',
  kind: 'Certificate',
  metadata: {namespace: 'shop', name, uid, resourceVersion: '7', annotations: {large: 'x'}},
});

const issuing: EventText = {type: 'Normal', reason: 'Issuing', message: 'it is issued'};

test('an event says what, about which object, when, and who says so', async t => {
  const {recorder, api} = aRecorder();
  recorder.record(subject(), {...issuing, component: 'cert-manager-certificates-issuing'});
  await recorder.flush();
  const [{path, body} = {path: '', body: undefined}] = api.requests;
  t.is(path, '/api/v1/namespaces/shop/events');
  t.like(body, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {namespace: 'shop'},
    involvedObject: {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      name: 'web',
      namespace: 'shop',
      uid: 'uid-of-web',
      resourceVersion: '7',
    },
    type: 'Normal',
    reason: 'Issuing',
    message: 'it is issued',
    source: {component: 'cert-manager-certificates-issuing'},
    reportingComponent: 'cert-manager-certificates-issuing',
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
  });
});

test('an event about an object without namespace is kept in default', async t => {
  const {recorder, api} = aRecorder();
  recorder.record({...subject(), metadata: {name: 'root'}}, issuing);
  await recorder.flush();
  t.is(api.requests[0]?.namespace, 'default');
});

test('the same event within ten minutes is counted, after them it is told again', async t => {
  const {recorder, api, clock} = aRecorder();
  for (const afterMs of [0, 60_000, 9 * 60_000, 10 * 60_000]) {
    clock.advance(afterMs);
    recorder.record(subject(), issuing);
    await recorder.flush();
  }
  t.deepEqual(api.asked(), ['create events', 'patch events', 'patch events', 'create events']);
  t.like(api.requests[2]?.body, {count: 3, lastTimestamp: '2026-01-01T00:10:00Z'});
});

test('events that differ in object, type, reason, message or component are different', async t => {
  const {recorder, api} = aRecorder();
  recorder.record(subject(), issuing);
  recorder.record(subject('other'), issuing);
  recorder.record(subject('web', 'uid-made-again'), issuing);
  recorder.record(subject(), {...issuing, type: 'Warning'});
  recorder.record(subject(), {...issuing, reason: 'Other'});
  recorder.record(subject(), {...issuing, message: 'other'});
  recorder.record(subject(), {...issuing, component: 'other'});
  await recorder.flush();
  t.is(new Set(api.asked()).size, 1);
  t.is(api.requests.length, 7);
});

test('the same events at the same time are one that is counted', async t => {
  let created = false;
  const {recorder, api} = aRecorder(async ({verb}) => {
    if (verb === 'patch') return created ? accept() : refusal(404, 'NotFound');
    await new Promise(resolve => setImmediate(resolve));
    created = true;
    return accept();
  });
  for (let index = 0; index < 4; index += 1) recorder.record(subject(), issuing);
  await recorder.flush();
  t.deepEqual(api.asked().toSorted(), [
    'create events',
    'patch events',
    'patch events',
    'patch events',
  ]);
  t.is(api.asked()[0], 'create events');
});

test('an event that has expired in the API is told anew', async t => {
  const {recorder, api} = aRecorder(({verb}) =>
    verb === 'patch' ? refusal(404, 'NotFound') : accept(),
  );
  recorder.record(subject(), issuing);
  await recorder.flush();
  recorder.record(subject(), issuing);
  await recorder.flush();
  t.deepEqual(api.asked(), ['create events', 'patch events', 'create events']);
});

test('one object has no more than 25 new events in ten minutes', async t => {
  const {recorder, api, clock} = aRecorder();
  for (let index = 0; index < 40; index += 1) {
    recorder.record(subject(), {...issuing, message: `attempt ${index}`});
  }
  recorder.record(subject('other'), issuing);
  await recorder.flush();
  t.is(api.requests.length, 26);
  clock.advance(10 * 60_000);
  recorder.record(subject(), {...issuing, message: 'later'});
  await recorder.flush();
  t.is(api.requests.length, 27);
});

test('more events than fit are dropped and counted, and nothing is thrown', async t => {
  const {recorder, api, lines} = aRecorder(accept, {pace: {burst: 10_000, perSecond: 1}});
  for (let index = 0; index < 5_010; index += 1) recorder.record(subject(`c${index}`), issuing);
  await recorder.flush();
  t.is(api.requests.length, 5_000);
  t.true(lines.some(line => line.includes('events were dropped') && line.includes('count=10')));
});

test('events beyond the pace come later, warnings before the others', async t => {
  const {recorder, api} = aRecorder(accept, {pace: {burst: 2, perSecond: 100}});
  for (let index = 0; index < 20; index += 1) recorder.record(subject(`c${index}`), issuing);
  recorder.record(subject('late'), {...issuing, type: 'Warning'});
  await recorder.flush();
  t.is(api.requests.length, 21);
  const warned = api.requests.findIndex(({body}) => (body as {type: string}).type === 'Warning');
  t.true(warned <= 4, 'those that waited at a sender were before it');
});

test('a recorder that closes does not keep to its pace', async t => {
  const {recorder, api} = aRecorder(accept, {pace: {burst: 1, perSecond: 0.001}});
  for (let index = 0; index < 20; index += 1) recorder.record(subject(`c${index}`), issuing);
  await recorder[Symbol.asyncDispose]();
  t.is(api.requests.length, 20);
});

test('a token bucket gives its burst at once, then one after the other, and fills up again', t => {
  let nowMs = 0;
  const bucket = createTokenBucket({burst: 3, perSecond: 10, nowMs: () => nowMs});
  t.deepEqual(
    [1, 2, 3, 4, 5].map(() => bucket.take()),
    [0, 0, 0, 100, 200],
  );
  nowMs = 100;
  t.is(bucket.take(), 200);
  nowMs = 60_000;
  t.deepEqual(
    [1, 2, 3, 4].map(() => bucket.take()),
    [0, 0, 0, 100],
  );
});

test('an event that cannot be sent stops no other', async t => {
  const {recorder, api, lines} = aRecorder(({body}) =>
    JSON.stringify(body).includes('bad') ? refusal(403, 'Forbidden') : accept(),
  );
  recorder.record(subject('bad'), issuing);
  recorder.record(subject('good'), issuing);
  await recorder.flush();
  t.is(api.requests.length, 2);
  t.true(lines.some(line => line.startsWith('debug') && line.includes('ERR_API_REFUSED')));
});

test('a long message is cut to what the API takes, between two characters', async t => {
  const {recorder, api} = aRecorder();
  recorder.record(subject(), {...issuing, message: 'ä'.repeat(2_000)});
  await recorder.flush();
  const {message} = api.requests[0]?.body as {message: string};
  t.true(Buffer.byteLength(message) <= 1_024);
  t.regex(message, /^ä+…$/);
});

test('an event holds on to no more of its object than its name', async t => {
  const {recorder, api} = aRecorder();
  recorder.record(subject(), issuing);
  await recorder.flush();
  t.false(JSON.stringify(api.requests[0]?.body).includes('large'));
});
