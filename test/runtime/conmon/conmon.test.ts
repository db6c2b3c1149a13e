import {mkdir, readdir, readFile, rename, rm, utimes, writeFile} from 'node:fs/promises';
import {constants, openSync, closeSync, readSync} from 'node:fs';
import {join} from 'node:path';
import {attach} from '#runtime/conmon/attach';
import {conmonCommand} from '#runtime/conmon/conmon-command';
import {reopenLog, resize} from '#runtime/conmon/control';
import {type ContainerExit, readExit, readExitFile} from '#runtime/conmon/exit-file';
import {watchExits} from '#runtime/conmon/exits';
import {type MonitoredContainer, watchMonitors} from '#runtime/conmon/monitors';
import {parseSyncReport} from '#runtime/conmon/sync-report';
import {isErrno} from '#shared/errors';
import {mknod} from '#runtime/sys/files';
import {eventually} from '#test/eventually';
import {testClient} from '#test/stream-io';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const COMMAND = {
  conmonPath: '/bin/conmon',
  runtime: {path: '/bin/runc', globalArguments: ['--root=/r'], systemdCgroup: false},
  ...{id: 'abc', name: 'k8s_a', bundle: '/b', logPath: '/logs/0.log'},
  ...{persistDirectory: '/p', exitsDirectory: '/e'},
  ...{terminal: false, stdin: false, leaveStdinOpen: false},
};

test('conmon’s command line', t => {
  t.is(
    conmonCommand(COMMAND).join(' '),
    '/bin/conmon --cid abc --cuuid abc --name k8s_a --bundle /b --full-attach' +
      ' --conmon-pidfile /b/conmon-pidfile --container-pidfile /b/pidfile' +
      ' --persist-dir /p --exit-dir /e' +
      ' --log-path k8s-file:/logs/0.log --no-sync-log --log-level error' +
      ' --runtime /bin/runc --runtime-arg --root=/r',
  );
});

const variants = [
  [{logSizeMax: 8192}, '--log-size-max 8192'],
  [{terminal: true}, '--terminal'],
  [{stdin: true}, '--stdin'],
  [{stdin: true, leaveStdinOpen: true}, '--stdin --leave-stdin-open'],
  [{stdin: true, terminal: true, leaveStdinOpen: true}, '--terminal --leave-stdin-open'],
  [{leaveStdinOpen: true}, ''],
  [{runtime: {...COMMAND.runtime, systemdCgroup: true}}, '--systemd-cgroup'],
] as const;

for (const [input, expected] of variants) {
  test(`conmon’s command line for ${JSON.stringify(input)}`, t => {
    const usual = new Set(conmonCommand(COMMAND));
    const words = conmonCommand({...COMMAND, ...input}).filter(word => !usual.has(word));
    t.is(words.join(' '), expected);
  });
}

test('a log on /dev/null is none: conmon would replace the device when it is full', t => {
  const command = conmonCommand({...COMMAND, logPath: '/dev/null', logSizeMax: 8192});
  t.is(command[command.indexOf('--log-path') + 1], 'none');
});

test('conmon’s report', t => {
  t.deepEqual(parseSyncReport('{"pid": 12}\n{"exit_code": 1}\n'), {kind: 'created', pid: 12});
  t.deepEqual(parseSyncReport('{"data": 12}'), {kind: 'created', pid: 12});
  const message = JSON.stringify(JSON.stringify({level: 'error', msg: 'no such file'}));
  t.deepEqual(parseSyncReport(`{"pid": -1, "message": ${message}}\n`), {
    ...{kind: 'failed', message: 'no such file'},
  });
  t.deepEqual(parseSyncReport('{"pid": 0}'), {kind: 'failed', message: ''});
  for (const text of ['', '\n', 'null', '[]', '{}', '{"pid": "1"}', '{"pid": 1.5}', '{"pid": 1']) {
    t.is(parseSyncReport(text), undefined, text);
  }
});

test('an exit file', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'exit');
  t.is(await readExitFile(path), undefined);
  for (const text of ['', 'x', '-1', '1 ', '1\n', '1234', '1'.repeat(100_000)]) {
    await writeFile(path, text);
    t.is(await readExitFile(path), undefined, text.slice(0, 10));
  }
  await writeFile(path, '137');
  await utimes(path, 1, 1_700_000_000.25);
  t.deepEqual(await readExitFile(path), {exitCode: 137, finishedAt: 1_700_000_000_250_000_000n});
});

test('killed for memory: the kernel’s count decides, conmon’s note only without it', async t => {
  await using folder = await temporaryFolder();
  t.is(await readExit(folder.path, 1), undefined);
  await writeFile(join(folder.path, 'exit'), '137');
  t.like(await readExit(folder.path), {exitCode: 137, oomKilled: false});
  t.like(await readExit(folder.path, 2), {oomKilled: true});
  await writeFile(join(folder.path, 'oom'), '');
  t.like(await readExit(folder.path), {oomKilled: true});
  t.like(await readExit(folder.path, 0), {oomKilled: false});
});

/** Drops a file as conmon does. */
async function drop(directory: string, id: string, exitCode: number): Promise<void> {
  const temporary = join(directory, `${id}.A1B2C3`);
  await writeFile(temporary, String(exitCode));
  await rename(temporary, join(directory, id));
}

test('each exit is reported once: those before the watch, and those after', async t => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, 'made', 'exits');
  await mkdir(directory, {recursive: true});
  await drop(directory, 'early', 1);
  const seen: [string, number][] = [];
  const watcher = watchExits(directory, (id, {exitCode}) => seen.push([id, exitCode]));
  await watcher.ready;
  t.deepEqual(seen, [['early', 1]]);
  await writeFile(join(directory, 'broken'), 'x');
  await drop(directory, 'late', 2);
  await eventually(() => seen.length === 2);
  await drop(directory, 'late', 3);
  await drop(directory, 'last', 4);
  await eventually(() => seen.length === 3);
  t.deepEqual(seen, [['early', 1], ['late', 2], ['last', 4]]); // prettier-ignore
  await watcher.forget('late');
  await watcher.forget('never');
  t.deepEqual((await readdir(directory)).sort(), ['broken', 'early', 'last']);
  watcher.close();
});

test('a folder of exits that goes away is told of', async t => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, 'exits');
  const warnings: string[] = [];
  const log = {warn: (message: string) => warnings.push(message)};
  const watcher = watchExits(directory, () => t.fail(), {log});
  await watcher.ready;
  await rm(directory, {recursive: true});
  await eventually(() => warnings.length > 0);
  watcher.close();
  t.pass();
});

function aMonitored(persistDirectory: string): MonitoredContainer {
  const pids = {pid: 10, pidStartTime: '1', conmonPid: 11, conmonStartTime: '2'};
  return {id: 'a', persistDirectory, ...pids};
}

test('a killed conmon: told once, then the end of its container with an unknown code', async t => {
  await using folder = await temporaryFolder();
  const alive = new Set([10, 11]);
  const lost: string[] = [];
  const exits: [string, ContainerExit][] = [];
  let recorded = false;
  const watch = watchMonitors({
    containers: () => (recorded ? [] : [aMonitored(folder.path)]),
    onLost: id => lost.push(id),
    onExit: (id, exit) => exits.push([id, exit]),
    isAlive: ({pid}) => alive.has(pid),
    now: () => new Date(5),
  });
  await watch.look();
  t.deepEqual(lost, []);
  alive.delete(11);
  await watch.look();
  await watch.look();
  t.deepEqual(lost, ['a']);
  t.deepEqual(exits, []);
  alive.delete(10);
  await watch.look();
  t.deepEqual(exits, [['a', {exitCode: 255, finishedAt: 5_000_000n}]]);
  await watch.look();
  t.is(exits.length, 2); // it is not recorded yet
  recorded = true;
  await watch.look();
  t.is(exits.length, 2);
  watch.close();
});

test('a conmon that has ended well is not lost, and its report is found', async t => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'exit'), '3');
  const exits: [string, ContainerExit][] = [];
  const watch = watchMonitors({
    containers: () => [aMonitored(folder.path)],
    onLost: () => t.fail(),
    onExit: (id, exit) => exits.push([id, exit]),
    isAlive: ({pid}) => pid === 10,
  });
  await watch.look();
  t.like(exits, [['a', {exitCode: 3}]]);
  watch.close();
});

test('nobody listens: reopening, resizing and attaching are refused, and nothing is made', async t => {
  await using folder = await temporaryFolder();
  const bundle = folder.path;
  const logPath = join(bundle, '0.log');
  const refuse = async (): Promise<void> => {
    const refused = {code: 'ERR_CONTAINER_STATE'};
    await t.throwsAsync(reopenLog({bundle, logPath, signal}), refused);
    await t.throwsAsync(resize(bundle, {rows: 1, columns: 1}), refused);
    await t.throwsAsync(attach({bundle, io: testClient().io, terminal: false, signal}), refused);
  };
  await refuse();
  mknod(join(bundle, 'ctl'), constants.S_IFIFO | 0o600);
  await refuse();
  t.deepEqual(await readdir(bundle), ['ctl']);
  await t.throwsAsync(
    attach({bundle: '/no/such/bundle', io: testClient().io, terminal: false, signal}),
    {code: 'ERR_CONTAINER_STATE'},
  );
});

test('sizes are limited to what conmon takes', async t => {
  await using folder = await temporaryFolder();
  const fifo = join(folder.path, 'ctl');
  mknod(fifo, constants.S_IFIFO | 0o600);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  await resize(folder.path, {rows: 24, columns: 80});
  await resize(folder.path, {rows: 65_535, columns: -1});
  const bytes = Buffer.alloc(100);
  t.is(bytes.toString('utf8', 0, readSync(reader, bytes)), '1 24 80\n1 1000 0\n');
  closeSync(reader);
});

test('a reopened log is waited for, until the caller gives up or conmon ends', async t => {
  await using folder = await temporaryFolder();
  const [bundle, logPath] = [folder.path, join(folder.path, '0.log')];
  mknod(join(bundle, 'ctl'), constants.S_IFIFO | 0o600);
  const listen = (): number =>
    openSync(join(bundle, 'ctl'), constants.O_RDONLY | constants.O_NONBLOCK);
  await writeFile(logPath, 'old');
  const conmon = listen();
  const reopened = reopenLog({bundle, logPath, signal});
  const bytes = Buffer.alloc(100);
  await eventually(() => hasRead(conmon, bytes));
  t.is(bytes.toString('utf8', 0, 6), '2 0 0\n');
  await writeFile(`${logPath}.tmp`, 'new');
  await rename(`${logPath}.tmp`, logPath);
  await reopened;
  t.is(await readFile(logPath, 'utf8'), 'new');

  const caller = new AbortController();
  const abandoned = reopenLog({bundle, logPath, signal: caller.signal});
  caller.abort(new Error('gave up'));
  await t.throwsAsync(abandoned, {message: 'gave up'});

  const unanswered = reopenLog({bundle, logPath, signal});
  await eventually(() => hasRead(conmon, bytes));
  closeSync(conmon);
  await t.throwsAsync(unanswered, {code: 'ERR_CONTAINER_STATE'});
});

function hasRead(fifo: number, bytes: Buffer): boolean {
  try {
    return readSync(fifo, bytes) > 0;
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return false;
    throw error;
  }
}
