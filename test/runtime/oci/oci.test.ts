import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {openOciRuntime} from '#runtime/oci/oci-runtime';
import {parseFeatures} from '#runtime/oci/runtime-features';
import {hasRuntimeError, runtimeMessage} from '#runtime/oci/runtime-message';
import {killDelayMs, stopContainer, type StopContainerOptions} from '#runtime/oci/stop';
import {eventually} from '#test/eventually';
import {writeProgram} from '#test/program-file';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const line = (level: string, msg: string) => JSON.stringify({level, msg, time: '2026-01-01'});

const messages = [
  ['nothing', '', ''],
  ['one error', line('error', 'no such file'), 'no such file'],
  ['errors without warnings', `${line('warning', 'w')}\n${line('error', 'e')}\n`, 'e'],
  ['warnings when there is nothing else', line('warning', 'w'), 'w'],
  ['the inner cause once', `${line('error', 'b')}\n${line('error', 'a: b')}`, 'a: b'],
  ['what is not JSON', 'cannot load libyajl.so.2\n', 'cannot load libyajl.so.2'],
  ['a line that was cut', '{"level":"error","msg":"half', '{"level":"error","msg":"half'],
  ['lines as one', line('fatal', 'first\n  second'), 'first second'],
] as const;

for (const [title, output, expected] of messages) {
  test(`a runtime's message: ${title}`, t => {
    t.is(runtimeMessage(output), expected);
  });
}

test("a runtime's message has a limit", t => {
  t.true(runtimeMessage(line('error', 'x'.repeat(100_000))).length < 1100);
});

test('only errors tell that a runtime failed', t => {
  t.false(hasRuntimeError(''));
  t.false(hasRuntimeError(line('warning', 'w')));
  t.true(hasRuntimeError(`${line('warning', 'w')}\n${line('error', 'e')}`));
});

test('features that are not mentioned are absent', t => {
  for (const output of ['', '{}', 'null', '[]', '{"linux": 1, "mountOptions": {}}']) {
    const {mountOptions, namespaces, ...flags} = parseFeatures(output);
    t.deepEqual([...mountOptions, ...namespaces], []);
    t.deepEqual(flags, {seccomp: false, apparmor: false, idMappedMounts: false});
  }
  const linux = {namespaces: ['user'], mountExtensions: {idmap: {enabled: true}}};
  const features = parseFeatures(JSON.stringify({mountOptions: ['rro'], linux}));
  t.true(features.mountOptions.has('rro') && features.namespaces.has('user'));
  t.true(features.idMappedMounts);
});

test('a runtime is called with its root, and told of by its last words', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'runtime');
  const calls = join(folder.path, 'calls');
  const script = `#!/bin/sh
echo "$*" >>${calls}
case "$*" in
*" delete gone") echo '${line('error', 'not there')}' >&2; exit 1;;
*update*) cat >>${calls};;
*state*) echo '{"status":"running","pid":7}';;
*kill*) echo "exit please" >&2; exit 3;;
esac
`;
  writeProgram(path, script);
  const runtime = openOciRuntime({name: 'x', path, root: '/r', systemdCgroup: false});
  await runtime.start('a');
  await runtime.delete('a');
  await runtime.delete('gone');
  await runtime.update('a', '{"memory":{}}\n');
  t.deepEqual(await runtime.state('a'), {status: 'running', pid: 7});
  const error = await t.throwsAsync(runtime.kill('a', 'TERM', {all: true}), {
    code: 'ERR_OCI_RUNTIME_FAILED',
  });
  t.is(error.message, 'runtime kill a TERM: exit please');
  t.deepEqual((await readFile(calls, 'utf8')).split('\n').slice(0, -1), [
    '--root=/r --log-format=json start a',
    '--root=/r --log-format=json delete a',
    '--root=/r --log-format=json delete gone',
    '--root=/r --log-format=json delete --force gone',
    '--root=/r --log-format=json update --resources - a',
    '{"memory":{}}',
    '--root=/r --log-format=json state a',
    '--root=/r --log-format=json kill --all a TERM',
  ]);
});

test("a runtime's state that makes no sense is its failure", async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'runtime');
  for (const state of ['', '{}', '{"status":"asleep","pid":1}', '{"status":"running","pid":"1"}']) {
    writeProgram(path, `#!/bin/sh\necho '${state}'\n`);
    const runtime = openOciRuntime({name: 'x', path, root: '/r', systemdCgroup: false});
    await t.throwsAsync(runtime.state('a'), {code: 'ERR_OCI_RUNTIME_FAILED'});
  }
});

/** A container that ends at some signals. */
function aContainer(endsAt: readonly string[], options: Partial<StopContainerOptions> = {}) {
  const sent: string[] = [];
  const warnings: string[] = [];
  const {promise: isStopped, resolve} = Promise.withResolvers<undefined>();
  let alive = true;
  const kill = (_id: string, name: string): Promise<void> => {
    sent.push(name);
    if (endsAt.includes(name)) {
      alive = false;
      resolve(undefined);
    }
    return Promise.resolve();
  };
  const stop = (timeoutSeconds: number) =>
    stopContainer({
      ...{runtime: {kill}, id: 'a', identity: {pid: 2 ** 22, startTime: '0'}},
      ...{signalName: 'SIGTERM', timeoutSeconds, isStopped, signal},
      log: {warn: message => warnings.push(message)},
      isAlive: () => alive,
      ...options,
    });
  return {
    stop,
    sent,
    warnings,
    die: () => (alive = false),
    record: () => {
      resolve(undefined);
    },
  };
}

test('a container that obeys gets one signal', async t => {
  const {stop, sent} = aContainer(['SIGTERM']);
  await stop(600).stopped;
  t.deepEqual(sent, ['SIGTERM']);
});

test('no grace period: SIGKILL at once', async t => {
  const {stop, sent} = aContainer(['SIGKILL']);
  await stop(0).stopped;
  t.deepEqual(sent, ['SIGKILL']);
});

test('a deadline may only come closer', async t => {
  const {stop, sent} = aContainer(['SIGKILL']);
  const loop = stop(600);
  loop.shorten(900);
  loop.shorten(Number.MAX_SAFE_INTEGER);
  await Promise.resolve();
  t.deepEqual(sent, ['SIGTERM']);
  loop.shorten(0.01);
  await loop.stopped;
  t.deepEqual(sent, ['SIGTERM', 'SIGKILL']);
});

test('a container that survives is killed again and again, and told of once', async t => {
  const {stop, sent, warnings, die, record} = aContainer([]);
  const abort = new AbortController();
  const {stopped} = stop(0);
  await eventually(() => sent.length >= 4);
  t.true(sent.every(name => name === 'SIGKILL'));
  die();
  record();
  await stopped;
  t.deepEqual(warnings, []);
  abort.abort();
});

test('the pause between kills grows to two minutes', t => {
  t.deepEqual([0, 1, 2, 12, 13, 1000].map(killDelayMs), [20, 40, 80, 81920, 120000, 120000]);
});

test('a loop ends with its daemon', async t => {
  const daemon = new AbortController();
  const {stop} = aContainer([], {signal: daemon.signal});
  const {stopped} = stop(600);
  daemon.abort(new Error('shutting down'));
  await t.throwsAsync(stopped, {message: 'shutting down'});
});

test('a runtime that cannot signal a dead process is no failure', async t => {
  const {stop, die, record, warnings} = aContainer([], {
    runtime: {kill: () => Promise.reject(new Error('not running'))},
  });
  die();
  record();
  await stop(10).stopped;
  t.deepEqual(warnings, []);
});

test('a broken runtime is told of, and does not keep a container alive for ever', async t => {
  const {stop, warnings, record} = aContainer([], {
    runtime: {kill: () => Promise.reject(new Error('segmentation fault'))},
  });
  const {stopped} = stop(0);
  await new Promise(setImmediate);
  record(); // SIGKILL was sent without the runtime, to a process that is not there
  await stopped;
  t.is(warnings.length, 1);
});
