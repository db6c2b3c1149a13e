import {access, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {type ContainerExit, readExit} from '#runtime/conmon/exit-file';
import {watchExits} from '#runtime/conmon/exits';
import {watchMonitors} from '#runtime/conmon/monitors';
import {openMonitor} from '#runtime/conmon/launch';
import {openOciRuntime} from '#runtime/oci/oci-runtime';
import {stopContainer} from '#runtime/oci/stop';
import {spawnProcess} from '#runtime/process/spawn';
import {killProcess} from '#runtime/sys/processes';
import {
  isRunning,
  type LeftContainer,
  logLines,
  removeLater,
  shell,
  type Workbench,
} from '#test/container';
import {eventually} from '#test/eventually';
import {writeProgram} from '#test/program-file';
import {underRuntimes} from '#test/under-runtimes';
import test from 'ava';

const {signal} = new AbortController();
const runtimes = underRuntimes(test);

runtimes.each(
  'a container runs, logs in the CRI format, and its exit is reported',
  async (t, bench) => {
    const script = 'echo out; echo err >&2; sleep 0.1; printf part; exit 3';
    const container = await bench.create(shell(script));
    t.deepEqual(await bench.runtime.state(container.id), {status: 'created', pid: container.pid});
    t.is(await readExit(container.persistDirectory), undefined);

    const before = BigInt(Date.now()) * 1_000_000n;
    await bench.runtime.start(container.id);
    const {exitCode, finishedAt} = await container.exited;
    t.is(exitCode, 3);
    t.true(finishedAt > before && finishedAt < BigInt(Date.now() + 1) * 1_000_000n);
    t.deepEqual(await readExit(container.persistDirectory, 0), {
      exitCode,
      oomKilled: false,
      finishedAt: (await readExit(container.persistDirectory))?.finishedAt ?? 0n,
    });
    const lines = await logLines(container);
    t.deepEqual([...lines].sort(), ['stderr F err', 'stdout F out', 'stdout P part']);
    await bench.runtime.delete(container.id);
    t.is(await bench.runtime.state(container.id), undefined);
  },
);

runtimes.each('conmon is outside the daemon’s cgroup, and out of its session', async (t, bench) => {
  const {conmonPid, id} = await bench.start(shell('sleep 100'));
  t.regex(
    await readFile(`/proc/${conmonPid}/cgroup`, 'utf8'),
    new RegExp(`:pids:.*/slipway-conmon-${id}\n`),
  );
  const session = (await readFile(`/proc/${conmonPid}/stat`, 'utf8')).split(' ')[5];
  t.is(session, String(conmonPid));
  t.regex(
    await readFile(`/proc/${conmonPid}/environ`, 'utf8'),
    /^PATH=[^\0]*\0_OCI_SYNCPIPE=3\0_OCI_STARTPIPE=4\0$/,
  );
});

runtimes.each(
  'a command that does not exist: the runtime’s cause, and nothing left',
  async (t, bench) => {
    const bundle = bench.nextBundle();
    const error = await t.throwsAsync(bench.create({command: ['/bin/no-such']}), {
      code: 'ERR_OCI_RUNTIME_FAILED',
    });
    t.regex(error.message, /no-such/);
    t.notRegex(error.message, /\n|"level"|time=/);
    t.deepEqual(await readdir(bench.logsDirectory), []);
    t.deepEqual(await readdir(bench.exitsDirectory), []);
    t.deepEqual((await readdir(bundle)).sort(), ['config.json', 'persist', 'rootfs']);
    t.is(await bench.runtime.state(basename(bundle)), undefined);
  },
);

runtimes.each('a log that was there before a failed creation stays', async (t, bench) => {
  const log = join(bench.logsDirectory, `${basename(bench.nextBundle())}.log`);
  await writeFile(log, 'kept');
  await t.throwsAsync(bench.create({command: ['/bin/no-such']}), {code: 'ERR_OCI_RUNTIME_FAILED'});
  t.is(await readFile(log, 'utf8'), 'kept');
});

runtimes.once(
  'a conmon that cannot run, dies, or says nonsense is told as such',
  async (t, bench) => {
    const request = shell('sleep 100');
    const fail = async (conmonPath: string) =>
      await t.throwsAsync(bench.create({...request, conmonPath}), {code: 'ERR_CONMON_FAILED'});
    t.regex((await fail('/no/such/conmon')).message, /\/no\/such\/conmon/);
    t.regex(
      (await fail(await script(bench, 'echo cannot go on >&2; exit 1'))).message,
      /cannot go on/,
    );
    await fail(await script(bench, 'read x <&4; echo "{}" >&3'));
    await fail(await script(bench, 'read x <&4; echo "{\\"pid\\": 4194304}" >&3'));
    await fail(await script(bench, 'cat /dev/zero >&3'));
    t.deepEqual(await readdir(bench.logsDirectory), []);
  },
);

runtimes.once(
  'a control group that systemd takes away meanwhile is made again, once',
  async (t, bench) => {
    const reason =
      'error setting cgroup config for procHooks process: openat2 /sys/fs/cgroup/devices/x/devices.list: no such file or directory';
    const path = await script(
      bench,
      `case "$*" in *create*) echo x >>"$0.calls"; echo '{"level":"error","msg":"${reason}"}' >&2; exit 1;; esac`,
    );
    const attempts = async (systemdCgroup: boolean) => {
      await writeFile(`${path}.calls`, '');
      const runtime = openOciRuntime({...bench.runtime, path, systemdCgroup});
      await t.throwsAsync(bench.create({...shell('true'), runtime}), {
        code: 'ERR_OCI_RUNTIME_FAILED',
      });
      return (await readFile(`${path}.calls`, 'utf8')).length / 2;
    };
    t.is(await attempts(true), 2);
    t.is(await attempts(false), 1);
    t.deepEqual(await readdir(bench.logsDirectory), []);
  },
);

runtimes.once(
  'a runtime that hangs is cut off in time, or when the caller gives up, with its conmon',
  async (t, bench) => {
    const path = await script(
      bench,
      'case "$*" in *create*) echo $$ >"$0.pid"; exec sleep 1000;; esac',
    );
    const runtime = openOciRuntime({...bench.runtime, path});
    const isGone = async () => {
      const pid = Number(await readFile(`${path}.pid`, 'utf8'));
      await eventually(
        async () =>
          await access(`/proc/${pid}`).then(
            () => false,
            () => true,
          ),
      );
    };

    await t.throwsAsync(bench.create({...shell('true'), runtime, timeoutMs: 3_000}), {
      code: 'ERR_COMMAND_TIMED_OUT',
    });
    await isGone();
    await rm(`${path}.pid`);
    const controller = new AbortController();
    const created = bench.create({...shell('true'), runtime, signal: controller.signal});
    await eventually(
      async () =>
        await access(`${path}.pid`).then(
          () => true,
          () => false,
        ),
    );
    controller.abort(new Error('gave up'));
    await t.throwsAsync(created, {message: 'gave up'});
    await isGone();
    t.deepEqual(await readdir(bench.logsDirectory), []);
  },
);

runtimes.each(
  'exits from while nobody watched are reported to the next watcher, until forgotten',
  async (t, bench) => {
    bench.watcher.close();
    const container = await bench.start(shell('exit 6'));
    const next = async () => {
      const seen = Promise.withResolvers<[string, ContainerExit]>();
      const watcher = watchExits(bench.exitsDirectory, (id, exit) => {
        seen.resolve([id, exit]);
      });
      const [id, exit] = await seen.promise;
      watcher.close();
      return {id, exit, watcher};
    };
    const first = await next();
    t.is(first.id, container.id);
    t.is(first.exit.exitCode, 6);
    const second = await next();
    t.deepEqual(second.exit, first.exit);
    await second.watcher.forget(container.id);
    t.deepEqual(await readdir(bench.exitsDirectory), []);
  },
);

runtimes.each('a container whose conmon was killed ends with exit code 255', async (t, bench) => {
  const container = await bench.start(shell('sleep 100'));
  const lost: string[] = [];
  const exits: [string, ContainerExit][] = [];
  const watch = watchMonitors({
    containers: () => [container],
    onLost: id => lost.push(id),
    onExit: (id, exit) => exits.push([id, exit]),
  });
  await watch.look();
  t.deepEqual(lost, []);
  killProcess(container.conmonPid, 'SIGKILL');
  await eventually(async () => {
    await watch.look();
    return lost.length > 0;
  });
  t.true(isRunning(container));
  t.deepEqual(exits, []);
  const loop = stopContainer({
    ...{runtime: bench.runtime, id: container.id, signalName: 'SIGKILL', timeoutSeconds: 0},
    identity: {pid: container.pid, startTime: container.pidStartTime},
    isStopped: eventually(() => exits.length > 0, 60_000),
    ...{signal, log: console},
  });
  await eventually(async () => {
    await watch.look();
    return exits.length > 0;
  });
  await loop.stopped;
  watch.close();
  t.deepEqual(lost, [container.id]);
  t.is(exits.length, 1);
  t.is(exits[0]?.[1].exitCode, 255);
  await bench.runtime.delete(container.id);
});

runtimes.each('containers live on when their daemon is killed', async (t, bench) => {
  const daemon = spawnProcess({
    command: [process.execPath, join(import.meta.dirname, '../support/create-and-hang.ts')],
    environment: {
      ...{
        PATH: process.env['PATH'] ?? '',
        RUNTIME: bench.runtime.path,
        CONMON: runtimes.programs().conmon,
      },
      ...{NAME: bench.runtime.name, FOLDER: bench.path},
    },
    fileDescriptors: {2: 2},
    newProcessGroup: true,
  });
  const ready = join(bench.path, 'daemon.json');
  await eventually(
    async () =>
      await access(ready).then(
        () => true,
        () => false,
      ),
    30_000,
  );
  daemon.killGroup('SIGKILL');
  await daemon.exited;
  const container = JSON.parse(await readFile(ready, 'utf8')) as LeftContainer;
  await using left = removeLater(container, bench);
  t.true(isRunning(left.container));
  killProcess(container.pid, 'SIGTERM');
  const exitPath = join(container.persistDirectory, 'exit');
  await eventually(
    async () =>
      await access(exitPath).then(
        () => true,
        () => false,
      ),
  );
  t.like(await readExit(container.persistDirectory, 0), {exitCode: 8, oomKilled: false});
  t.regex(await readFile(container.logPath, 'utf8'), /stdout F last words\n$/);
});

runtimes.once('a conmon that was not let begin creates nothing', async (t, bench) => {
  const bundle = bench.nextBundle();
  const create = bench.create({
    ...shell('true'),
    placeMonitor: () => Promise.reject(new Error('no such cgroup')),
  });
  await t.throwsAsync(create, {code: 'ERR_CONMON_FAILED', message: /no such cgroup/});
  const container = await bench.create(shell('true'));
  await bench.runtime.delete(container.id, {force: true});
  await container.exited;
  const monitor = openMonitor({
    ...{conmonPath: runtimes.programs().conmon, runtime: bench.runtime, id: basename(bundle)},
    ...{name: 'x', bundle, logPath: join(bench.logsDirectory, 'x.log'), signal},
    ...{persistDirectory: join(bundle, 'persist'), exitsDirectory: bench.exitsDirectory},
    ...{terminal: false, stdin: false, leaveStdinOpen: false},
  });
  await monitor.abandon();
  t.is(await bench.runtime.state(basename(bundle)), undefined);
  t.deepEqual((await readdir(bundle)).sort(), ['config.json', 'persist', 'rootfs']);
  t.false((await readdir(bench.logsDirectory)).includes('x.log'));
});

/** A program for tests in which conmon or the runtime misbehaves. */
async function script(bench: Workbench, body: string): Promise<string> {
  const directory = join(bench.path, 'scripts');
  await mkdir(directory, {recursive: true});
  const path = join(directory, `script-${(await readdir(directory)).length}`);
  writeProgram(path, `#!/bin/sh\n${body}\n`);
  return path;
}
