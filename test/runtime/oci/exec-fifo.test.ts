import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {passExecFifo} from '#runtime/oci/exec-fifo';
import {spawnProcess} from '#runtime/process/spawn';
import {processStartTime} from '#runtime/sys/processes';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();

/** A container's state with its gate, and a process that does what runc's init does there. */
async function aCreated(script: string) {
  const folder = await temporaryFolder();
  const fifo = join(folder.path, 'exec.fifo');
  await run(['mkfifo', '-m', '622', fifo], {signal});
  const child = spawnProcess({command: ['/bin/sh', '-c', script, 'sh', fifo]});
  const init = {pid: child.pid, startTime: processStartTime(child.pid) ?? ''};
  return {
    ...{state: folder.path, fifo, init, child},
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await child.exited;
      await folder[Symbol.asyncDispose]();
    },
  };
}

test('the process that waits goes on, and its gate is gone', async t => {
  await using created = await aCreated('printf 0 >"$1"; exit 9');
  t.true(await passExecFifo(created.state, {init: created.init, signal}));
  t.false(existsSync(created.fifo));
  t.is((await created.child.exited).exitCode, 9);
});

test('a process that comes later is waited for', async t => {
  await using created = await aCreated('sleep 0.3; printf 0 >"$1"');
  t.true(await passExecFifo(created.state, {init: created.init, signal}));
  t.false(existsSync(created.fifo));
});

test('a process that has ended, or ends without a word, is left to the runtime', async t => {
  await using dead = await aCreated('exit 0');
  await dead.child.exited;
  t.false(await passExecFifo(dead.state, {init: dead.init, signal}));
  t.true(existsSync(dead.fifo));
  await using silent = await aCreated('exec 3>"$1"; exit 0');
  t.false(await passExecFifo(silent.state, {init: silent.init, signal}));
  t.true(existsSync(silent.fifo));
});

test('a container without a gate was started before', async t => {
  await using created = await aCreated('exit 0');
  t.false(await passExecFifo(join(created.state, 'gone'), {init: created.init, signal}));
});

test('whoever gives up is told why, and the container stays a created one', async t => {
  await using created = await aCreated('exec sleep 100');
  const reason = new Error('enough');
  const given = AbortSignal.timeout(50);
  await t.throwsAsync(passExecFifo(created.state, {init: created.init, signal: given}));
  const before = AbortSignal.abort(reason);
  const error = await t.throwsAsync(
    passExecFifo(created.state, {init: created.init, signal: before}),
  );
  t.is(error, reason);
  t.true(existsSync(created.fifo));
});
