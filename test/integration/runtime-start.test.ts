import {writeFile} from 'node:fs/promises';
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {openOciRuntime} from '#runtime/oci/oci-runtime';
import {answersX32} from '#runtime/host/x32';
import {spawnProcess} from '#runtime/process/spawn';
import {processStartTime} from '#runtime/sys/processes';
import {isRunning, shell} from '#test/container';
import {eventually} from '#test/eventually';
import {writeProgram} from '#test/program-file';
import {temporaryFolder} from '#test/temporary-folder';
import {underRuntimes} from '#test/under-runtimes';
import test from 'ava';

const {signal} = new AbortController();
const runtimes = underRuntimes(test);

/** A container's state with its gate, and a process that does what runc's init does there. */
async function aCreated(script: string) {
  const folder = await temporaryFolder();
  const fifo = join(folder.path, 'exec.fifo');
  await run(['mkfifo', '-m', '622', fifo], {signal});
  const child = spawnProcess({command: ['/bin/sh', '-c', script, 'sh', fifo]});
  const startTime = processStartTime(child.pid) ?? '';
  return {
    ...{fifo, child},
    start: async (changes: {readonly state?: string; readonly startTime?: string} = {}) => {
      const state = changes.state ?? folder.path;
      const {slipwayExec} = runtimes.programs();
      const of = [state, String(child.pid), changes.startTime ?? startTime];
      return await run([slipwayExec, 'start', ...of], {signal});
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
      await folder[Symbol.asyncDispose]();
    },
  };
}

test('the process that waits goes on, and its gate is gone', async t => {
  await using created = await aCreated('printf 0 >"$1"; exit 9');
  t.is((await created.start()).exitCode, 0);
  t.false(existsSync(created.fifo));
  t.is((await created.child.exited).exitCode, 9);
});

test('a process that comes later is waited for, and so is what it does before it goes on', async t => {
  await using created = await aCreated(
    'sleep 0.3; exec 3>"$1"; printf 0 >&3; sleep 0.2; echo >"$1.hooks"; exec 3>&-; exec sleep 100',
  );
  t.is((await created.start()).exitCode, 0);
  t.true(existsSync(`${created.fifo}.hooks`));
  t.false(existsSync(created.fifo));
});

test('a process that has ended, or goes without a word, is left to the runtime', async t => {
  await using dead = await aCreated('exit 0');
  await dead.child.exited;
  t.not((await dead.start()).exitCode, 0);
  await using late = await aCreated('sleep 0.2');
  t.regex((await late.start()).stderr, /did not come/);
  await using silent = await aCreated('exec 3>"$1"; exec 3>&-; exec sleep 100');
  t.regex((await silent.start()).stderr, /did not come/);
  for (const {fifo} of [dead, late, silent]) t.true(existsSync(fifo));
});

test('what is not the process, not its gate or not there is refused', async t => {
  await using created = await aCreated('exec sleep 100');
  t.regex((await created.start({startTime: '1'})).stderr, /has ended/);
  t.regex((await created.start({state: join(created.fifo, '..', 'gone')})).stderr, /No such file/);
  await run(['rm', created.fifo], {signal});
  await writeFile(created.fifo, '0');
  t.regex((await created.start()).stderr, /is no FIFO/);
  t.true(existsSync(created.fifo));
});

runtimes.once('a container of runc’s begins without `runc start`', async (t, bench) => {
  const container = await bench.create(shell('sleep 100'));
  const path = join(bench.path, 'no-start');
  writeProgram(path, `#!/bin/sh\necho "not asked for: $*" >&2\nexit 1\n`);
  const {slipwayExec: execProgram} = runtimes.programs();
  const others = openOciRuntime({...bench.runtime, path, isRunc: false, execProgram});
  await t.throwsAsync(others.start(container.id, container), {message: /not asked for/});
  const missing = openOciRuntime({...bench.runtime, path, execProgram: '/no/such/program'});
  await t.throwsAsync(missing.start(container.id, container), {message: /not asked for/});
  t.is((await bench.runtime.state(container.id))?.status, 'created');
  await openOciRuntime({...bench.runtime, path, execProgram}).start(container.id, container);
  t.is((await bench.runtime.state(container.id))?.status, 'running');
  await eventually(() => readFileSync(`/proc/${container.pid}/cmdline`, 'utf8').includes('sleep'));
  t.true(isRunning(container));
});

test('x32: the answer is that of the kernel’s own configuration', async t => {
  const {stdout} = await run(['sh', '-c', 'zcat /proc/config.gz || cat /boot/config-$(uname -r)'], {
    signal,
  });
  if (stdout === '') t.log('not compared: this kernel does not tell its configuration');
  else if (/^CONFIG_X86_X32_ABI=y$/m.test(stdout)) t.log('not compared: it may be switched off');
  else t.false(await answersX32(runtimes.programs().slipwayExec, signal));
  t.true(await answersX32('/bin/true', signal));
});
