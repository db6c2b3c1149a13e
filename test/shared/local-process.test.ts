import {hasCommand, run} from '#shared/local-process';
import {runWithin} from '#shared/run-within';
import test from 'ava';

const {signal} = new AbortController();

test('a non-zero exit is a result with both streams', async t => {
  const result = await run(['sh', '-c', 'echo out; echo err >&2; exit 3'], {signal});
  t.deepEqual(result, {exitCode: 3, stdout: 'out\n', stderr: 'err\n'});
});

test('arguments reach the program as they are, without a shell', async t => {
  const odd = ['a b', '$HOME', '"', "'", '*', '', '\n', '; exit 1'];
  const result = await run(['printf', '[%s]', ...odd], {signal});
  t.is(result.stdout, odd.map(text => `[${text}]`).join(''));
});

test('input is written and closed; without input standard input is empty', async t => {
  t.is((await run(['cat'], {signal, input: 'hello'})).stdout, 'hello');
  t.is((await run(['cat'], {signal, input: Buffer.from([0, 255])})).stdout.length, 2);
  t.is((await run(['cat'], {signal, input: ''})).stdout, '');
  t.is((await run(['cat'], {signal})).stdout, '');
});

test('a child that does not read its input is judged by its exit code', async t => {
  const result = await run(['true'], {signal, input: 'x'.repeat(1_000_000)});
  t.is(result.exitCode, 0);
});

test('environment and working directory are passed on, PATH is kept', async t => {
  const result = await run(['sh', '-c', 'echo $MINE; pwd'], {signal, cwd: '/', env: {MINE: 'x'}});
  t.is(result.stdout, 'x\n/\n');
});

test('lines arrive whole, from both streams, the last one without its end of line too', async t => {
  const lines: string[] = [];
  const onLine = (line: string, stream: string) => lines.push(`${stream}: ${line}`);
  await run(['sh', '-c', 'printf "a\\r\\nb"; printf "c\\n" >&2'], {signal, onLine});
  t.deepEqual(lines.sort(), ['stderr: c', 'stdout: a', 'stdout: b']);
});

test('only the last bytes of a talkative child are kept', async t => {
  const result = await run(['sh', '-c', 'seq 1 200000'], {signal, outputBytesMax: 14});
  t.is(result.stdout, '199999\n200000\n');
});

test('a command that does not exist exits with 127', async t => {
  const result = await run(['/does/not/exist'], {signal});
  t.is(result.exitCode, 127);
  t.not(result.stderr, '');
});

test('a process ended by a signal exits with 128 and its number', async t => {
  t.is((await run(['sh', '-c', 'kill -TERM $$'], {signal})).exitCode, 143);
});

test('an abort kills grandchildren and rejects with the reason', async t => {
  const controller = new AbortController();
  const reason = new Error('stop');
  const running = run(['sh', '-c', 'sleep 1000 & echo started; wait'], {
    signal: controller.signal,
    onLine: () => {
      controller.abort(reason);
    },
  });
  t.is(await t.throwsAsync(running), reason);
});

test('an abort does not wait for a grandchild that left the process group', async t => {
  const controller = new AbortController();
  let pid = 0;
  const running = run(['sh', '-c', 'setsid sleep 30 & echo $!; wait'], {
    signal: controller.signal,
    killGraceMs: 20,
    onLine: line => {
      pid = Number(line);
      controller.abort(new Error('stop'));
    },
  });
  await t.throwsAsync(running, {message: 'stop'});
  process.kill(pid, 'SIGKILL');
});

test('an aborted signal starts nothing', async t => {
  await t.throwsAsync(run(['true'], {signal: AbortSignal.abort(new Error('no'))}), {message: 'no'});
});

test('a timeout rejects with a TimeoutError', async t => {
  await t.throwsAsync(run(['sleep', '1000'], {signal, timeoutMs: 20}), {name: 'TimeoutError'});
});

test('hasCommand looks in PATH and at absolute paths', t => {
  t.true(hasCommand('sh'));
  t.true(hasCommand('/bin/sh'));
  t.false(hasCommand('no-such-command-here'));
  t.false(hasCommand('/etc/passwd'));
});

test('a deadline that passes is a result for who wants it so, an abort is none', async t => {
  const {signal} = new AbortController();
  const options = {signal, timeoutMs: 50};
  t.deepEqual(await runWithin(['sleep', '60'], options), {
    exitCode: 124,
    stdout: '',
    stderr: 'sleep did not end within 0.05 s and was stopped',
  });
  t.is((await runWithin(['true'], {...options, timeoutMs: 60_000})).exitCode, 0);
  const aborted = AbortSignal.abort(new Error('interrupted'));
  await t.throwsAsync(runWithin(['true'], {...options, signal: aborted}), {message: 'interrupted'});
});
