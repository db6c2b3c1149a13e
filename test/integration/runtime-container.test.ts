import {access, readFile, rename} from 'node:fs/promises';
import {join} from 'node:path';
import {readOomKills} from '#runtime/cgroup/read';
import {reopenLog} from '#runtime/conmon/control';
import {readExit} from '#runtime/conmon/exit-file';
import {openOciRuntime} from '#runtime/oci/oci-runtime';
import {stopContainer} from '#runtime/oci/stop';
import {killProcess} from '#runtime/sys/processes';
import {isRunning, joinPieces, shell, type TestContainer, type Workbench} from '#test/container';
import {eventually} from '#test/eventually';
import {underRuntimes} from '#test/under-runtimes';
import test from 'ava';

const {signal} = new AbortController();
const MIB = 1024 * 1024;
const runtimes = underRuntimes(test);

function stop(bench: Workbench, container: TestContainer, timeoutSeconds: number) {
  return stopContainer({
    runtime: bench.runtime,
    id: container.id,
    identity: {pid: container.pid, startTime: container.pidStartTime},
    signalName: 'SIGTERM',
    timeoutSeconds,
    isStopped: container.exited,
    signal,
    log: console,
  });
}

runtimes.each('a stop signal that is obeyed stops at once', async (t, bench) => {
  const container = await bench.start(
    shell('trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done'),
  );
  await eventually(async () => (await container.log()).includes('ready'));
  await stop(bench, container, 60).stopped;
  t.is((await container.exited).exitCode, 5);
});

runtimes.each(
  'a container that ignores its stop signal is killed at the deadline, which may come closer',
  async (t, bench) => {
    const container = await bench.start(
      shell('trap "echo no" TERM; echo ready; while :; do sleep 0.05; done'),
    );
    await eventually(async () => (await container.log()).includes('ready'));
    const loop = stop(bench, container, 600);
    await eventually(async () => (await container.log()).includes('no'));
    t.true(isRunning(container));
    loop.shorten(900); // no effect
    loop.shorten(0);
    await loop.stopped;
    t.is((await container.exited).exitCode, 137);
  },
);

runtimes.each('a container that was not started is stopped and deleted too', async (t, bench) => {
  const container = await bench.create(shell('sleep 100'));
  await stop(bench, container, 0).stopped;
  t.is((await container.exited).exitCode, 137);
  await bench.runtime.delete(container.id);
  t.is(await bench.runtime.state(container.id), undefined);
});

runtimes.each(
  'delete kills what still runs, and takes a deleted one for deleted',
  async (t, bench) => {
    const container = await bench.start(shell('sleep 100'));
    await bench.runtime.delete(container.id);
    t.is((await container.exited).exitCode, 137);
    t.false(isRunning(container));
    await bench.runtime.delete(container.id);
    t.pass();
  },
);

runtimes.each('a container is started once, and the runtime knows of it', async (t, bench) => {
  const container = await bench.create(shell('sleep 100'));
  t.is((await bench.runtime.state(container.id))?.status, 'created');
  await bench.runtime.start(container.id, container);
  t.is((await bench.runtime.state(container.id))?.status, 'running');
  await eventually(async () => {
    return (await readFile(`/proc/${container.pid}/cmdline`, 'utf8')).includes('sleep 100');
  });
  await t.throwsAsync(bench.runtime.start(container.id, container), {
    code: 'ERR_OCI_RUNTIME_FAILED',
  });
  t.true(isRunning(container));
});

runtimes.each('a process that ends at once was started all the same', async (t, bench) => {
  const container = await bench.create(shell('exit 7'));
  await bench.runtime.start(container.id, container);
  t.is((await container.exited).exitCode, 7);
});

runtimes.each(
  'the start of a container that was killed is refused by its runtime',
  async (t, bench) => {
    const container = await bench.create(shell('sleep 100'));
    killProcess(container.init, 'SIGKILL');
    await container.exited;
    await t.throwsAsync(bench.runtime.start(container.id, container), {
      code: 'ERR_OCI_RUNTIME_FAILED',
    });
  },
);

test('a runtime that cannot be run is named', async t => {
  const runtime = openOciRuntime({
    name: 'x',
    path: '/no/such/runtime',
    root: '/nonexistent',
    systemdCgroup: false,
  });
  const error = await t.throwsAsync(runtime.version(), {code: 'ERR_OCI_RUNTIME_FAILED'});
  t.regex(error.message, /\/no\/such\/runtime/);
});

runtimes.each('versions and features are told', async (t, bench) => {
  t.regex(await bench.runtime.version(), new RegExp(`^${bench.runtime.name} version [0-9]`));
  const features = await bench.runtime.features();
  if (bench.runtime.name === 'runc') t.true(features?.mountOptions.has('rro'));
  else t.is(features, undefined); // crun 1.8.1 has no such command
});

runtimes.each(
  'a process that the kernel kills for memory ends its container as OOM killed',
  async (t, bench) => {
    const container = await bench.start({
      command: ['tail', '/dev/zero'],
      memoryLimitBytes: 32 * MIB,
    });
    t.is((await container.exited).exitCode, 137);
    const oomKills = readOomKills(container.cgroup);
    t.true((oomKills ?? 0) > 0);
    t.true((await readExit(container.persistDirectory, oomKills))?.oomKilled);
    t.true((await readExit(container.persistDirectory))?.oomKilled); // by conmon's note alone
  },
);

runtimes.each('SIGKILL from elsewhere is not taken for OOM', async (t, bench) => {
  const container = await bench.start({...shell('sleep 100'), memoryLimitBytes: 32 * MIB});
  killProcess(container.pid, 'SIGKILL');
  await container.exited;
  t.like(await readExit(container.persistDirectory, readOomKills(container.cgroup)), {
    exitCode: 137,
    oomKilled: false,
  });
});

runtimes.each('resources are updated', async (t, bench) => {
  const container = await bench.start({...shell('sleep 100'), memoryLimitBytes: 64 * MIB});
  await bench.runtime.update(container.id, JSON.stringify({memory: {limit: 96 * MIB}}));
  const limits = ['memory.limit_in_bytes', 'memory.max'];
  const directory =
    container.cgroup.directories['memory'] ?? container.cgroup.directories['unified'] ?? '';
  const read = limits.map(
    async file => await readFile(join(directory, file), 'utf8').catch(() => ''),
  );
  t.is((await Promise.all(read)).join('').trim(), String(96 * MIB));
  await t.throwsAsync(bench.runtime.update(container.id, '{"memory": '), {
    code: 'ERR_OCI_RUNTIME_FAILED',
  });
});

runtimes.each('the log goes on in a new file, and no line is lost', async (t, bench) => {
  const container = await bench.start(
    shell('i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo end; sleep 100'),
  );
  const files: string[] = [];
  for (let round = 0; round < 5; round++) {
    const moved = `${container.logPath}.${round}`;
    await rename(container.logPath, moved);
    files.push(moved);
    await reopenLog({bundle: container.bundle, logPath: container.logPath, signal});
    await access(container.logPath);
  }
  files.push(container.logPath);
  const lines = async () => {
    const texts = await Promise.all(files.map(async file => await readFile(file, 'utf8')));
    return joinPieces(texts.join(''));
  };
  await eventually(async () => (await lines()).includes('end'));
  const numbers = Array.from({length: 3000}, (_value, index) => `line ${index}`);
  t.deepEqual(await lines(), [...numbers, 'end']);
});

runtimes.each(
  'the log of a container that has ended is not reopened, and no file is made',
  async (t, bench) => {
    const container = await bench.start(shell('echo hello'));
    await container.exited;
    await rename(container.logPath, `${container.logPath}.old`);
    const {bundle, logPath} = container;
    await t.throwsAsync(reopenLog({bundle, logPath, signal}), {code: 'ERR_CONTAINER_STATE'});
    await t.throwsAsync(access(logPath), {code: 'ENOENT'});
  },
);

runtimes.each('the log keeps to its size', async (t, bench) => {
  const container = await bench.start({
    ...shell('i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done'),
    logSizeMax: 16 * 1024,
  });
  await container.exited;
  const log = await container.log();
  t.true(log.length <= 16 * 1024 + 8192, String(log.length));
  t.true(log.endsWith('line 1999\n'));
});
