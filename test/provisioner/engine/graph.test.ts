import test from 'ava';
import {setImmediate as turn} from 'node:timers/promises';
import {CodedError} from '#shared/errors';
import type {RunEvent} from '#provisioner/engine/events';
import {runGraph, type Task, type TaskContext, taskKey} from '#provisioner/engine/graph';

/** A graph under a test's control: every task waits until the test ends it. */
class Bench {
  readonly events: RunEvent[] = [];
  readonly order: string[] = [];
  readonly abort = new AbortController();
  readonly #gates = new Map<string, PromiseWithResolvers<number>>();
  busyMax = 0;
  #busy = 0;
  #nowMs = 0;

  task(key: string, fields: Partial<Task> = {}): Task {
    const [phase = '', host] = key.split('@');
    const run = async (context: TaskContext): Promise<number> => {
      this.order.push(key);
      this.busyMax = Math.max(this.busyMax, ++this.#busy);
      context.progress('at it');
      try {
        return await this.#gate(key).promise;
      } finally {
        this.#busy--;
      }
    };
    return {phase, ...(host === undefined ? {} : {host}), after: [], run, ...fields};
  }

  #gate(key: string): PromiseWithResolvers<number> {
    const gate = this.#gates.get(key) ?? Promise.withResolvers<number>();
    this.#gates.set(key, gate);
    return gate;
  }

  async end(key: string, changes = 1): Promise<void> {
    this.#nowMs += 1_500;
    this.#gate(key).resolve(changes);
    await settle();
  }

  async fail(key: string, error: unknown = failure): Promise<void> {
    this.#gate(key).reject(error);
    await settle();
  }

  async start(tasks: readonly Task[], {forks = 10} = {}) {
    const now = () => this.#nowMs;
    const emit = (event: RunEvent) => void this.events.push(event);
    const results = runGraph(tasks, {signal: this.abort.signal, emit, forks, now});
    results.catch(() => undefined);
    await settle();
    return {results};
  }

  kinds(): readonly string[] {
    return this.events
      .filter(({type}) => type !== 'task-progress')
      .map(event => `${event.type.slice(5)} ${'phase' in event ? taskKey(event) : ''}`);
  }
}

const failure = new CodedError('ERR_X', 'it broke', {hint: 'mend it'});

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await turn();
};

test('a task starts as soon as all it waits for have ended, and not earlier', async t => {
  const bench = new Bench();
  const {results} = await bench.start([
    bench.task('last@h1', {after: ['a@h1', 'b@h2']}),
    bench.task('a@h1'),
    bench.task('b@h2'),
  ]);
  t.deepEqual(bench.order, ['a@h1', 'b@h2']);
  await bench.end('a@h1');
  t.is(bench.order.length, 2);
  await bench.end('b@h2');
  t.deepEqual(bench.order, ['a@h1', 'b@h2', 'last@h1']);
  await bench.end('last@h1', 3);
  t.deepEqual((await results).get('last@h1'), {kind: 'done', changes: 3});
});

test('tasks that wait for nothing run at the same time, also on one host', async t => {
  const bench = new Bench();
  const {results} = await bench.start([bench.task('a@h1'), bench.task('b@h1'), bench.task('c')]);
  t.is(bench.busyMax, 3);
  for (const key of ['a@h1', 'b@h1', 'c']) await bench.end(key);
  await results;
});

test('forks limit the hosts at work, not the tasks of a host or of the cluster', async t => {
  const bench = new Bench();
  const keys = ['a@h1', 'a@h2', 'b@h1', 'a@h3', 'cluster'];
  const {results} = await bench.start(
    keys.map(key => bench.task(key)),
    {forks: 2},
  );
  t.deepEqual(bench.order, ['a@h1', 'a@h2', 'b@h1', 'cluster']);
  await bench.end('a@h1');
  t.is(bench.order.length, 4, 'h1 is still at work');
  await bench.end('b@h1');
  t.is(bench.order.at(-1), 'a@h3');
  for (const key of keys) await bench.end(key);
  await results;
});

test('a task with nothing to do ends at its turn, without an event and without a fork', async t => {
  const bench = new Bench();
  const {results} = await bench.start(
    [
      bench.task('busy@h1'),
      bench.task('idle@h2', {idle: true}),
      bench.task('idle@h1', {idle: true, after: ['busy@h1']}),
      bench.task('last@h1', {after: ['idle@h1', 'idle@h2']}),
    ],
    {forks: 1},
  );
  t.deepEqual(bench.order, ['busy@h1']);
  await bench.end('busy@h1');
  await bench.end('last@h1');
  t.deepEqual((await results).get('idle@h1'), {kind: 'done', changes: 0});
  t.false(bench.kinds().some(text => text.includes('idle')));
});

test('a failure skips what needs it, directly or not, and nothing else', async t => {
  const bench = new Bench();
  const {results} = await bench.start([
    bench.task('a@h1'),
    bench.task('b@h1', {after: ['a@h1']}),
    bench.task('c@h1', {after: ['b@h1']}),
    bench.task('a@h2'),
    bench.task('b@h2', {after: ['a@h2']}),
  ]);
  await bench.fail('a@h1');
  await bench.end('a@h2');
  await bench.end('b@h2');
  const ended = await results;
  t.deepEqual(ended.get('a@h1'), {kind: 'failed', error: failure});
  t.deepEqual(ended.get('b@h1'), {kind: 'skipped', reason: 'a@h1 did not succeed'});
  t.deepEqual(ended.get('c@h1'), {kind: 'skipped', reason: 'b@h1 did not succeed'});
  t.is(ended.get('b@h2')?.kind, 'done');
});

test('a task that waits for an end only runs after failures and skips, too', async t => {
  const bench = new Bench();
  const {results} = await bench.start([
    bench.task('a@h1'),
    bench.task('b@h1', {after: ['a@h1']}),
    bench.task('verify', {after: [], afterSettled: ['a@h1', 'b@h1']}),
  ]);
  t.false(bench.order.includes('verify'));
  await bench.fail('a@h1');
  t.true(bench.order.includes('verify'));
  await bench.end('verify');
  t.is((await results).get('verify')?.kind, 'done');
});

test('after an abort nothing new starts, and what runs is waited for', async t => {
  const bench = new Bench();
  const {results} = await bench.start([
    bench.task('a@h1'),
    bench.task('b@h1', {after: ['a@h1']}),
    bench.task('idle@h1', {after: ['b@h1'], idle: true}),
  ]);
  bench.abort.abort(new Error('enough'));
  let ended = false;
  void results.then(() => (ended = true));
  await settle();
  t.false(ended);
  await bench.end('a@h1');
  const map = await results;
  t.deepEqual(map.get('a@h1'), {kind: 'done', changes: 1});
  t.deepEqual(map.get('b@h1'), {kind: 'skipped', reason: 'interrupted'});
  t.deepEqual(bench.order, ['a@h1']);
  t.deepEqual(bench.kinds(), ['started a@h1', 'finished a@h1', 'skipped b@h1']);
});

test('a task that stops because of the abort is skipped, one that fails has failed', async t => {
  const bench = new Bench();
  const {results} = await bench.start([bench.task('a@h1'), bench.task('a@h2')]);
  const reason = new Error('enough');
  bench.abort.abort(reason);
  await bench.fail('a@h1', reason);
  await bench.fail('a@h2', failure);
  t.deepEqual((await results).get('a@h1'), {kind: 'skipped', reason: 'interrupted'});
  t.is((await results).get('a@h2')?.kind, 'failed');
});

test('events tell what happened, with times and reasons', async t => {
  const bench = new Bench();
  const {results} = await bench.start([
    bench.task('a@h1'),
    bench.task('b', {after: ['a@h1']}),
    bench.task('c', {after: ['b']}),
  ]);
  await bench.end('a@h1', 2);
  await bench.fail('b');
  await results;
  t.deepEqual(bench.events, [
    {type: 'task-started', phase: 'a', host: 'h1'},
    {type: 'task-progress', phase: 'a', host: 'h1', text: 'at it'},
    {type: 'task-finished', phase: 'a', host: 'h1', changes: 2, seconds: 1.5},
    {type: 'task-started', phase: 'b'},
    {type: 'task-progress', phase: 'b', text: 'at it'},
    {type: 'task-failed', phase: 'b', code: 'ERR_X', message: 'it broke', hint: 'mend it'},
    {type: 'task-skipped', phase: 'c', reason: 'b did not succeed'},
  ]);
});

test('a defect is a failed task without a code of its own', async t => {
  const bench = new Bench();
  const {results} = await bench.start([bench.task('a')]);
  await bench.fail('a', new TypeError('undefined is not a function'));
  t.is((await results).get('a')?.kind, 'failed');
  t.like(bench.events.at(-1), {type: 'task-failed', code: 'ERR_DEFECT'});
});

const refuses = test.macro(async (t, links: Record<string, Partial<Task>>) => {
  const bench = new Bench();
  const tasks = Object.entries(links).map(([key, fields]) => bench.task(key, fields));
  const {results} = await bench.start(tasks);
  await t.throwsAsync(results, {instanceOf: TypeError});
  t.deepEqual(bench.order, []);
});
test('a circle is refused before anything runs', refuses, {
  x: {},
  a: {after: ['c']},
  b: {after: ['a']},
  c: {afterSettled: ['b']},
});
test('a task that waits for itself is refused', refuses, {a: {after: ['a']}});
test('a task that waits for one that is not there is refused', refuses, {a: {after: ['b@h1']}});
test('a task that waits for the end of one that is not there is refused', refuses, {
  a: {afterSettled: ['b']},
});

test('two tasks of one name are refused', async t => {
  const bench = new Bench();
  const {results} = await bench.start([bench.task('a@h1'), bench.task('a@h1')]);
  await t.throwsAsync(results, {instanceOf: TypeError});
});

test('a graph without tasks ends at once', async t => {
  const {results} = await new Bench().start([]);
  t.is((await results).size, 0);
});
