/**
 * The transport against OpenSSH's own sshd, in the foreground on loopback as a private process.
 * Needs root (sshd's own demand); a machine without sshd takes the one of its distribution.
 */
import test from 'ava';
import {spawn, execFileSync, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {connect as connectTcp} from 'node:net';
import {tmpdir, userInfo} from 'node:os';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import type {Connection, SshTarget} from '#provisioner/transport/connection';
import {createSshConnect, type SshDeps} from '#provisioner/transport/ssh';
import {openTunnel} from '#provisioner/transport/tunnel';
import {waitFor} from '#shared/wait-for';
import {connectionContract} from '#test/connection-contract';
import {freePort} from '#test/free-port';
import {echo, inTime} from '#test/open-ssh';
import {type SshdProgram, sshdProgram} from '#test/sshd-program';
import {temporaryFolder} from '#test/temporary-folder';

const DOWNLOAD_MS = 120_000;
let folder: Awaited<ReturnType<typeof temporaryFolder>> | undefined;
let program: SshdProgram;

test.before('sshd is at hand', async t => {
  t.timeout(DOWNLOAD_MS);
  folder = await temporaryFolder();
  program = await sshdProgram(folder.path, AbortSignal.timeout(DOWNLOAD_MS));
});
test.after.always(async () => await folder?.[Symbol.asyncDispose]());

interface Sshd extends AsyncDisposable {
  readonly directory: string;
  readonly process: ChildProcess;
  readonly port: number;
  connect(fields?: Partial<SshTarget & SshDeps>): Promise<Connection>;
}

async function startSshd(
  settings: readonly string[] = [],
  hostKeyTypes: readonly string[] = ['ed25519'],
): Promise<Sshd> {
  const directory = await mkdtemp(join(tmpdir(), 'sshd-'));
  const key = (name: string, type: string): string => {
    const path = join(directory, name);
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', path]);
    return path;
  };
  const hostKeys = hostKeyTypes.map(type => key(`host_${type}`, type));
  const privateKeyPath = key('id_ed25519', 'ed25519');
  const port = await freePort();
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...hostKeys.map(path => `HostKey ${path}`),
    `AuthorizedKeysFile ${privateKeyPath}.pub`,
    `PidFile ${join(directory, 'pid')}`,
    'PermitRootLogin prohibit-password',
    'StrictModes no',
    'UsePAM no',
    ...program.settings,
    ...settings,
  ];
  const configPath = join(directory, 'sshd_config');
  await writeFile(configPath, `${config.join('\n')}\n`);
  const [command = '', ...args] = program.argv;
  const process_ = spawn(command, [...args, '-D', '-e', '-f', configPath], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const log: string[] = [];
  process_.stderr.on('data', (chunk: Buffer) => log.push(chunk.toString()));
  await waitFor(
    async () => {
      if (process_.exitCode !== null) throw new Error(`sshd ended: ${log.join('')}`);
      return (await isListening(port)) ? true : undefined;
    },
    {signal: inTime(), timeoutMs: 20_000},
  );
  const publicHostKey = await readFile(`${hostKeys[0] ?? ''}.pub`, 'utf8');
  return {
    directory,
    process: process_,
    port,
    connect: fields =>
      createSshConnect({
        agentSocketPath: undefined,
        pinnedHostKeysPath: join(directory, 'known_hosts'),
        acceptNewHostKeys: false,
        ...fields,
      })(
        {
          host: 'h1',
          address: '127.0.0.1',
          port,
          user: userInfo().username,
          privateKeyPaths: [privateKeyPath],
          hostKeys: [publicHostKey],
          knownHostsPaths: [],
          ...fields,
        },
        {signal: inTime()},
      ),
    async [Symbol.asyncDispose](): Promise<void> {
      process_.kill('SIGTERM');
      if (process_.exitCode === null && process_.signalCode === null) await once(process_, 'exit');
      await rm(directory, {recursive: true, force: true});
    },
  };
}

connectionContract('OpenSSH', async () => {
  const sshd = await startSshd(['Banner /etc/debian_version']);
  const connection = await sshd.connect();
  return {
    connection,
    directory: sshd.directory,
    async [Symbol.asyncDispose](): Promise<void> {
      await connection[Symbol.asyncDispose]();
      await sshd[Symbol.asyncDispose]();
    },
  };
});

for (const type of ['ecdsa', 'rsa']) {
  test(`OpenSSH: a host known by its ${type} key alone shows that key`, async t => {
    await using sshd = await startSshd([], ['ed25519', type]);
    const hostKey = await readFile(join(sshd.directory, `host_${type}.pub`), 'utf8');
    const path = join(sshd.directory, 'known');
    await writeFile(path, `[127.0.0.1]:${sshd.port} ${hostKey}`);
    execFileSync('ssh-keygen', ['-q', '-H', '-f', path], {stdio: 'ignore'}); // hashes the names
    await using connection = await sshd.connect({hostKeys: [], knownHostsPaths: [path]});
    t.is(await echo(connection), 'on\n');
  });
}

test('OpenSSH: keys of an agent are offered, and the refusal names them', async t => {
  await using sshd = await startSshd();
  const socket = join(sshd.directory, 'agent');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], {stdio: 'ignore'});
  try {
    const signal = inTime();
    const isReady = (): Promise<true | undefined> =>
      Promise.resolve(existsSync(socket) ? true : undefined);
    await waitFor(isReady, {signal, timeoutMs: 10_000}); // prettier-ignore
    const options = {env: {...process.env, SSH_AUTH_SOCK: socket}, stdio: 'ignore'} as const;
    const add = (path: string): void => void execFileSync('ssh-add', [path], options);
    const agentOnly = {agentSocketPath: socket, privateKeyPaths: []};
    add(join(sshd.directory, 'host_ed25519')); // any key that may not log in
    const {message} = await t.throwsAsync(sshd.connect(agentOnly), {code: 'ERR_AUTHENTICATION_FAILED'}); // prettier-ignore
    t.regex(message, /the agent's SHA256:/);
    add(join(sshd.directory, 'id_ed25519'));
    await using connection = await sshd.connect(agentOnly);
    t.is(await echo(connection), 'on\n');
  } finally {
    agent.kill();
  }
});

test('OpenSSH: MaxSessions 2 is enough for everything but the lock', async t => {
  await using sshd = await startSshd(['MaxSessions 2']);
  await using connection = await sshd.connect();
  const all = Array.from({length: 5}, () => echo(connection));
  t.deepEqual(
    await Promise.all(all),
    Array.from({length: 5}, () => 'on\n'),
  );
});

test('OpenSSH: a user without a shell is refused', async t => {
  await using sshd = await startSshd(['ForceCommand echo "go away"']);
  await t.throwsAsync(sshd.connect(), {code: 'ERR_SHELL_UNAVAILABLE'});
});

test('OpenSSH: a lock ends with its run, and waits for what the run left behind', async t => {
  await using sshd = await startSshd();
  const path = join(sshd.directory, 'lock');
  const first = await sshd.connect();
  await first.lock(path, {owner: 'run 7', signal: inTime()});
  await using second = await sshd.connect();
  const locking = second.lock(path, {owner: 'run 8', signal: inTime()});
  await t.throwsAsync(locking, {code: 'ERR_LOCKED', message: /run 7/});
  const go = join(sshd.directory, 'go');
  const closed: Promise<void>[] = [];
  const onLine = (): void => void closed.push(Promise.resolve(first[Symbol.asyncDispose]()));
  const script = `echo started; until [ -e ${go} ]; do sleep 0.05; done`;
  await t.throwsAsync(first.run(script, {signal: inTime(), onLine}), {
    code: 'ERR_CONNECTION_LOST',
  });
  await Promise.all(closed);
  const orphans: string[] = [];
  const onOrphan = (description: string): void => {
    orphans.push(description);
    void writeFile(go, '');
  };
  await second.lock(path, {owner: 'run 8', signal: inTime(), onOrphan});
  t.regex(orphans.join(), /\(pid \d+\).* of run 7/);
});

test('OpenSSH: a tunnel reaches a port of the host, and forwarding may be forbidden', async t => {
  await using sshd = await startSshd();
  await using connection = await sshd.connect();
  await using tunnel = await openTunnel(connection, sshd.port, {signal: inTime()});
  t.true(await isListening(tunnel.localPort));
  await using strict = await startSshd(['AllowTcpForwarding no']);
  await using other = await strict.connect();
  const stream = other.forward(strict.port, {signal: inTime()});
  await t.throwsAsync(stream, {code: 'ERR_FORWARD_REFUSED'});
});

test('OpenSSH: 100 MB stream to the host without being held in memory', async t => {
  await using sshd = await startSshd();
  await using connection = await sshd.connect();
  const sizeBytes = 100_000_000;
  const chunk = Buffer.alloc(100_000, 'x');
  const payload = {
    sizeBytes,
    open: (): Readable =>
      Readable.from(
        Array.from({length: 1000}, () => chunk),
        {objectMode: false},
      ),
  };
  const startedAt = performance.now();
  const {stdout} = await connection.run(`cat >${sshd.directory}/f; wc -c <${sshd.directory}/f`, {
    signal: inTime(),
    payload,
  });
  t.is(stdout.trim(), String(sizeBytes));
  t.log(`${Math.round(sizeBytes / 1e3 / (performance.now() - startedAt))} MB/s`);
});

async function isListening(port: number): Promise<boolean> {
  const socket = connectTcp(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}
