import {constants} from 'node:fs';
import {type FileHandle, open, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isCoded, isErrno} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {RuntimeErrorCode} from '../errors.ts';
import type {TerminalSize} from '../sys/terminal.ts';
import {conmonFiles} from './conmon-command.ts';

const RESIZE = 1;
const REOPEN_LOG = 2;
/** conmon refuses larger ones. */
const TERMINAL_SIDE_MAX = 1_000;
const REOPEN_TIMEOUT_MS = 10_000;
const REOPEN_LOOK_MS = 2; // conmon needs about one

/**
 * Has conmon go on in a new log file, after the old one was moved away; resolves when it is there.
 *
 * @throws CodedError ERR_CONTAINER_STATE when no conmon listens (the container has ended),
 *   ERR_COMMAND_TIMED_OUT when the file does not come; this function never makes it itself
 */
export async function reopenLog({
  bundle,
  logPath,
  signal,
}: {
  readonly bundle: string;
  readonly logPath: string;
  readonly signal: AbortSignal;
}): Promise<void> {
  const before = await fileIdentity(logPath);
  await sendControl(bundle, [REOPEN_LOG, 0, 0]);
  const isNew = async (): Promise<boolean> => {
    const present = await fileIdentity(logPath);
    return present !== undefined && present !== before;
  };
  const probe = async (): Promise<true | undefined> => {
    if (await isNew()) return true;
    if (await isHeard(bundle)) return undefined;
    if (await isNew()) return true;
    throw notRunning(bundle); // conmon ended between our word and its reading
  };
  const deadline = {signal, timeoutMs: REOPEN_TIMEOUT_MS, intervalMs: REOPEN_LOOK_MS};
  await waitFor(probe, deadline).catch((cause: unknown) => {
    signal.throwIfAborted();
    if (isCoded(cause)) throw cause;
    throw new CodedError<RuntimeErrorCode>(
      'ERR_COMMAND_TIMED_OUT',
      `conmon did not reopen ${logPath} within ${REOPEN_TIMEOUT_MS} ms`,
      {hint: 'look whether the disk of the logs is full, or its folder was removed', cause},
    );
  });
}

/** Sets the size of a container's terminal. @throws CodedError ERR_CONTAINER_STATE as reopenLog */
export async function resize(bundle: string, {rows, columns}: TerminalSize): Promise<void> {
  await sendControl(bundle, [RESIZE, limitSide(rows), limitSide(columns)]);
}

function limitSide(count: number): number {
  return Math.min(Math.max(Math.trunc(count), 0), TERMINAL_SIDE_MAX);
}

async function sendControl(bundle: string, words: readonly number[]): Promise<void> {
  const fifo = await openControl(bundle);
  if (fifo === undefined) throw notRunning(bundle);
  try {
    await fifo.write(`${words.join(' ')}\n`);
  } catch (error) {
    if (isErrno(error, 'EPIPE')) throw notRunning(bundle);
    throw error;
  } finally {
    await fifo.close();
  }
}

async function isHeard(bundle: string): Promise<boolean> {
  const fifo = await openControl(bundle);
  await fifo?.close();
  return fifo !== undefined;
}

/** `undefined` when nobody reads: a blocking open would then wait for ever. */
async function openControl(bundle: string): Promise<FileHandle | undefined> {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK;
  try {
    return await open(join(bundle, conmonFiles.control), flags);
  } catch (error) {
    if (isErrno(error, 'ENXIO') || isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function notRunning(bundle: string): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_CONTAINER_STATE',
    `no conmon listens in ${bundle}: the container is not running`,
    {hint: 'ask for the container’s status'},
  );
}

async function fileIdentity(path: string): Promise<string | undefined> {
  try {
    const {dev, ino, birthtimeNs} = await stat(path, {bigint: true});
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
