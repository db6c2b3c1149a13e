import {closeSync, writeSync} from 'node:fs';
import {collectOutput} from '#runtime/exec/output';
import {execProcessSpec} from '#runtime/exec/process-spec';
import {descendantsOf, parseProcessStat, type ProcessEntry} from '#runtime/exec/process-tree';
import {openPipe} from '#runtime/process/pipe';
import {eventually} from '#test/eventually';
import test from 'ava';

const CONFIG = `{"process": {"terminal": true, "consoleSize": {"height": 1, "width": 2},
  "user": {"uid": 1000, "gid": 18446744073709551615}, "args": ["init"], "env": ["A=1"],
  "rlimits": [{"type": "RLIMIT_CORE", "hard": 18446744073709551615, "soft": 1e3}]}}`;

test("an exec's process is the container's with another command", t => {
  const spec = execProcessSpec(CONFIG, {command: ['ls', '-l'], terminal: false});
  t.is(
    spec,
    '{"terminal":false,"user":{"uid":1000,"gid":18446744073709551615},"args":["ls","-l"],' +
      '"env":["A=1"],"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":1000}]}',
  );
});

test('a terminal has a TERM, and its size when that is known', t => {
  const read = (config: string, size?: {rows: number; columns: number}) =>
    JSON.parse(execProcessSpec(config, {command: ['sh'], terminal: true, size})) as unknown;
  t.like(read(CONFIG), {terminal: true, env: ['A=1', 'TERM=xterm'], consoleSize: undefined});
  t.like(read(CONFIG.replace('A=1', 'TERM=vt100')), {env: ['TERM=vt100']});
  t.like(read('{"process": {}}', {rows: 3, columns: 4}), {
    env: ['TERM=xterm'],
    consoleSize: {height: 3, width: 4},
  });
});

test('a line of /proc/PID/stat', t => {
  const rest = '0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3';
  t.deepEqual(parseProcessStat(`42 (a) b (c)) S 7 8 9 ${rest}`), {
    ...{pid: 42, parentPid: 7, processGroup: 8, session: 9},
    ...{isZombie: false, startTime: '987654'},
  });
  t.true(parseProcessStat(`42 (x) Z 7 8 9 ${rest}`)?.isZombie);
  for (const line of ['', '42', '42 (x', '42 (x) S 1 2']) t.is(parseProcessStat(line), undefined);
});

const entry = (pid: number, parentPid: number, session: number): ProcessEntry => ({
  ...{pid, parentPid, session, processGroup: session, isZombie: false, startTime: String(pid)},
});

/** 10 is the runtime, in session 5 with the daemon (5) and others. */
const SYSTEM = [entry(1, 0, 1), entry(5, 1, 5), entry(6, 5, 5), entry(10, 5, 5)];

const trees = [
  ['children at any depth', [entry(22, 21, 5), entry(21, 10, 5)], [], [21, 22]],
  ['an orphan in their session', [entry(21, 10, 21), entry(30, 1, 21)], [], [21, 30]],
  ['a session whose leader is gone', [entry(21, 10, 20), entry(30, 1, 20)], [], [21, 30]],
  ['orphans of a dead process seen before', [entry(30, 1, 21)], [21], [30]],
  ['what an orphan has started', [entry(30, 1, 21), entry(31, 30, 31)], [21], [30, 31]],
  ['nobody of the daemon’s session', [entry(21, 10, 5), entry(30, 1, 5)], [], [21]],
  ['no daemon that has left its session', [entry(21, 10, 21), entry(30, 1, 30)], [], [21]],
] as const;

for (const [title, processes, seen, expected] of trees) {
  test(`below a runtime: ${title}`, t => {
    const found = descendantsOf(10, [...SYSTEM, ...processes], new Set(seen));
    t.deepEqual(found.map(({pid}) => pid).sort(), [...expected]);
  });
}

test('below a runtime that has ended: nobody', t => {
  t.deepEqual(descendantsOf(11, [...SYSTEM, entry(30, 1, 21)], new Set([21])), []);
});

test('output is what was written, although the pipe stays open', async t => {
  const {read, write} = openPipe();
  const output = collectOutput(read, 1000);
  writeSync(write, 'first ');
  await eventually(() => output.take().length === 6);
  writeSync(write, 'second');
  t.is(output.take().toString(), 'first second');
  t.is(output.take().toString(), 'first second');
  closeSync(write);
  output.close();
});

test('output beyond the limit is read and dropped', async t => {
  const {read, write} = openPipe();
  const output = collectOutput(read, 10);
  for (let round = 0; round < 100; round++) {
    writeSync(write, 'x'.repeat(4096));
    await new Promise(setImmediate);
  }
  t.is(output.take().toString(), 'xxxxxxxxxx');
  closeSync(write);
  output.close();
});

test('output that has ended', async t => {
  const {read, write} = openPipe();
  const output = collectOutput(read, 10);
  writeSync(write, 'end');
  closeSync(write);
  await eventually(() => output.take().length === 3);
  await new Promise(resolve => setTimeout(resolve, 5));
  t.is(output.take().toString(), 'end');
});
