import test from 'ava';
import {getEventListeners} from 'node:events';
import {stat} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {payloadOf} from '#test/connection-contract';
import {echo, inTime, openSsh} from '#test/open-ssh';
import {startSshServer} from '#test/ssh-server';

// Shells

test('noise of profile files and banners reaches no script', async t => {
  const noise = 'rc\n'.repeat(5_000);
  await using server = await startSshServer({faults: {noise}, banner: 'Hello\n'});
  await using connection = await openSsh(server);
  const result = await connection.run('echo on', {signal: inTime()});
  t.deepEqual(result, {exitCode: 0, stdout: 'on\n', stderr: ''});
});

test('four shells at most serve any number of scripts', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  await Promise.all(
    Array.from({length: 20}, () => connection.run('sleep 0.01', {signal: inTime()})),
  );
  t.is(server.commands.length, 4);
});

test('a host that allows fewer sessions is served with those', async t => {
  await using server = await startSshServer({faults: {sessionsMax: 2}});
  await using connection = await openSsh(server);
  const all = Array.from({length: 6}, () => echo(connection));
  t.deepEqual(
    await Promise.all(all),
    Array.from({length: 6}, () => 'on\n'),
  );
  t.is(server.commands.length, 2);
});

test('one shell after the other serves scripts that do not overlap', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  for (let count = 0; count < 3; count++) await echo(connection);
  t.is(server.commands.length, 1);
});

test('a script that waits for a shell can be aborted', async t => {
  await using server = await startSshServer({faults: {sessionsMax: 1}});
  const connection = await openSsh(server);
  const busy = t.throwsAsync(connection.run('sleep 600', {signal: inTime()}));
  const abort = new AbortController();
  const waiting = connection.run('echo no', {signal: abort.signal});
  abort.abort(new Error('enough'));
  await t.throwsAsync(waiting, {message: 'enough'});
  await connection[Symbol.asyncDispose]();
  await busy;
});

test('a slow host changes nothing but the time', async t => {
  await using server = await startSshServer({faults: {delayMs: 30}});
  await using connection = await openSsh(server);
  const result = await connection.run('cat; echo err >&2', {
    signal: inTime(),
    payload: payloadOf('x'),
  });
  t.deepEqual(result, {exitCode: 0, stdout: 'x', stderr: 'err\n'});
});

test('a connection that drops rejects all that runs, and whatever comes later', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const runs = [1, 2, 3, 4, 5].map(() => connection.run('sleep 600', {signal: inTime()}));
  const rejected = runs.map(run => t.throwsAsync(run, {code: 'ERR_CONNECTION_LOST'}));
  await connection.run('true', {signal: AbortSignal.timeout(100)}).catch(() => undefined);
  server.dropAll();
  await Promise.all(rejected);
  await t.throwsAsync(echo(connection), {code: 'ERR_CONNECTION_LOST'});
  await t.throwsAsync(connection.forward(1, {signal: inTime()}), {code: 'ERR_CONNECTION_LOST'});
});

test('a connection that drops in the middle of a payload rejects and stops reading it', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  server.faults.dropAfterBytes = 3_000_000;
  let source: Readable | undefined;
  const payload = {
    sizeBytes: 1e9,
    open: (): Readable => (source = Readable.from(endless(), {objectMode: false})),
  };
  const run = connection.run('cat >/dev/null', {signal: inTime(), payload});
  await t.throwsAsync(run, {code: 'ERR_CONNECTION_LOST'});
  t.true(source?.destroyed);
});

test('a script that is cut off on its way is not run', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const marker = join(server.directory, 'ran');
  server.faults.dropAfterBytes = 500_000;
  const script = `: >${marker}\n: ${'x'.repeat(1_000_000)}`;
  const run = connection.run(script, {signal: inTime()});
  await t.throwsAsync(run, {code: 'ERR_CONNECTION_LOST'});
  await server.quiet();
  await t.throwsAsync(stat(marker), {code: 'ENOENT'});
});

test('output that is cut off is a lost connection, never a short result', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  await echo(connection);
  server.faults.truncateOutputBytes = 10;
  const run = Promise.all([
    echo(connection),
    connection.run('echo 0123456789', {signal: inTime()}),
  ]);
  await t.throwsAsync(run);
});

test('a shell that ends under a script is reported, and another takes its place', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const run = connection.run('kill -9 $$', {signal: inTime()});
  await t.throwsAsync(run, {code: 'ERR_CONNECTION_LOST'});
  t.is(await echo(connection), 'on\n');
});

test('a command that never answers gives no shell, and an abort is not held up by it', async t => {
  await using server = await startSshServer({faults: {hang: 'command'}});
  const reason = new Error('enough');
  const abort = new AbortController();
  const connecting = openSsh(server, {}, abort.signal);
  const waiting = t.throwsAsync(connecting);
  await server.nextCommand();
  abort.abort(reason);
  t.is(await waiting, reason);
});

test('a large payload streams through without being held in memory', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const sizeBytes = 50_000_000;
  let aheadBytes = 0;
  const payload = {
    sizeBytes,
    open: (): Readable =>
      Readable.from(
        endless(sizeBytes, size => (aheadBytes += size)),
        {objectMode: false},
      ),
  };
  const go = join(server.directory, 'go');
  const script = `until [ -e ${go} ]; do sleep 0.02; done; wc -c`;
  const run = connection.run(script, {signal: inTime(), payload});
  await connection.run('sleep 0.2', {signal: inTime()});
  t.true(aheadBytes < 16_000_000, `${aheadBytes} bytes were read ahead`);
  await connection.run(`: >${go}`, {signal: inTime()});
  t.is((await run).stdout.trim(), String(sizeBytes));
});

test.serial('nothing stays behind: no listener on the signal, no channel, no timer', async t => {
  await using server = await startSshServer();
  const abort = new AbortController();
  const timers = (): number =>
    process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
  const before = timers();
  const connection = await openSsh(server, {}, abort.signal);
  const {signal} = abort;
  await connection.run('cat', {signal, payload: payloadOf('x')});
  await Promise.all([1, 2, 3, 4, 5, 6].map(() => connection.run('true', {signal})));
  await connection.lock(join(server.directory, 'lock'), {owner: 'me', signal});
  await t.throwsAsync(connection.run('sleep 600', {signal, timeoutMs: 50}));
  await connection[Symbol.asyncDispose]();
  t.is(getEventListeners(signal, 'abort').length, 0);
  t.true(timers() <= before + 1, 'the only timer left may be of the test itself');
});

function* endless(
  limitBytes = Infinity,
  onChunk: (sizeBytes: number) => void = () => undefined,
): Generator<Buffer> {
  for (let sentBytes = 0; sentBytes < limitBytes;) {
    const chunk = Buffer.alloc(Math.min(65_536, limitBytes - sentBytes));
    sentBytes += chunk.length;
    onChunk(chunk.length);
    yield chunk;
  }
}
