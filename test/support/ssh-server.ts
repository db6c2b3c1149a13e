/**
 * An SSH server of our own on loopback, which runs commands in a real /bin/sh of this machine and
 * misbehaves on demand. Scripts run as whoever runs the tests and must keep to a directory of
 * their own.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {EventEmitter, once} from 'node:events';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import ssh2 from 'ssh2';
import type {AuthContext, Connection, ServerChannel, Session} from 'ssh2';
import type {SshTarget} from '#provisioner/transport/connection';
import {createKeyPair} from './key-pair.ts';
import {writeProgram} from './program-file.ts';

/** What goes wrong; read at every use, so a test may change it while connections stand. */
export interface SshFaults {
  /** Cuts the TCP connection once this many bytes have arrived on it. */
  dropAfterBytes?: number;
  /** Holds back everything that a command prints. */
  delayMs?: number;
  /** Closes a channel after this many bytes of standard output, without an exit status. */
  truncateOutputBytes?: number;
  /** What profile files print, on both streams, before a command starts. */
  noise?: string;
  refuseAuthentication?: boolean;
  sudo?: 'allow' | 'refuse' | 'missing';
  /** Accept and never answer: a TCP connection, or a command. */
  hang?: 'handshake' | 'command';
  /** More sessions than this on a connection are refused. */
  sessionsMax?: number;
  refuseForward?: boolean;
}

export interface SshServerOptions {
  readonly faults?: SshFaults;
  /** Shown before authentication, as the `Banner` of sshd_config. */
  readonly banner?: string;
  /** The shell that stands in for /bin/sh, e.g. /usr/bin/bash. */
  readonly shell?: string;
  /** Types of host keys, in the server's order; default one ed25519 key. */
  readonly hostKeyTypes?: readonly ('ed25519' | 'ecdsa')[];
}

export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Temporary, for whatever a test writes; removed at the end. */
  readonly directory: string;
  /** Public host keys, `ssh-ed25519 AAAA…`, in the order of `hostKeyTypes`. */
  readonly hostKeys: readonly string[];
  /** A private key that may log in. */
  readonly privateKeyPath: string;
  readonly faults: SshFaults;
  /** A target that connects; `fields` replace. */
  target(fields?: Partial<SshTarget>): SshTarget;
  /** Cuts every TCP connection, as a crashed host does. */
  dropAll(): void;
  /** Every command line that was executed. */
  readonly commands: readonly string[];
  /** Resolves when the next command line is executed. */
  nextCommand(): Promise<void>;
  /** Resolves when no command runs any longer. */
  quiet(): Promise<void>;
}

export async function startSshServer(options: SshServerOptions = {}): Promise<SshServer> {
  const directory = await mkdtemp(join(tmpdir(), 'ssh-server-'));
  const {faults = {}, banner, shell = '/bin/sh', hostKeyTypes = ['ed25519']} = options;
  const hostKeys = hostKeyTypes.map(createKeyPair);
  const user = createKeyPair('ed25519');
  const privateKeyPath = join(directory, 'id_ed25519');
  await writeFile(privateKeyPath, user.private, {mode: 0o600});
  const state: ServerState = {
    directory,
    shell,
    faults,
    allowedKey: Buffer.from(user.public.split(' ')[1] ?? '', 'base64'),
    children: new Set(),
    events: new EventEmitter(),
    commands: [],
  };
  const server = new ssh2.Server(
    {hostKeys: hostKeys.map(key => key.private), ...(banner === undefined ? {} : {banner})},
    client => {
      serveClient(client, state);
    },
  );
  const sockets = new Set<Socket>();
  const listener = createServer(socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    if (faults.hang === 'handshake') return;
    server.injectSocket(socket);
    socket.on('data', () => {
      if (socket.bytesRead >= (faults.dropAfterBytes ?? Infinity)) socket.destroy();
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const {port} = listener.address() as AddressInfo;
  const publicKeys = hostKeys.map(key => key.public.trim());
  const dropAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port,
    directory,
    hostKeys: publicKeys,
    privateKeyPath,
    faults,
    commands: state.commands,
    dropAll,
    nextCommand: () => new Promise(resolve => state.events.once('command', resolve)),
    quiet: async () => {
      while (state.children.size > 0) await once(state.events, 'end');
    },
    target: fields => ({
      host: 'h1',
      address: '127.0.0.1',
      port,
      user: 'root',
      privateKeyPaths: [privateKeyPath],
      hostKeys: publicKeys,
      knownHostsPaths: [],
      ...fields,
    }),
    async [Symbol.asyncDispose](): Promise<void> {
      dropAll();
      await new Promise(resolve => listener.close(resolve));
      for (const child of state.children) killGroup(child);
      await Promise.all([...state.children].map(async child => once(child, 'close')));
      await rm(directory, {recursive: true, force: true});
    },
  };
}

interface ServerState {
  readonly directory: string;
  readonly shell: string;
  readonly faults: SshFaults;
  readonly allowedKey: Buffer;
  readonly children: Set<ChildProcess>;
  readonly events: EventEmitter;
  readonly commands: string[];
}

function serveClient(client: Connection, state: ServerState): void {
  let sessionCount = 0;
  client.on('error', () => undefined); // the other side drops connections on purpose
  client.on('authentication', context => {
    authenticate(context, state);
  });
  client.on('session', (accept, reject) => {
    if (sessionCount >= (state.faults.sessionsMax ?? Infinity)) {
      reject();
      return;
    }
    sessionCount += 1;
    serveSession(accept(), state, () => (sessionCount -= 1));
  });
  client.on('tcpip', (accept, reject, {destIP, destPort}) => {
    if (state.faults.refuseForward === true) {
      reject();
      return;
    }
    const socket = connect(destPort, destIP);
    socket.once('error', () => {
      reject();
    });
    socket.once('connect', () => {
      const channel = accept();
      channel.on('error', () => undefined);
      socket.on('error', () => {
        channel.close();
      });
      channel.once('close', () => socket.destroy());
      socket.pipe(channel);
      channel.pipe(socket);
    });
  });
}

function authenticate(context: AuthContext, {faults, allowedKey}: ServerState): void {
  if (context.method !== 'publickey' || faults.refuseAuthentication === true) {
    context.reject(['publickey']);
    return;
  }
  const key = ssh2.utils.parseKey(context.key.data);
  const {blob, signature, hashAlgo} = context;
  const isSigned =
    blob === undefined ||
    signature === undefined ||
    (!(key instanceof Error) && key.verify(blob, signature, hashAlgo));
  if (context.key.data.equals(allowedKey) && isSigned) context.accept();
  else context.reject(['publickey']);
}

function serveSession(session: Session, state: ServerState, closed: () => void): void {
  session.once(
    'exec',
    (accept: () => ServerChannel, _reject: () => void, info: {command: string}) => {
      const channel = accept();
      state.commands.push(info.command);
      state.events.emit('command');
      channel.on('error', () => undefined);
      channel.once('close', () => {
        closed();
      });
      if (state.faults.hang === 'command') channel.resume();
      else void execute(channel, info.command, state);
    },
  );
}

/** Like sshd: the user's shell runs the command, in a session of its own. */
async function execute(channel: ServerChannel, command: string, state: ServerState): Promise<void> {
  const {faults, directory} = state;
  if (faults.noise !== undefined) {
    channel.write(faults.noise);
    channel.stderr.write(faults.noise);
  }
  await writeSudo(directory, faults.sudo ?? 'allow');
  const child = spawn('/bin/sh', ['-c', command.replaceAll('/bin/sh', state.shell)], {
    cwd: directory,
    detached: true,
    env: {PATH: `${directory}:/usr/bin:/bin`, HOME: directory},
  });
  state.children.add(child);
  child.once('close', () => {
    state.children.delete(child);
    state.events.emit('end');
  });
  channel.pipe(child.stdin);
  child.stdin.on('error', () => undefined); // the command ended first
  channel.once('close', () => child.stdin.destroy());
  let sentBytes = 0;
  const send = (chunk: Buffer): void => {
    const left = (faults.truncateOutputBytes ?? Infinity) - sentBytes;
    sentBytes += chunk.length;
    channel.write(left < chunk.length ? chunk.subarray(0, Math.max(left, 0)) : chunk);
    if (left < chunk.length) channel.close();
  };
  const later = (act: () => void): void => {
    if (faults.delayMs === undefined) act();
    else setTimeout(act, faults.delayMs);
  };
  child.stdout.on('data', (chunk: Buffer) => {
    later(() => {
      send(chunk);
    });
  });
  child.stderr.on('data', (chunk: Buffer) => {
    later(() => channel.stderr.write(chunk));
  });
  child.once('close', (code, signal) => {
    later(() => {
      if (code === null) channel.exit(signal?.replace('SIG', '') ?? 'KILL');
      else channel.exit(code);
      channel.end();
    });
  });
}

async function writeSudo(
  directory: string,
  behaviour: 'allow' | 'refuse' | 'missing',
): Promise<void> {
  const path = join(directory, 'sudo');
  const text = {
    allow: '#!/bin/sh\n[ "$1 $2 $3" = "-n -H --" ] || exit 9\nshift 3\nexec "$@"\n',
    refuse: '#!/bin/sh\necho "sudo: a password is required" >&2\nexit 1\n',
    missing: '#!/bin/sh\necho "sh: 1: exec: sudo: not found" >&2\nexit 127\n',
  }[behaviour];
  const present = await readFile(path, 'utf8').catch(() => '');
  if (present === text) return;
  writeProgram(path, text);
}

function killGroup({pid}: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended already
  }
}
