/**
 * SSH from Node, over ssh2: hosts keys verified, keys only, a few framed shells per host.
 *
 * A provisioner that is killed (-9) leaves a script that runs in the foreground of a channel
 * running until it ends or writes to its closed pipe; the host's lock makes the next run wait for
 * it (`lock.ts`). An orderly end kills what still runs.
 */
import {readFile} from 'node:fs/promises';
import ssh2 from 'ssh2';
import type {Client, ConnectConfig} from 'ssh2';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import type {ProvisionerErrorCode} from '../errors.ts';
import {prepareAuthentication, type Authentication} from './authentication.ts';
import type {Connect, Connection, SshTarget} from './connection.ts';
import {unreachable, type TransportError} from './connection-errors.ts';
import {judgeHostKey, orderAlgorithms, typeOf, type HostKey} from './host-key.ts';
import {formatKnownHost, parseKnownHosts, type KnownHost} from './known-hosts.ts';
import {SshConnection} from './ssh-connection.ts';

/** The kernel of a host that is up answers whatever its load; three packets more fit into it. */
const ANSWER_TIMEOUT_MS = 10_000;
const HANDSHAKE_TIMEOUT_MS = 20_000;
const KEEPALIVE_INTERVAL_MS = 15_000;
const KEEPALIVE_COUNT_MAX = 4;
/** Fastest first: measured with Node's OpenSSL, aes128-gcm moves twice what chacha20 does. */
const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
] as const;

export interface SshDeps {
  /** SSH_AUTH_SOCK of the operator, if there is an agent. */
  readonly agentSocketPath: string | undefined;
  /** known_hosts file of our own: always read, and where accepted keys are pinned (mode 0600). */
  readonly pinnedHostKeysPath: string;
  /** Accept and pin the key of a host that nothing knows; a changed key is refused all the same. */
  readonly acceptNewHostKeys: boolean;
  /** From the first packet to the first answer, a name's resolution included; default 10 s. */
  readonly answerTimeoutMs?: number;
  /** From the first packet to the end of authentication; default 20 s. */
  readonly handshakeTimeoutMs?: number;
}

/**
 * Makes the function that connects to hosts: host key, authentication, and a first root shell.
 *
 * @returns `connect`, which throws CodedError ERR_HOST_UNREACHABLE, ERR_HOST_KEY_UNKNOWN,
 *   ERR_HOST_KEY_MISMATCH, ERR_HOST_KEY_REVOKED, ERR_HOST_KEY_INVALID, ERR_KNOWN_HOSTS_UNREADABLE,
 *   ERR_AUTHENTICATION_FAILED, ERR_PRIVATE_KEY_ENCRYPTED, ERR_SUDO_REFUSED, ERR_SHELL_UNAVAILABLE
 */
export function createSshConnect(deps: SshDeps): Connect {
  const pin = createPinner(deps.pinnedHostKeysPath);
  return async (target, {signal}): Promise<Connection> => {
    signal.throwIfAborted();
    const paths = [...target.knownHostsPaths, deps.pinnedHostKeysPath];
    const knownHosts = (await Promise.all(paths.map(readKnownHosts))).flat();
    const authentication = await prepareAuthentication(target, deps.agentSocketPath);
    const {client, newHostKey} = await openClient({
      target,
      knownHosts,
      authentication,
      deps,
      signal,
    });
    const connection = new SshConnection(client, target);
    try {
      if (newHostKey) await pin(target, newHostKey);
      await connection.start(signal);
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  };
}

interface OpenClient {
  readonly target: SshTarget;
  readonly knownHosts: readonly KnownHost[];
  readonly authentication: Authentication;
  readonly deps: SshDeps;
  readonly signal: AbortSignal;
}

interface OpenedClient {
  readonly client: Client;
  /** A key to pin: accepted, and known to nobody before. */
  readonly newHostKey: HostKey | undefined;
}

async function openClient(options: OpenClient): Promise<OpenedClient> {
  const {target, knownHosts, authentication, deps, signal} = options;
  const client = new ssh2.Client();
  const opened = Promise.withResolvers<OpenedClient>();
  let newHostKey: HostKey | undefined;
  const verify = (blob: Buffer): boolean => {
    const key = {type: typeOf(blob), blob};
    const verdict = judgeHostKey(key, {target, knownHosts, acceptNew: deps.acceptNewHostKeys});
    if (verdict.kind === 'refused') opened.reject(verdict.error);
    if (verdict.kind === 'new') newHostKey = key;
    return verdict.kind !== 'refused';
  };
  const fail = (error: Error): void => {
    if (isAgentFailure(error)) authentication.note(`the agent failed (${error.message})`);
    else opened.reject(explain(error, target, authentication));
  };
  const close = (): void => {
    opened.reject(unreachable(target, 'the host closed the connection', undefined));
  };
  const ready = (): void => {
    client.setNoDelay(true); // small requests must not wait 40 ms for an acknowledgement
    opened.resolve({client, newHostKey});
  };
  const abort = (): void => {
    opened.reject(signal.reason);
  };
  const answerMs = deps.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  const unanswered = setTimeout(() => {
    opened.reject(unreachable(target, `no answer within ${answerMs / 1000} s`, undefined));
  }, answerMs);
  client.on('error', fail).once('close', close).once('ready', ready);
  client.once('connect', () => {
    clearTimeout(unanswered);
  });
  signal.addEventListener('abort', abort, {once: true});
  if (signal.aborted) abort();
  try {
    client.connect({...settings(options), hostVerifier: verify});
    return await opened.promise;
  } catch (error) {
    client.on('error', () => undefined); // what follows from breaking off is of no interest
    client.destroy();
    throw error;
  } finally {
    clearTimeout(unanswered);
    signal.removeEventListener('abort', abort);
    client.off('error', fail).off('close', close).off('ready', ready);
  }
}

function settings({target, knownHosts, authentication, deps}: OpenClient): ConnectConfig {
  return {
    host: target.address,
    port: target.port,
    username: target.user,
    authHandler: (_methodsLeft, _isPartial, next) => {
      // The type knows no `false`, which ends the attempts (ssh2 README, `authHandler`).
      (next as (method: ReturnType<Authentication['next']>) => void)(authentication.next());
    },
    readyTimeout: deps.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    keepaliveInterval: KEEPALIVE_INTERVAL_MS,
    keepaliveCountMax: KEEPALIVE_COUNT_MAX,
    algorithms: {cipher: [...CIPHERS], serverHostKey: orderAlgorithms({target, knownHosts})},
  };
}

const levelOf = (error: Error): unknown => ('level' in error ? error.level : undefined);

/** ssh2 reports these and goes on with the next method. */
const isAgentFailure = (error: Error): boolean => levelOf(error) === 'agent';

function explain(error: Error, target: SshTarget, authentication: Authentication): TransportError {
  const isRefusal =
    levelOf(error) === 'client-authentication' || /too many authentication/i.test(error.message);
  if (isRefusal) return authentication.refusal(target, error);
  return unreachable(target, error.message.replace(/^connect /, ''), error);
}

const KNOWN_HOSTS_BYTES_MAX = 16 * 1024 * 1024;

/** @throws CodedError ERR_KNOWN_HOSTS_UNREADABLE; a missing file is an empty one */
async function readKnownHosts(path: string): Promise<readonly KnownHost[]> {
  const text = await readOptional(path);
  if (text.length > KNOWN_HOSTS_BYTES_MAX) throw unreadable(path, 'it is larger than 16 MiB');
  return parseKnownHosts(text);
}

async function readOptional(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw unreadable(path, messageOf(error));
  }
}

const unreadable = (path: string, reason: string): CodedError<ProvisionerErrorCode> =>
  new CodedError('ERR_KNOWN_HOSTS_UNREADABLE', `cannot read host keys from ${path}: ${reason}`, {
    hint: 'make it readable, or name another file',
  });

const unwritable = (path: string, reason: string): CodedError<ProvisionerErrorCode> =>
  new CodedError('ERR_JOURNAL_UNWRITABLE', `cannot keep the host key in ${path}: ${reason}`, {
    hint: 'make the folder writable, or free space',
  });

/** Appends accepted keys one after the other, so that hosts of one run do not overwrite each other. */
function createPinner(path: string): (target: SshTarget, key: HostKey) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (target, {type, blob}) => {
    const append = async (): Promise<void> => {
      const text = await readOptional(path);
      const separator = text === '' || text.endsWith('\n') ? '' : '\n';
      const line = formatKnownHost(target, type, blob.toString('base64'));
      try {
        await writeFileAtomic(path, `${text}${separator}${line}`, {mode: 0o600});
      } catch (error) {
        throw unwritable(path, messageOf(error));
      }
    };
    const result = last.then(append);
    last = result.catch(() => undefined); // told to the caller it belongs to
    return result;
  };
}
