import {Readable} from 'node:stream';
import {CodedError} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {LockOptions, Payload} from './connection.ts';
import {formatLockScript, parseLockLine, type LockLine, type LockRefusal} from './lock.ts';
import type {Shell} from './shell.ts';

const ORPHAN_TIMEOUT_MS = 300_000; // kubeadm's own deadline for a control plane is 4 min
const ORPHAN_POLL_MS = 500;

export interface HostLockOptions extends LockOptions {
  readonly host: string;
  readonly path: string;
  /** Opens a shell of its own for the lock. */
  readonly startShell: () => Promise<Shell>;
}

export interface HostLock {
  /** Settles, never rejecting, when the shell that holds the lock has ended. */
  readonly ended: Promise<void>;
}

/**
 * Takes a host's lock (`lock.ts`), waiting for what a killed run left behind.
 *
 * @throws CodedError ERR_LOCKED, ERR_LOCK_UNUSABLE; what opening a shell throws
 */
export async function takeHostLock(options: HostLockOptions): Promise<HostLock> {
  const {path, owner, signal, orphanTimeoutMs = ORPHAN_TIMEOUT_MS, onOrphan} = options;
  let orphan = '';
  const attempt = async (deadline: AbortSignal): Promise<HostLock | undefined> => {
    const {line, ended} = await tryLock(formatLockScript({path, owner}), options, deadline);
    if (line.kind === 'locked') return {ended};
    if (line.kind !== 'orphan') throw refused(line, options);
    if (orphan === '') onOrphan?.(line.text);
    orphan = line.text;
    return undefined;
  };
  try {
    const timing = {signal, timeoutMs: orphanTimeoutMs, intervalMs: ORPHAN_POLL_MS};
    return await waitFor(attempt, timing);
  } catch (error) {
    const isDeadline = error instanceof DOMException && error.name === 'TimeoutError';
    if (!isDeadline || signal.aborted || orphan === '') throw error;
    throw refused({kind: 'orphan', text: orphan}, options);
  }
}

/** One attempt; if it succeeds its shell stays, and holds the lock. */
async function tryLock(
  script: string,
  {startShell}: HostLockOptions,
  signal: AbortSignal,
): Promise<{readonly line: LockLine; readonly ended: Promise<void>}> {
  const shell = await startShell();
  const answer = Promise.withResolvers<LockLine>();
  const onLine = (text: string): void => {
    const line = parseLockLine(text);
    if (line) answer.resolve(line);
  };
  const hold = new AbortController(); // once taken, the lock no longer depends on the signal
  const abort = (): void => {
    hold.abort(signal.reason);
  };
  signal.addEventListener('abort', abort, {once: true});
  const running = shell.run(script, {payload: endlessInput, onLine, signal: hold.signal});
  const ended = running.then(
    ({stderr}) => {
      answer.resolve({kind: 'unusable', text: stderr.trim()});
    },
    (error: unknown) => {
      answer.reject(error);
    },
  );
  try {
    const line = await answer.promise;
    if (line.kind !== 'locked') shell.close();
    return {line, ended};
  } catch (error) {
    shell.close();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Promised and never sent: the script that waits for it lives as long as its channel. */
const endlessInput: Payload = {
  sizeBytes: 1,
  open: () => new Readable({read: () => undefined}),
};

function refused(
  {kind, text}: LockRefusal,
  {host, path}: HostLockOptions,
): CodedError<ProvisionerErrorCode> {
  switch (kind) {
    case 'held':
      return new CodedError('ERR_LOCKED', `${host} is locked by ${text || 'another run'}`, {
        hint: 'wait for that run to end, or end it',
      });
    case 'orphan':
      return new CodedError('ERR_LOCKED', `${host} is still busy with ${text}, a run that ended`, {
        hint: `wait for these commands to end, or end them on ${host}`,
      });
    case 'unusable':
      return new CodedError('ERR_LOCK_UNUSABLE', `${host}: cannot lock ${path}: ${text}`, {
        hint: `see that ${host} has util-linux and that its file system can be written`,
      });
    default:
      return kind satisfies never;
  }
}
