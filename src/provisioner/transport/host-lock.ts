import {CodedError} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {LockOptions} from './connection.ts';
import {formatLockScript, parseLockLine, type LockLine, type LockRefusal} from './lock.ts';
import type {Shell} from './shell.ts';

const ORPHAN_TIMEOUT_MS = 300_000; // kubeadm's own deadline for a control plane is 4 min
const ORPHAN_POLL_MS = 500;

export interface HostLockOptions extends LockOptions {
  readonly host: string;
  readonly path: string;
  /** Opens a shell of its own for the lock. */
  readonly startShell: (signal: AbortSignal) => Promise<Shell>;
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
  // Under the caller's signal: an attempt is short, and the first must not be cut off by the deadline.
  const attempt = async (): Promise<HostLock | undefined> => {
    const {line, ended} = await tryLock(formatLockScript({path, owner}), options, signal);
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
  const shell = await startShell(signal);
  let line: LockLine | undefined;
  try {
    const {stdout, stderr} = await shell.run(script, {ownShell: true, signal});
    line = parseLockLine(stdout) ?? {kind: 'unusable', text: stderr.trim()};
    return {line, ended: shell.ended};
  } finally {
    if (line?.kind !== 'locked') shell.close();
  }
}

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
