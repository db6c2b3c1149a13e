import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {EXEC_OUTPUT_BYTES_MAX, execSync} from '#runtime/exec/exec-sync';
import {execStream} from '#runtime/exec/exec-stream';
import {openOciRuntime} from '#runtime/oci/oci-runtime';
import {shell, type TestContainer} from '#test/container';
import {testClient} from '#test/stream-io';
import {eventually} from '#test/eventually';
import {type ExecBench, underRuntimes} from '#test/under-runtimes';
import test from 'ava';

const {signal} = new AbortController();
const runtimes = underRuntimes(test);

interface Job {
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

/** Runs a shell script; the outputs as text. */
async function run(bench: ExecBench, container: TestContainer, script: string, job: Job = {}) {
  const command = ['/bin/sh', '-c', script];
  const options = {timeoutSeconds: 0, signal, ...job};
  const {runtime, direct} = bench;
  const result = await execSync({runtime, direct, container, command, ...options});
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
  return {stdout: text(result.stdout), stderr: text(result.stderr), exitCode: result.exitCode};
}

/** The commands that run in a container, each line one. */
async function commandsIn(bench: ExecBench, container: TestContainer): Promise<string> {
  const list = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; echo; done 2>/dev/null';
  return (await run(bench, container, list)).stdout;
}

async function hasNoRemains(bench: ExecBench, container: TestContainer): Promise<boolean> {
  const files = await readdir(container.bundle);
  const commands = await commandsIn(bench, container);
  return !files.some(file => file.startsWith('exec-')) && !/sleep [67]/.test(commands);
}

const IDLE = shell('while :; do sleep 1; done');

runtimes.eachExec('a command’s outputs and exit code come back', async (t, bench) => {
  const container = await bench.start(IDLE);
  const result = await run(
    bench,
    container,
    'echo out; echo err >&2; echo $FROM_SPEC; pwd; exit 7',
  );
  t.deepEqual(result, {stdout: 'out\nyes\n/tmp\n', stderr: 'err\n', exitCode: 7});
  t.deepEqual(await run(bench, container, 'cat; kill -9 $$'), {
    stdout: '',
    stderr: '',
    exitCode: 137,
  });
  t.true(await hasNoRemains(bench, container));
});

runtimes.eachExec('any exit code may be the command’s own', async (t, bench) => {
  const container = await bench.start(IDLE);
  for (const exitCode of [1, 126, 127, 255]) {
    t.is((await run(bench, container, `exit ${exitCode}`)).exitCode, exitCode);
  }
});

runtimes.eachExec('a command that does not exist is the runtime’s error', async (t, bench) => {
  const container = await bench.start(IDLE);
  const {runtime, direct} = bench;
  const job = {runtime, direct, container, timeoutSeconds: 0, signal};
  const error = await t.throwsAsync(execSync({...job, command: ['no-such']}), {
    code: 'ERR_OCI_RUNTIME_FAILED',
  });
  t.regex(error.message, /no-such/);
  t.notRegex(error.message, /\n|"level"|time=/);
  t.true(await hasNoRemains(bench, container));
});

runtimes.eachExec(
  'exec in a container that has ended, or never was, is refused',
  async (t, bench) => {
    const container = await bench.start(shell('true'));
    await container.exited;
    await t.throwsAsync(run(bench, container, 'true'), {code: 'ERR_OCI_RUNTIME_FAILED'});
    const gone = {...container, id: 'gone', bundle: join(bench.path, 'gone')};
    await t.throwsAsync(run(bench, gone, 'true'), {code: 'ERR_CONTAINER_STATE'});
    const runtime = openOciRuntime({...bench.runtime, path: '/no/such/runtime'});
    const job = {container, command: ['true'], timeoutSeconds: 0, signal};
    const error = await t.throwsAsync(execSync({...job, runtime}), {
      code: 'ERR_OCI_RUNTIME_FAILED',
    });
    t.regex(error.message, /\/no\/such\/runtime/);
  },
);

runtimes.eachExec('the time limit kills a command with all that it started', async (t, bench) => {
  const container = await bench.start(IDLE);
  const script = 'trap "" TERM HUP; (sleep 600 & sleep 601) & (sleep 602 &); sleep 603';
  await t.throwsAsync(run(bench, container, script, {timeoutSeconds: 0.4}), {
    code: 'ERR_COMMAND_TIMED_OUT',
  });
  t.true(await hasNoRemains(bench, container));
  t.notRegex(await commandsIn(bench, container), /trap/);
});

runtimes.eachExec('a caller that gives up takes its command along', async (t, bench) => {
  const container = await bench.start(IDLE);
  const caller = new AbortController();
  const running = run(bench, container, 'sleep 700', {signal: caller.signal});
  await eventually(async () => (await commandsIn(bench, container)).includes('sleep 700'));
  caller.abort(new Error('gave up'));
  await t.throwsAsync(running, {message: 'gave up'});
  const early = run(bench, container, 'sleep 701', {signal: caller.signal});
  await t.throwsAsync(early, {message: 'gave up'});
  t.true(await hasNoRemains(bench, container));
});

runtimes.eachExec('output without end is kept up to the limit', async (t, bench) => {
  const container = await bench.start(IDLE);
  const script = 'head -c 20000000 /dev/zero; echo done >&2';
  const {stdout, stderr, exitCode} = await run(bench, container, script);
  t.is(stdout.length, EXEC_OUTPUT_BYTES_MAX);
  t.deepEqual({stderr, exitCode}, {stderr: 'done\n', exitCode: 0});
});

runtimes.eachExec('a hundred execs leave no file and no descriptor', async (t, bench) => {
  const container = await bench.start(IDLE);
  const exec = async () => (await run(bench, container, 'exit 0')).exitCode;
  await exec();
  const before = (await readdir('/proc/self/fd')).length;
  for (let round = 0; round < 20; round++) {
    t.deepEqual(await Promise.all([exec(), exec(), exec(), exec(), exec()]), [0, 0, 0, 0, 0]);
  }
  await eventually(async () => (await readdir('/proc/self/fd')).length <= before);
  t.true(await hasNoRemains(bench, container));
});

runtimes.eachExec('a limit beyond 2^53 reaches the runtime exactly', async (t, bench) => {
  const container = await bench.start(IDLE);
  const path = join(container.bundle, 'config.json');
  const config = await readFile(path, 'utf8');
  const hard = (await run(bench, container, 'ulimit -Hc')).stdout;
  const value = hard === 'unlimited\n' ? '18446744073709551615' : '0';
  const rlimits = `"rlimits":[{"type":"RLIMIT_CORE","hard":${value},"soft":${value}}]`;
  await writeFile(path, config.replace('"args":', `${rlimits},"args":`));
  const expected = value === '0' ? '0\n' : 'unlimited\n';
  t.is((await run(bench, container, 'ulimit -c')).stdout, expected);
});

runtimes.each('a stream: input to its end, both outputs, the exit code', async (t, bench) => {
  const container = await bench.start(IDLE);
  const client = testClient();
  const command = ['/bin/sh', '-c', 'wc -c; echo err >&2; exit 5'];
  const {runtime} = bench;
  const ended = execStream({runtime, container, command, terminal: false, io: client.io, signal});
  client.stdin.end(Buffer.alloc(3_000_000));
  t.is(await ended, 5);
  t.is(client.stdout(), '3000000\n');
  t.is(client.stderr(), 'err\n');
  t.true(await hasNoRemains(bench, container));
});

runtimes.each('streams that the client did not ask for are /dev/null', async (t, bench) => {
  const container = await bench.start(IDLE);
  const client = testClient(['stdin', 'stderr']);
  const command = ['/bin/sh', '-c', 'cat; echo err >&2; echo out'];
  const {runtime} = bench;
  t.is(await execStream({runtime, container, command, terminal: false, io: client.io, signal}), 0);
  t.is(client.stdout(), 'out\n');
});

runtimes.each('a terminal: its size as it changes, and the exit code', async (t, bench) => {
  const container = await bench.start(IDLE);
  const client = testClient(['stderr']);
  const command = ['/bin/sh', '-c', 'echo $TERM; while read x; do stty size; done'];
  const {runtime} = bench;
  const ended = execStream({runtime, container, command, terminal: true, io: client.io, signal});
  client.resize({rows: 30, columns: 90});
  await client.sees('xterm');
  await eventually(() => {
    client.stdin.write('\n');
    return client.stdout().includes('30 90');
  });
  client.resize({rows: 44, columns: 111});
  await eventually(() => {
    client.stdin.write('\n');
    return client.stdout().includes('44 111');
  });
  client.stdin.write('\u0004');
  t.is(await ended, 0);
  t.true(await hasNoRemains(bench, container));
});

for (const terminal of [true, false]) {
  runtimes.each(
    `a client that goes hangs up ${terminal ? 'a terminal' : 'pipes'}, and nothing stays`,
    async (t, bench) => {
      const container = await bench.start(IDLE);
      const client = testClient(['stderr']);
      const gone = new AbortController();
      const command = ['/bin/sh', '-c', 'echo ready; sleep 600 & sleep 601'];
      const job = {runtime: bench.runtime, container, command, terminal, io: client.io};
      const running = execStream({...job, signal: gone.signal});
      await client.sees('ready');
      gone.abort(new Error('client gone'));
      await t.throwsAsync(running, {message: 'client gone'});
      await eventually(async () => await hasNoRemains(bench, container));
      t.pass();
    },
  );
}

runtimes.each('what ignores a hang-up is killed', async (t, bench) => {
  const container = await bench.start(IDLE);
  const client = testClient(['stderr']);
  const gone = new AbortController();
  const command = ['/bin/sh', '-c', 'trap "" HUP TERM; echo ready; while :; do sleep 0.6; done'];
  const job = {runtime: bench.runtime, container, command, terminal: false, io: client.io};
  const running = execStream({...job, signal: gone.signal});
  await client.sees('ready');
  gone.abort(new Error('client gone'));
  await t.throwsAsync(running, {message: 'client gone'});
  t.notRegex(await commandsIn(bench, container), /trap/);
});

runtimes.each('a slow client slows the command, and loses nothing', async (t, bench) => {
  const container = await bench.start(IDLE);
  const client = testClient(['stdin', 'stderr']);
  const command = ['/bin/sh', '-c', 'head -c 5000000 /dev/zero'];
  const {runtime} = bench;
  client.stall();
  const ended = execStream({runtime, container, command, terminal: false, io: client.io, signal});
  await eventually(() => client.io.stdout?.writableNeedDrain === true);
  let length = 0;
  client.reads(chunk => {
    length += chunk.length;
  });
  t.is(await ended, 0);
  await eventually(() => length === 5_000_000);
});
