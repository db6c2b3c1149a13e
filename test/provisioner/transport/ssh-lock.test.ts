import test from 'ava';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {connect as connectTcp, createServer, type AddressInfo} from 'node:net';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import {openTunnel} from '#provisioner/transport/tunnel';
import {eventually} from '#test/eventually';
import {echo, inTime, openSsh} from '#test/open-ssh';
import {startSshServer} from '#test/ssh-server';

// Forwarding

test('forward() reaches a port of the host, in both directions', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  await using service = await startEcho();
  const stream = await connection.forward(service.port, {signal: inTime()});
  stream.end('ping');
  t.is(await text(stream), 'ping');
});

test('forward() to a port where nothing listens is refused', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const stream = connection.forward(1, {signal: inTime()});
  await t.throwsAsync(stream, {code: 'ERR_FORWARD_REFUSED'});
});

test('a tunnel carries several connections, and ends with its disposal', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  await using service = await startEcho();
  const tunnel = await openTunnel(connection, service.port, {signal: inTime()});
  const {localPort} = tunnel;
  t.deepEqual(await Promise.all([ask(localPort, 'a'), ask(localPort, 'b')]), ['a', 'b']);
  const idle = connectTcp(localPort, '127.0.0.1');
  await once(idle, 'connect');
  const closed = once(idle, 'close');
  await tunnel[Symbol.asyncDispose]();
  await closed;
});

test('after its disposal nothing listens on the port of a tunnel', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  await using service = await startEcho();
  const tunnel = await openTunnel(connection, service.port, {signal: inTime()});
  t.is(await ask(tunnel.localPort, 'a'), 'a');
  await tunnel[Symbol.asyncDispose]();
  // A child of another test has a copy of the socket between fork and exec, and another test may be
  // given the port.
  let answer = '';
  await eventually(async () => {
    answer = await ask(tunnel.localPort, 'c').catch(codeOf);
    return answer === 'ECONNREFUSED';
  });
  t.is(answer, 'ECONNREFUSED');
});

test('a tunnel closes connections that the host refuses', async t => {
  await using server = await startSshServer({faults: {refuseForward: true}});
  await using connection = await openSsh(server);
  await using tunnel = await openTunnel(connection, 1, {signal: inTime()});
  const socket = connectTcp(tunnel.localPort, '127.0.0.1');
  t.is(await text(socket), '');
});

// Locking

test('a lock refuses the second run and names the owner of the first', async t => {
  await using server = await startSshServer();
  await using first = await openSsh(server);
  await using second = await openSsh(server);
  const path = join(server.directory, 'run', 'lock');
  await first.lock(path, {owner: 'run 7 by ann@desk, pid 12', signal: inTime()});
  const {message} = await t.throwsAsync(second.lock(path, {owner: 'b', signal: inTime()}), {code: 'ERR_LOCKED'}); // prettier-ignore
  t.regex(message, /run 7 by ann@desk, pid 12/);
  t.is(await echo(first), 'on\n');
});

test('a lock ends with its connection, whichever way that ends', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'lock');
  await using first = await openSsh(server);
  await first.lock(path, {owner: 'a', signal: inTime()});
  await echo(first);
  server.dropAll();
  const second = await openSsh(server);
  await second.lock(path, {owner: 'b', signal: inTime()});
  t.is(await readFile(path, 'utf8'), 'b\n');
  await second[Symbol.asyncDispose]();
  await using third = await openSsh(server);
  await third.lock(path, {owner: 'c', signal: inTime()});
  t.is(await readFile(path, 'utf8'), 'c\n');
});

test('a lock waits for what a killed run left behind, and says what it is', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'lock');
  const go = join(server.directory, 'go');
  await using first = await openSsh(server);
  await first.lock(path, {owner: 'run 7', signal: inTime()});
  const onLine = (): void => {
    server.dropAll();
  };
  const script = `echo started; until [ -e ${go} ]; do sleep 0.05; done`;
  await t.throwsAsync(first.run(script, {signal: inTime(), onLine}), {code: 'ERR_CONNECTION_LOST'});
  await using second = await openSsh(server);
  let orphan = '';
  const onOrphan = (description: string): void => {
    orphan = description;
    void writeFile(go, '');
  };
  await second.lock(path, {owner: 'run 8', signal: inTime(), onOrphan});
  t.regex(orphan, /\(pid \d+\).* of run 7/);
});

test('a lock does not wait for ever for what a killed run left behind', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'lock');
  await using first = await openSsh(server);
  await first.lock(path, {owner: 'run 7', signal: inTime()});
  const onLine = (): void => {
    server.dropAll();
  };
  await t.throwsAsync(first.run('echo started; sleep 600', {signal: inTime(), onLine}));
  await using second = await openSsh(server);
  const locking = second.lock(path, {owner: 'run 8', signal: inTime(), orphanTimeoutMs: 100});
  await t.throwsAsync(locking, {code: 'ERR_LOCKED'});
});

test('a lock on a path that cannot be written is refused', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  for (const path of ['/proc/no/lock', server.directory]) {
    const locking = connection.lock(path, {owner: 'a', signal: inTime()});
    await t.throwsAsync(locking, {code: 'ERR_LOCK_UNUSABLE'}, path);
  }
});

test('a run whose lock is taken away does not go on', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server);
  const path = join(server.directory, 'lock');
  await connection.lock(path, {owner: 'a', signal: inTime()});
  const kill = `for d in /proc/[0-9]*/fd/9; do [ "$d" -ef ${path} ] || continue; d=\${d#/proc/}; kill -9 "\${d%%/*}"; done`;
  await connection.run(`${kill}; sleep 600`, {signal: inTime()}).then(
    () => t.fail(),
    (error: unknown) => {
      t.like(error, {code: 'ERR_CONNECTION_LOST'});
    },
  );
});

async function startEcho(): Promise<AsyncDisposable & {readonly port: number}> {
  const server = createServer({allowHalfOpen: true}, socket => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose](): Promise<void> {
      if (server.listening) await new Promise(resolve => server.close(resolve));
    },
  };
}

/** Says something to a port of loopback, and reads until it is closed. */
async function ask(port: number, question: string): Promise<string> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.end(question);
  return await text(socket);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
