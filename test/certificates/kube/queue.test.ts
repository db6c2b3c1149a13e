import test from 'ava';
import {createWorkQueue, type Outcome, type WorkQueue} from '#certificates/kube/work-queue';
import type {WorkQueueOptions, WorkResult} from '#certificates/kube/work-queue';
import {systemClock} from '#certificates/kube/clock';
import {CodedError} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import {createLog} from '#shared/log';
import {MovableClock} from '#test/certificates/movable-clock';
import {waitFor} from '#shared/wait-for';

const START = new Date('2026-01-01T00:00:00Z');
const unreachable = new CodedError('ERR_API_UNREACHABLE', 'nobody', {hint: 'look'});
const conflict = new ApiRefusedError('update', {status: 409, reason: 'Conflict', message: ''});

interface Bench {
  readonly queue: WorkQueue;
  readonly clock: MovableClock;
  /** Keys in the order in which work on them began. */
  readonly began: string[];
  readonly lines: string[];
  readonly results: WorkResult[];
  /** Lets all turns pass that need no clock. */
  readonly settle: () => Promise<void>;
}

function aQueue(
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome> | Outcome = () => undefined,
  options: Partial<WorkQueueOptions> = {},
): Bench {
  const clock = new MovableClock({start: START, frozen: true});
  const [began, lines, results]: [string[], string[], WorkResult[]] = [[], [], []];
  const queue = createWorkQueue({
    name: 'test',
    workers: 1,
    clock,
    backoff: {firstMs: 1_000, lastMs: 8_000},
    log: createLog({level: 'debug', write: line => lines.push(line)}),
    random: () => 0,
    onOutcome: result => results.push(result),
    async reconcile(key, {signal}) {
      began.push(key);
      return reconcile(key, signal);
    },
    ...options,
  });
  return {queue, clock, began, lines, results, settle};
}

/** A turn of the event loop is enough for what needs no I/O; a queue takes one or two. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(resolve => setImmediate(resolve));
}

/** Work that goes on until the test lets it end. */
function gate(): {readonly passed: Promise<undefined>; readonly open: () => void} {
  const {promise, resolve} = Promise.withResolvers<undefined>();
  return {
    passed: promise,
    open: () => {
      resolve(undefined);
    },
  };
}

test('keys are worked on in the order of arrival, each once', async t => {
  const {queue, began} = aQueue();
  for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key);
  t.is(queue.depth, 3);
  await settle();
  t.deepEqual(began, ['b', 'a', 'c']);
  t.is(queue.depth, 0);
});

test('a key that is added while it is worked on is worked on again, but never twice at once', async t => {
  const first = gate();
  const gates = [first];
  let atOnce = 0;
  let most = 0;
  const {queue, began} = aQueue(
    async () => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await gates.shift()?.passed;
      atOnce -= 1;
    },
    {workers: 4},
  );
  queue.add('a');
  await settle();
  for (let index = 0; index < 5; index += 1) queue.add('a');
  await settle();
  t.deepEqual(began, ['a']);
  first.open();
  await settle();
  t.deepEqual(began, ['a', 'a']);
  t.is(most, 1);
});

test('no more keys are worked on at once than there are workers, and others go on past a slow one', async t => {
  const slow = gate();
  const {queue, began} = aQueue(key => (key === 'slow' ? slow.passed : undefined), {workers: 2});
  for (const key of ['slow', 'a', 'b', 'c']) queue.add(key);
  await settle();
  t.deepEqual(began, ['slow', 'a', 'b', 'c']);
  t.is(queue.running, 1);
  slow.open();
  await settle();
  t.is(queue.running, 0);
});

test('a key that is added again and again lets the others have their turn', async t => {
  const {queue, began} = aQueue(key => {
    if (key === 'busy' && began.length < 8) queue.add('busy');
    return undefined;
  });
  for (const key of ['busy', 'a', 'b']) queue.add(key);
  await settle();
  t.deepEqual(began.slice(0, 4), ['busy', 'a', 'b', 'busy']);
});

test('what is added ahead comes first, also when it waited with the others or is being worked on', async t => {
  const held = gate();
  const {queue, began} = aQueue(key => (key === 'a' ? held.passed : undefined));
  queue.add('a');
  await settle();
  for (const key of ['b', 'c', 'd']) queue.add(key);
  queue.add('d', {ahead: true});
  queue.add('d'); // does not put it back
  queue.add('a', {ahead: true});
  queue.add('a');
  t.is(queue.depth, 3);
  held.open();
  await settle();
  t.deepEqual(began, ['a', 'd', 'a', 'b', 'c']);
  t.is(queue.depth, 0);
});

test('keys that are added ahead again and again do not keep the others from their turn', async t => {
  const bench = aQueue(key => {
    if (key.startsWith('busy') && bench.began.length < 100) bench.queue.add(key, {ahead: true});
  });
  bench.queue.add('busy-1', {ahead: true});
  bench.queue.add('busy-2', {ahead: true});
  bench.queue.add('calm');
  for (let turn = 0; turn < 100 && bench.queue.depth > 0; turn += 1) await settle();
  const place = bench.began.indexOf('calm');
  t.true(place > 2 && place < 20, String(place));
});

test('addAt() replaces the instant that a key had; add() does not wait for it', async t => {
  const {queue, clock, began} = aQueue();
  queue.addAt('a', new Date(START.getTime() + 1_000));
  queue.addAt('a', new Date(START.getTime() + 5_000));
  clock.advance(4_000);
  await settle();
  t.deepEqual(began, []);
  clock.advance(1_000);
  await settle();
  t.deepEqual(began, ['a']);
  queue.addAt('b', new Date(START.getTime() + 60_000));
  queue.add('b');
  await settle();
  t.deepEqual(began, ['a', 'b']);
  t.is(queue.scheduled, 0, 'what was to be looked at then was looked at');
  queue.addAt('c', START);
  await settle();
  t.deepEqual(began, ['a', 'b', 'c'], 'what has passed is now');
});

test('a reconciliation that asks for an instant is called again then', async t => {
  const {queue, clock, began, results} = aQueue(() => ({
    requeueAt: new Date(clock.now().getTime() + 60_000),
  }));
  queue.add('a');
  await settle();
  clock.advance(59_999);
  await settle();
  t.is(began.length, 1);
  clock.advance(1);
  await settle();
  t.is(began.length, 2);
  t.deepEqual(
    results.map(({result}) => result),
    ['requeued', 'requeued'],
  );
});

test('of the instant that a reconciliation asks for and one that was set meanwhile, the earlier counts', async t => {
  const working = gate();
  const {queue, clock, began} = aQueue(async () => {
    await working.passed;
    return {requeueAt: new Date(START.getTime() + 60_000)};
  });
  queue.add('a');
  await settle();
  queue.addAt('a', new Date(START.getTime() + 1_000));
  working.open();
  await settle();
  clock.advance(1_000);
  await settle();
  t.is(began.length, 2);
});

test('a failure is tried again after times that double up to a limit, and success forgets it', async t => {
  let failing = true;
  const {queue, clock, began, lines} = aQueue(() => {
    if (failing) throw unreachable;
    return undefined;
  });
  queue.add('a');
  await settle();
  for (const waitMs of [1_000, 2_000, 4_000, 8_000, 8_000]) {
    const before = began.length;
    clock.advance(waitMs - 1);
    await settle();
    t.is(began.length, before, `not before ${waitMs} ms`);
    clock.advance(1);
    await settle();
    t.is(began.length, before + 1, `after ${waitMs} ms`);
  }
  t.true(lines.every(line => line.startsWith('warn') && line.includes('ERR_API_UNREACHABLE')));
  failing = false;
  clock.advance(8_000);
  await settle();
  failing = true;
  queue.add('a');
  await settle();
  const before = began.length;
  clock.advance(1_000);
  await settle();
  t.is(began.length, before + 1);
});

test('events of a key that has just failed do not make it a busy loop', async t => {
  const {queue, clock, began} = aQueue(() => {
    queue.add('a'); // as its own write would
    throw unreachable;
  });
  queue.add('a');
  await settle();
  for (let index = 0; index < 10; index += 1) queue.add('a');
  await settle();
  t.is(began.length, 1);
  clock.advance(1_000);
  await settle();
  t.is(began.length, 2);
});

test('a conflict is tried again at once, quietly, and at the event of the other write', async t => {
  const {queue, clock, began, lines, results} = aQueue(() => {
    if (began.length < 3) throw conflict;
    return undefined;
  });
  queue.add('a');
  await settle();
  clock.advance(50);
  await settle();
  t.is(began.length, 2);
  queue.add('a');
  await settle();
  t.is(began.length, 3);
  t.true(lines.every(line => line.startsWith('debug')));
  t.deepEqual(
    results.map(({result}) => result),
    ['conflict', 'conflict', 'done'],
  );
});

test('a defect of ours is an error in the log, and the key is tried again', async t => {
  const {queue, clock, began, lines} = aQueue(() => {
    throw new TypeError('undefined is not a function');
  });
  queue.add('a');
  await settle();
  clock.advance(1_000);
  await settle();
  t.is(began.length, 2);
  t.true(lines[0]?.startsWith('error'));
});

test('when everything fails, the log says some of it and how much more there is', async t => {
  const {queue, clock, lines} = aQueue(() => {
    throw unreachable;
  });
  for (let index = 0; index < 500; index += 1) queue.add(`key-${index}`);
  await waitFor(() => Promise.resolve(queue.scheduled === 500 || undefined), {
    signal: AbortSignal.timeout(10_000),
    timeoutMs: 10_000,
  });
  t.is(lines.length, 50);
  clock.advance(20_000);
  await settle();
  t.true(lines.some(line => line.includes('unlogged=450')));
});

test('disposing waits for what runs and begins nothing more', async t => {
  const working = gate();
  const {queue, clock, began} = aQueue(() => working.passed);
  queue.add('a');
  await settle();
  queue.add('b');
  queue.addAt('c', new Date(START.getTime() + 10));
  let disposed = false;
  const disposing = queue[Symbol.asyncDispose]().then(() => {
    disposed = true;
  });
  clock.advance(1_000);
  queue.add('d');
  await settle();
  t.false(disposed);
  working.open();
  await disposing;
  t.deepEqual(began, ['a']);
  t.is(clock.pending, 0);
});

test('disposing does not wait for ever: what runs is aborted after a while', async t => {
  const {queue} = aQueue(
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      }),
    {drainMs: 1},
  );
  queue.add('a');
  await settle();
  await queue[Symbol.asyncDispose]();
  t.is(queue.running, 0);
});

test('an aborted signal ends what runs at once, and that is no failure of the key', async t => {
  const ending = new AbortController();
  const {queue, lines} = aQueue(
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      }),
    {signal: ending.signal},
  );
  queue.add('a');
  await settle();
  ending.abort(new Error('lost'));
  await queue[Symbol.asyncDispose]();
  t.deepEqual(lines, []);
  queue.add('b');
  t.is(queue.depth, 0);
});

test('10,000 keys wait with one timer, and sockets get their turn while they are worked on', async t => {
  const clock = new MovableClock({start: START, frozen: true});
  const {queue, began} = aQueue(() => undefined, {clock, workers: 5});
  for (let index = 0; index < 10_000; index += 1) {
    queue.addAt(`key-${index}`, new Date(START.getTime() + 1_000 + (index % 100)));
  }
  t.is(clock.pending, 1);
  t.is(queue.scheduled, 10_000);
  clock.advance(1_100);
  t.is(queue.depth, 10_000);
  let turns = 0;
  while (began.length < 10_000) {
    await new Promise(resolve => setImmediate(resolve));
    turns += 1;
  }
  t.true(turns > 1);
});

test('a queue on the machine’s own clock works', async t => {
  const {queue, began} = aQueue(() => undefined, {clock: systemClock});
  queue.addAt('a', new Date(Date.now() + 5));
  await waitFor(() => Promise.resolve(began.length > 0 || undefined), {
    signal: AbortSignal.timeout(5_000),
    timeoutMs: 5_000,
    intervalMs: 2,
  });
  t.deepEqual(began, ['a']);
});
