import {spawn} from 'node:child_process';
import {once} from 'node:events';
import test from 'ava';
import {CHECKOUT} from '#lab/folders';
import {takeMachineLock} from '#shared/machine-lock';
import {isLabOfRun} from '#test/run/left-lab';
import {findLeftovers} from '#test/run/leftovers';
import {removeLeftProcesses} from '#test/run/left-processes';
import {formatTotals, totalsOf} from '#test/run/report';
import {TapReader, type TapTest} from '#test/run/tap';
import {labFolderPrefix} from '#test/run/this-run';

const TAP = `TAP version 13
ok 1 - a › passes
#   it logged this
not ok 2 - a › fails
  ---
    message: 'one is not two'
  ...
ok 3 - a › waits # SKIP
# a hook of its own

1..3
# tests 3
# pass 1`;

test('a TAP stream is counted, and only what a person wants to read is handed on', t => {
  const tests: TapTest[] = [];
  const details: string[] = [];
  const reader = new TapReader({
    onTest: each => void tests.push(each),
    onDetail: line => void details.push(line),
  });
  for (const line of TAP.split('\n')) reader.push(line);
  t.deepEqual(tests, [
    {ok: true, skipped: false, title: 'a › passes'},
    {ok: false, skipped: false, title: 'a › fails'},
    {ok: true, skipped: true, title: 'a › waits'},
  ]);
  t.deepEqual(details, ['it logged this', "    message: 'one is not two'"]);
  t.deepEqual([reader.passed, reader.failed, reader.skipped], [1, 1, 1]);
});

test('the last line has skipped tests only when there are any', t => {
  const level = {name: 'unit', seconds: 1};
  const results = [
    {...level, passed: 2, failed: 0, skipped: 0},
    {...level, passed: 3, failed: 1, skipped: 0},
  ];
  t.is(formatTotals(totalsOf(results)), '5 passed, 1 failed');
  const skipped = {...level, passed: 0, failed: 0, skipped: 1};
  t.is(formatTotals(totalsOf([...results, skipped])), '5 passed, 1 failed, 1 skipped');
});

test('leftovers are what came and stayed, not what went', t => {
  const before = {interface: ['lo', 'eth0'], mount: ['/', '/old']};
  t.deepEqual(findLeftovers(before, {interface: ['lo', 'eth0'], mount: ['/']}), []);
  const after = {interface: ['lo', 'eth0', 'slipway0'], mount: ['/', '/', '/new', '/new']};
  t.deepEqual(findLeftovers(before, after), ['interface slipway0', 'mount /new']);
});

test("what a machine does by itself meanwhile is nobody's leftover", t => {
  const after = {
    mount: ['/run/user/1000', '/run/user/1000/doc', '/run/netns', '/run/users'],
    'control group': ['system.slice/apt-daily.service', 'systemd/user.slice', 'slipway-lab'],
  };
  t.deepEqual(findLeftovers({}, after), ['mount /run/users', 'control group slipway-lab']);
});

test('a lab is removed after the tests only when it is of their checkout, or in a folder of theirs', t => {
  t.true(isLabOfRun(CHECKOUT));
  t.true(isLabOfRun(`${labFolderPrefix()}Xy1`));
  t.false(isLabOfRun(`${CHECKOUT}-2`));
  t.false(isLabOfRun('/home/somebody/slipway'));
  t.false(isLabOfRun(labFolderPrefix().replace(/-[^-]*-$/, '-other-')));
});

test('a process that a test left is found by the mark of the run, named and killed', async t => {
  const mark = `SLIPWAY_TEST_MARK=${process.pid}`;
  const env = {...process.env, SLIPWAY_TEST_MARK: String(process.pid)};
  const child = spawn('sleep', ['4711'], {env, detached: true});
  const ended = once(child, 'exit');
  await once(child, 'spawn');
  t.deepEqual(await removeLeftProcesses(mark, 0), [
    `process ${child.pid} sleep 4711 in ${process.cwd()}`,
  ]);
  t.deepEqual(await ended, [null, 'SIGKILL']);
  t.deepEqual(await removeLeftProcesses(mark, 0), []);
});

test("the machine's lock is one process's at a time, and free again afterwards", async t => {
  const name = `slipway-lock-test-${process.pid}`;
  {
    await using held = await takeMachineLock(name);
    t.truthy(held);
    t.is(await takeMachineLock(name), undefined);
  }
  await using again = await takeMachineLock(name);
  t.truthy(again);
});
