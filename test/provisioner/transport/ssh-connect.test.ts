import test, {type ExecutionContext} from 'ava';
import {getEventListeners} from 'node:events';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createSshConnect} from '#provisioner/transport/ssh';
import {createEncryptedKey, createKeyPair} from '#test/key-pair';
import {echo, inTime, openSsh, type SshFields} from '#test/open-ssh';
import {silentPort} from '#test/silent-port';
import {startSshServer, type SshServer} from '#test/ssh-server';

const refuses = async (
  t: ExecutionContext,
  code: string,
  server: SshServer,
  fields: SshFields = {},
): Promise<Error> => {
  const error = await t.throwsAsync(openSsh(server, fields), {code});
  t.true('hint' in error && error.hint !== '');
  return error;
};

// Reaching and being let in

test('a port where nothing listens is an unreachable host, named with address and reason', async t => {
  await using server = await startSshServer();
  const {message} = await refuses(t, 'ERR_HOST_UNREACHABLE', server, {port: 1});
  t.regex(message, /h1 \(127\.0\.0\.1:\d+\).*ECONNREFUSED/);
});

test('a name that does not resolve is an unreachable host', async t => {
  await using server = await startSshServer();
  await refuses(t, 'ERR_HOST_UNREACHABLE', server, {address: 'no-such-host.invalid'});
});

test('a host that does not answer at all is unreachable before a handshake could have ended', async t => {
  await using server = await startSshServer();
  using silent = await silentPort();
  const fields = {port: silent.port, answerTimeoutMs: 200};
  const {message} = await refuses(t, 'ERR_HOST_UNREACHABLE', server, fields);
  t.regex(message, /: no answer within 0\.2 s$/);
});

test('a host that accepts and says nothing is unreachable once the handshake takes too long', async t => {
  await using server = await startSshServer({faults: {hang: 'handshake'}});
  const {message} = await refuses(t, 'ERR_HOST_UNREACHABLE', server, {handshakeTimeoutMs: 200});
  t.regex(message, /handshake/);
});

test('a host that closes in the middle of the handshake is unreachable', async t => {
  await using server = await startSshServer({faults: {dropAfterBytes: 10}});
  await refuses(t, 'ERR_HOST_UNREACHABLE', server);
});

test('an abort while connecting rejects with its reason and leaves no connection', async t => {
  await using server = await startSshServer({faults: {hang: 'handshake'}});
  const reason = new Error('enough');
  const abort = new AbortController();
  const connecting = openSsh(server, {}, abort.signal);
  abort.abort(reason);
  t.is(await t.throwsAsync(connecting), reason);
  t.is(getEventListeners(abort.signal, 'abort').length, 0);
});

test('a key that the host does not know is refused, and the message names what was tried', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'other');
  await writeFile(path, createKeyPair('ed25519').private);
  const missing = join(server.directory, 'missing');
  const {message} = await refuses(t, 'ERR_AUTHENTICATION_FAILED', server, {
    privateKeyPaths: [missing, path],
  });
  t.true(message.includes(path) && message.includes(missing) && message.includes('ENOENT'));
});

test('a later key is tried when the first is refused or no key at all', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'other');
  await writeFile(path, createKeyPair('ed25519').private);
  const junk = join(server.directory, 'junk');
  await writeFile(junk, 'not a key\n');
  await using connection = await openSsh(server, {
    privateKeyPaths: [path, junk, server.privateKeyPath],
  });
  t.is(await echo(connection), 'on\n');
});

test('no key at all is a refused authentication', async t => {
  await using server = await startSshServer();
  await refuses(t, 'ERR_AUTHENTICATION_FAILED', server, {privateKeyPaths: []});
});

test('a key with a passphrase is refused by name, and the hint names the agent', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'encrypted');
  await writeFile(path, createEncryptedKey());
  const error = await refuses(t, 'ERR_PRIVATE_KEY_ENCRYPTED', server, {privateKeyPaths: [path]});
  t.regex('hint' in error ? String(error.hint) : '', /ssh-add/);
});

test('an agent that does not answer is passed over for the key files', async t => {
  await using server = await startSshServer();
  const agentSocketPath = join(server.directory, 'no-agent');
  await using connection = await openSsh(server, {agentSocketPath});
  t.is(await echo(connection), 'on\n');
  const {message} = await refuses(t, 'ERR_AUTHENTICATION_FAILED', server, {
    agentSocketPath,
    privateKeyPaths: [],
  });
  t.regex(message, /agent failed/);
});

test('a host that refuses everyone refuses us', async t => {
  await using server = await startSshServer({faults: {refuseAuthentication: true}});
  await refuses(t, 'ERR_AUTHENTICATION_FAILED', server);
});

// Host keys

test('a host key that nothing knows is refused with its fingerprint', async t => {
  await using server = await startSshServer();
  const {message} = await refuses(t, 'ERR_HOST_KEY_UNKNOWN', server, {hostKeys: []});
  t.regex(message, /SHA256:/);
  t.is(server.commands.length, 0);
});

test('a host key other than expected is refused', async t => {
  await using server = await startSshServer();
  const hostKeys = [createKeyPair('ed25519').public];
  await refuses(t, 'ERR_HOST_KEY_MISMATCH', server, {hostKeys, acceptNewHostKeys: true});
});

test('a new host key is accepted once, pinned for its owner only, and holds from then on', async t => {
  await using server = await startSshServer();
  await using other = await startSshServer();
  const path = join(server.directory, 'state', 'known_hosts');
  const fields = {hostKeys: [], acceptNewHostKeys: true, pinnedHostKeysPath: path};
  await using first = await openSsh(server, fields);
  t.is(await echo(first), 'on\n');
  t.is((await stat(path)).mode & 0o777, 0o600);
  await using again = await openSsh(server, {...fields, acceptNewHostKeys: false});
  t.is(await echo(again), 'on\n');
  t.is((await readFile(path, 'utf8')).split('\n').length, 2);
  await writeFile(
    path,
    (await readFile(path, 'utf8')).replace(`:${server.port}`, `:${other.port}`),
  );
  await refuses(t, 'ERR_HOST_KEY_MISMATCH', other, fields);
});

test('hosts whose keys are accepted at the same time are all pinned', async t => {
  const servers = await Promise.all([startSshServer(), startSshServer(), startSshServer()]);
  const path = join(servers[0].directory, 'known_hosts');
  const connect = createSshConnect({
    agentSocketPath: undefined,
    pinnedHostKeysPath: path,
    acceptNewHostKeys: true,
  });
  const all = await Promise.all(
    servers.map(server => connect(server.target({hostKeys: []}), {signal: inTime()})),
  );
  t.is((await readFile(path, 'utf8')).trim().split('\n').length, servers.length);
  for (const one of [...all, ...servers]) await one[Symbol.asyncDispose]();
});

test('no key is pinned for a host that did not let us in', async t => {
  await using server = await startSshServer({faults: {refuseAuthentication: true}});
  await refuses(t, 'ERR_AUTHENTICATION_FAILED', server, {hostKeys: [], acceptNewHostKeys: true});
  await t.throwsAsync(stat(join(server.directory, 'known_hosts')), {code: 'ENOENT'});
});

test('of several host keys the host shows the one that known_hosts knows', async t => {
  await using server = await startSshServer({hostKeyTypes: ['ed25519', 'ecdsa']});
  const path = join(server.directory, 'known');
  await writeFile(path, `[127.0.0.1]:${server.port} ${server.hostKeys[1] ?? ''}\n`);
  await using connection = await openSsh(server, {hostKeys: [], knownHostsPaths: [path]});
  t.is(await echo(connection), 'on\n');
});

test('a known_hosts file that cannot be read is refused', async t => {
  await using server = await startSshServer();
  const path = join(server.directory, 'folder');
  await mkdir(path);
  await refuses(t, 'ERR_KNOWN_HOSTS_UNREADABLE', server, {knownHostsPaths: [path]});
});

// Becoming root

test('a user other than root becomes root by sudo without a password', async t => {
  await using server = await startSshServer();
  await using connection = await openSsh(server, {user: 'lab'});
  t.is(await echo(connection), 'on\n');
  t.regex(server.commands[0] ?? '', /^exec sudo -n -H -- \/bin\/sh -c /);
});

test('root needs no sudo', async t => {
  await using server = await startSshServer({faults: {sudo: 'refuse'}});
  await using connection = await openSsh(server);
  t.is(await echo(connection), 'on\n');
});

test('a refused or missing sudo is found out while connecting', async t => {
  await using server = await startSshServer({faults: {sudo: 'refuse'}});
  const {message} = await refuses(t, 'ERR_SUDO_REFUSED', server, {user: 'lab'});
  t.regex(message, /a password is required/);
  server.faults.sudo = 'missing';
  await refuses(t, 'ERR_SUDO_REFUSED', server, {user: 'lab'});
});

test('a host that gives no session has no shell for us', async t => {
  await using server = await startSshServer({faults: {sessionsMax: 0}});
  await refuses(t, 'ERR_SHELL_UNAVAILABLE', server);
});
