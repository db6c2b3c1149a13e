import {setImmediate as turn} from 'node:timers/promises';
import {CodedError} from '#shared/errors';
import {systemClock} from '#runtime/store/clock';
import {EventStream, EVENTS_BEHIND_MAX} from '#runtime/store/events';
import {containerName, sandboxName} from '#runtime/store/names';
import {PodQueue, PodQueues, QUEUE_LENGTH_MAX} from '#runtime/store/queue';
import {SharedWork} from '#runtime/store/shared-work';
import {UndoStack} from '#runtime/store/undo';
import {createLog} from '#shared/log';
import test from 'ava';

const stopped = new CodedError('ERR_SANDBOX_NOT_READY', 'it is being stopped', {
  hint: 'start anew',
});
const {signal: never} = new AbortController();

test('work of one pod runs one piece after the other, in order', async t => {
  const queue = new PodQueue();
  const seen: string[] = [];
  const work = (name: string) =>
    queue.run({
      name,
      interruptible: false,
      run: async () => {
        seen.push(`${name} begins`);
        await turn();
        seen.push(`${name} ends`);
      },
    });
  await Promise.all([work('a'), work('b')]);
  t.deepEqual(seen, ['a begins', 'a ends', 'b begins', 'b ends']);
  t.true(queue.idle);
});

test('work that fails does not keep the next from running', async t => {
  const queue = new PodQueue();
  const failed = queue.run({
    name: 'a',
    interruptible: false,
    run: () => Promise.reject(new RangeError('no')),
  });
  const next = queue.run({name: 'b', interruptible: false, run: () => Promise.resolve(7)});
  await t.throwsAsync(failed, {instanceOf: RangeError});
  t.is(await next, 7);
});

test('interrupt() drops interruptible work that waits, and aborts the one that runs', async t => {
  const queue = new PodQueue();
  const running = queue.run({name: 'create', interruptible: true, run: untilAborted});
  const waiting = queue.run({name: 'start', interruptible: true, run: () => Promise.resolve()});
  const stop = queue.run({
    name: 'stop',
    interruptible: false,
    run: () => Promise.resolve('stopped'),
  });
  queue.interrupt(stopped);
  await t.throwsAsync(running, {code: 'ERR_SANDBOX_NOT_READY'});
  await t.throwsAsync(waiting, {code: 'ERR_SANDBOX_NOT_READY'});
  t.is(await stop, 'stopped');
});

test('work whose caller went away before it began is not begun', async t => {
  const queue = new PodQueue();
  const caller = new AbortController();
  const gate = Promise.withResolvers<undefined>();
  const first = queue.run({name: 'a', interruptible: false, run: () => gate.promise});
  const second = queue.run({
    name: 'b',
    interruptible: true,
    signal: caller.signal,
    run: () => Promise.reject(new Error('was begun')),
  });
  caller.abort(new RangeError('gone'));
  gate.resolve(undefined);
  await first;
  await t.throwsAsync(second, {instanceOf: RangeError});
});

test('a queue has an end', async t => {
  const queue = new PodQueue();
  const gate = Promise.withResolvers<undefined>();
  const work = () => queue.run({name: 'a', interruptible: false, run: () => gate.promise});
  const all = Array.from({length: QUEUE_LENGTH_MAX + 1}, work);
  await t.throwsAsync(work(), {code: 'ERR_QUEUE_FULL'});
  gate.resolve(undefined);
  await Promise.all(all);
});

test('a queue is kept while it is busy, and no longer', async t => {
  const queues = new PodQueues();
  const gate = Promise.withResolvers<undefined>();
  const work = queues.of('a').run({name: 'a', interruptible: false, run: () => gate.promise});
  const queue = queues.of('a');
  t.is(queues.of('a'), queue);
  gate.resolve(undefined);
  await work;
  await turn();
  t.not(queues.of('a'), queue);
});

test('a retry joins the work under way, and work goes on when its caller goes away', async t => {
  const work = new SharedWork<string>();
  const gate = Promise.withResolvers<string>();
  const caller = new AbortController();
  let begun = 0;
  const begin = () => {
    begun += 1;
    return gate.promise;
  };
  const first = work.join('name', caller.signal, begin);
  caller.abort(new RangeError('gone'));
  await t.throwsAsync(first, {instanceOf: RangeError});
  const retry = work.join('name', never, begin);
  gate.resolve('id');
  t.is(await retry, 'id');
  t.is(begun, 1);
});

test('work that failed is begun anew by the next caller', async t => {
  const work = new SharedWork<string>();
  await t.throwsAsync(
    work.join('name', never, () => Promise.reject(new RangeError('no'))),
    {instanceOf: RangeError},
  );
  t.is(await work.join('name', never, () => Promise.resolve('id')), 'id');
});

test('undoing goes backwards, and past a step that fails', async t => {
  const lines: string[] = [];
  const undo = new UndoStack(createLog({level: 'info', write: line => lines.push(line)}));
  const undone: string[] = [];
  undo.defer('first', () => void undone.push('first'));
  undo.defer('second', () => {
    throw new Error('no');
  });
  undo.defer('third', () => void undone.push('third'));
  await undo.unwind();
  t.deepEqual(undone, ['third', 'first']);
  t.is(lines.length, 1);
  await undo.unwind();
  t.deepEqual(undone, ['third', 'first']);
});

test('every subscriber gets every event in order, until it goes', async t => {
  const events = new EventStream<number>();
  const [one, two] = [new AbortController(), new AbortController()];
  const read = async (signal: AbortSignal): Promise<readonly number[]> => {
    const seen: number[] = [];
    for await (const event of events.subscribe(signal)) seen.push(event);
    return seen;
  };
  const [first, second] = [read(one.signal), read(two.signal)];
  await turn();
  events.emit(() => 1);
  events.emit(() => undefined);
  await turn();
  one.abort();
  t.deepEqual(await first, [1]);
  events.emit(() => 2);
  await turn();
  two.abort();
  t.deepEqual(await second, [1, 2]);
});

test('without subscribers no event is built', t => {
  new EventStream<number>().emit(() => {
    throw new Error('was built');
  });
  t.pass();
});

test('a subscriber that does not read is cut off, never misled', async t => {
  const events = new EventStream<number>();
  const subscriber = events.subscribe(never);
  const first = subscriber.next();
  for (let event = 0; event <= EVENTS_BEHIND_MAX + 1; event += 1) events.emit(() => event);
  await t.throwsAsync(
    async () => {
      await first;
      for (;;) await subscriber.next();
    },
    {code: 'ERR_SUBSCRIBER_TOO_SLOW'},
  );
});

test('names tell attempts apart', t => {
  const pod = {name: 'web', namespace: 'shop', uid: 'u-1', attempt: 2};
  t.is(sandboxName(pod), 'k8s_web_shop_u-1_2');
  t.is(containerName({name: 'app', attempt: 3}, pod), 'k8s_app_web_shop_u-1_3');
});

test('the clock never gives the same instant twice, and never goes back', t => {
  const read = [1000, 1000, 999, 1001];
  const clock = systemClock(() => read.shift() ?? 0);
  t.deepEqual(
    [clock.now(), clock.now(), clock.now(), clock.now()],
    [1_000_000_000n, 1_000_000_001n, 1_000_000_002n, 1_001_000_000n],
  );
});

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
}
