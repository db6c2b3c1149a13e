import {createHash, randomBytes} from 'node:crypto';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {once} from 'node:events';
import {deflateSync} from 'node:zlib';
import {createLog} from '#shared/log';
import {spdyDictionary, SPDY_DICTIONARY_ADLER32} from '#runtime/streaming/spdy-dictionary';
import {HeaderReader, HeaderWriter} from '#runtime/streaming/spdy-headers';
import {startStreaming, type StreamingOptions} from '#runtime/streaming/streaming';
import {Tokens} from '#runtime/streaming/tokens';
import {connectSpdy, mustConnectSpdy} from '#test/spdy-client';
import {waitFor} from '#shared/wait-for';
import test, {type ExecutionContext} from 'ava';

const V4 = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];
const {signal} = new AbortController();
const log = createLog({level: 'error', write: () => undefined});
const MEBIBYTE = 1024 * 1024;

const unused = () => Promise.reject(new Error('not asked for'));

async function serve(t: ExecutionContext, handlers: Partial<StreamingOptions>) {
  const streaming = await startStreaming({
    address: '127.0.0.1',
    port: 0,
    log,
    exec: unused,
    attach: unused,
    portForward: unused,
    ...handlers,
  });
  t.teardown(() => streaming.close());
  return streaming;
}

const EXEC = {
  containerId: 'c',
  command: ['true'],
  tty: false,
  stdin: false,
  stdout: true,
  stderr: true,
};

test('the dictionary of SPDY/3 has the length and the checksum that clients announce', t => {
  t.is(spdyDictionary.length, 1423);
  const compressed = deflateSync('x', {dictionary: spdyDictionary});
  t.is(compressed.readUInt32BE(2), SPDY_DICTIONARY_ADLER32);
});

test('header blocks are read in order, however many there are', t => {
  const [writer, reader] = [new HeaderWriter(), new HeaderReader()];
  for (let index = 0; index < 50; index += 1) {
    const headers = new Map([
      ['streamtype', 'stdin'],
      ['port', String(index)],
    ]);
    t.deepEqual(reader.read(writer.write(headers)), headers);
  }
});

test('a header block that is no such block is refused', t => {
  t.throws(() => new HeaderReader().read(Buffer.from('not a block at all')));
});

test('exec: both outputs, and the exit code on the error stream', async t => {
  const streaming = await serve(t, {
    exec: async (request, io) => {
      t.deepEqual(request.command, ['true']);
      io.stdout?.write('out');
      io.stderr?.write('err');
      return await Promise.resolve(3);
    },
  });
  const client = await mustConnectSpdy(streaming.url('exec', EXEC), V4);
  t.is(client.protocol, 'v4.channel.k8s.io');
  const error = client.open({streamType: 'error'});
  const stdout = client.open({streamType: 'stdout'});
  const stderr = client.open({streamType: 'stderr'});
  t.is((await stdout.received).toString(), 'out');
  t.is((await stderr.received).toString(), 'err');
  t.like(JSON.parse((await error.received).toString()), {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: {causes: [{reason: 'ExitCode', message: '3'}]},
  });
  await client.goneAway;
});

test('exec: success and a command that cannot be started are told apart', async t => {
  const outcomes = [() => Promise.resolve(0), () => Promise.reject(new Error('no such file'))];
  const streaming = await serve(t, {exec: () => (outcomes.shift() ?? unused)()});
  const statuses = [];
  for (let round = 0; round < 2; round += 1) {
    const request = {...EXEC, stderr: false};
    const client = await mustConnectSpdy(streaming.url('exec', request), V4);
    const error = client.open({streamType: 'error'});
    client.open({streamType: 'stdout'});
    statuses.push(JSON.parse((await error.received).toString()) as unknown);
  }
  t.like(statuses[0], {status: 'Success'});
  t.like(statuses[1], {status: 'Failure', reason: 'InternalError', message: 'no such file'});
});

test('exec: before protocol v4 a failure is a text', async t => {
  const streaming = await serve(t, {exec: () => Promise.resolve(7)});
  const client = await mustConnectSpdy(streaming.url('exec', {...EXEC, stderr: false}), [
    'v2.channel.k8s.io',
  ]);
  const error = client.open({streamType: 'error'});
  client.open({streamType: 'stdout'});
  t.regex((await error.received).toString(), /exit code: 7$/);
});

test('exec: input ends when the client ends its half, and 32 MiB come back as they went', async t => {
  const streaming = await serve(t, {
    exec: async (_request, {stdin, stdout}) => {
      if (stdin === undefined || stdout === undefined) return 1;
      for await (const chunk of stdin) {
        if (!stdout.write(chunk)) await once(stdout, 'drain');
      }
      return 0;
    },
  });
  const request = {...EXEC, stdin: true, stderr: false};
  const client = await mustConnectSpdy(streaming.url('exec', request), V4);
  const error = client.open({streamType: 'error'});
  const stdin = client.open({streamType: 'stdin'});
  const stdout = client.open({streamType: 'stdout'});
  const hash = createHash('sha256');
  for (let index = 0; index < 32; index += 1) {
    const block = randomBytes(MEBIBYTE);
    hash.update(block);
    if (!stdin.write(block)) await once(client.socket, 'drain');
  }
  stdin.end();
  const received = await stdout.received;
  t.is(received.length, 32 * MEBIBYTE);
  t.is(createHash('sha256').update(received).digest('hex'), hash.digest('hex'));
  t.like(JSON.parse((await error.received).toString()), {status: 'Success'});
});

test('a client that does not read stops the command, with bounded memory', async t => {
  let written = 0;
  const streaming = await serve(t, {
    exec: async (_request, {stdout}, gone) => {
      while (!gone.aborted && stdout !== undefined) {
        written += MEBIBYTE;
        if (!stdout.write(Buffer.alloc(MEBIBYTE))) await once(stdout, 'drain', {signal: gone});
      }
      return 0;
    },
  });
  const client = await mustConnectSpdy(streaming.url('exec', {...EXEC, stderr: false}), V4);
  client.socket.pause();
  client.open({streamType: 'error'});
  client.open({streamType: 'stdout'});
  let before = -1;
  const stalls = () => {
    const isStill = written > 0 && written === before;
    before = written;
    return Promise.resolve(isStill ? true : undefined);
  };
  await waitFor(stalls, {signal, timeoutMs: 20_000, intervalMs: 200});
  t.true(written < 64 * MEBIBYTE, `${written} bytes`);
  client.close();
});

test('a terminal: its sizes arrive in order, what is no size is left out', async t => {
  const sizes: unknown[] = [];
  const streaming = await serve(t, {
    attach: async (_request, {resize, stderr}) => {
      t.is(stderr, undefined);
      for await (const size of resize) {
        sizes.push(size);
        if (sizes.length === 2) return;
      }
    },
  });
  const request = {containerId: 'c', tty: true, stdin: false, stdout: true, stderr: false};
  const client = await mustConnectSpdy(streaming.url('attach', request), V4);
  const error = client.open({streamType: 'error'});
  client.open({streamType: 'stdout'});
  const resize = client.open({streamType: 'resize'});
  resize.write('{"Width":80,"Hei');
  resize.write('ght":24}\n{"Width":-1,"Height":24}\n{nonsense}{"Width":132,"Height":50}\n');
  t.like(JSON.parse((await error.received).toString()), {status: 'Success'});
  t.deepEqual(sizes, [
    {rows: 24, columns: 80},
    {rows: 50, columns: 132},
  ]);
});

test('when the client goes, the command is told', async t => {
  const told = Promise.withResolvers<undefined>();
  const started = Promise.withResolvers<undefined>();
  const streaming = await serve(t, {
    exec: async (_request, _io, gone) => {
      started.resolve(undefined);
      await once(gone, 'abort');
      told.resolve(undefined);
      throw gone.reason;
    },
  });
  const client = await mustConnectSpdy(streaming.url('exec', {...EXEC, stderr: false}), V4);
  client.open({streamType: 'error'});
  client.open({streamType: 'stdout'});
  await started.promise;
  client.close();
  await t.notThrowsAsync(told.promise);
});

test('port-forward: many connections in one, each to its port', async t => {
  const echo = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  t.teardown(() => echo.close());
  const {port} = echo.address() as AddressInfo;
  const streaming = await serve(t, {
    portForward: async request => {
      t.is(request.sandboxId, 's');
      const socket: Socket = connect({host: '127.0.0.1', port, allowHalfOpen: true});
      await once(socket, 'connect');
      return socket;
    },
  });
  const url = streaming.url('portforward', {sandboxId: 's'});
  const client = await mustConnectSpdy(url, ['portforward.k8s.io']);
  const answers = Array.from({length: 50}, (_, index) => {
    const headers = {port: String(port), requestID: String(index)};
    client.open({...headers, streamType: 'error'});
    const data = client.open({...headers, streamType: 'data'});
    data.write(`hello ${index}`);
    data.end();
    return data.received;
  });
  const texts = (await Promise.all(answers)).map(String);
  t.deepEqual(
    texts,
    texts.map((_, index) => `hello ${index}`),
  );
  client.close();
});

test('port-forward: a port where nobody listens is an error of that connection only', async t => {
  const streaming = await serve(t, {
    portForward: ({port}) => Promise.reject(new Error(`connect to port ${port}: refused`)),
  });
  const url = streaming.url('portforward', {sandboxId: 's'});
  const client = await mustConnectSpdy(url, ['portforward.k8s.io']);
  for (const [port, expected] of [
    ['81', /port 81: refused/],
    ['0', /is not a port/],
    ['x', /is not a port/],
  ] as const) {
    const headers = {port, requestID: port};
    const error = client.open({...headers, streamType: 'error'});
    const data = client.open({...headers, streamType: 'data'});
    t.regex((await error.received).toString(), expected);
    t.is((await data.received).length, 0);
  }
});

test('a URL is good once, and unknown ones, other protocols and plain requests are refused', async t => {
  const streaming = await serve(t, {exec: () => Promise.resolve(0)});
  const url = streaming.url('exec', EXEC);
  (await mustConnectSpdy(url, V4)).close();
  t.like(await connectSpdy(url, V4), {status: 404});
  t.like(await connectSpdy(`${url}x`, V4), {status: 404});
  t.like(await connectSpdy(streaming.url('exec', EXEC).replace('exec', 'attach'), V4), {
    status: 404,
  });
  t.like(await connectSpdy(streaming.url('exec', EXEC), ['v9']), {status: 403});
  t.like(await connectSpdy(streaming.url('exec', EXEC), V4, 'websocket'), {status: 400});
  const plain = await fetch(streaming.url('exec', EXEC));
  t.is(plain.status, 400);
});

test('bytes that are not SPDY end the connection, not the server', async t => {
  const streaming = await serve(t, {exec: () => Promise.resolve(0)});
  const client = await mustConnectSpdy(streaming.url('exec', EXEC), V4);
  client.socket.write(Buffer.alloc(64, 0xff));
  await once(client.socket, 'close');
  const next = await mustConnectSpdy(streaming.url('exec', EXEC), V4);
  next.close();
  t.pass();
});

test('tokens last a minute, and 1000 of them may wait', t => {
  let nowMs = 0;
  const tokens = new Tokens<number>(() => nowMs);
  const first = tokens.add(1);
  const second = tokens.add(2);
  t.is(tokens.take(second), 2);
  t.is(tokens.take(second), undefined);
  nowMs = 60_000;
  t.is(tokens.take(first), undefined);
  for (let count = 0; count < 1000; count += 1) tokens.add(count);
  t.throws(() => tokens.add(0), {code: 'ERR_STREAMS_TOO_MANY'});
  nowMs = 120_001;
  t.notThrows(() => tokens.add(0));
});
