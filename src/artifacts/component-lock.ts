import {randomBytes} from 'node:crypto';
import {link, mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {dirname} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import {isTimeout, waitFor} from '#shared/wait-for';
import type {ArtifactsErrorCode} from './errors.ts';

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Called once when another process holds the lock. */
  readonly onWait: () => void;
  readonly timeoutMs?: number;
}

const LOCK_TIMEOUT_MS = 60 * 60_000; // the longest build on the slowest machine
const POLL_MS = 250;

/**
 * Runs `work` while this process alone holds the lock file `path`, across processes.
 *
 * The file names its holder by pid and start time; a holder that no longer runs is replaced. The
 * lock spares work and protects nothing: blobs are named by content and appear by rename, so two
 * holders would at worst build the same thing twice.
 *
 * @throws CodedError ERR_BUILD_FAILED when the holder takes too long
 */
export async function withFileLock<T>(
  path: string,
  {signal, onWait, timeoutMs = LOCK_TIMEOUT_MS}: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const holder = `${process.pid} ${(await startTime(process.pid)) ?? ''} ${randomBytes(4).toString('hex')}`;
  await mkdir(dirname(path), {recursive: true});
  if (!(await take(path, holder))) {
    onWait();
    const taken = async () => ((await take(path, holder)) ? true : undefined);
    await waitFor(taken, {signal, timeoutMs, intervalMs: POLL_MS}).catch((error: unknown) => {
      throw signal.aborted || !isTimeout(error) ? error : heldTooLong(path, timeoutMs);
    });
  }
  try {
    return await work();
  } finally {
    await rm(path, {force: true});
  }
}

function heldTooLong(path: string, timeoutMs: number): CodedError<ArtifactsErrorCode> {
  const minutes = timeoutMs / 60_000;
  return new CodedError(
    'ERR_BUILD_FAILED',
    `another process has held ${path} for more than ${minutes} minutes`,
    {hint: `the file begins with the id of that process: end it if it hangs, then run again`},
  );
}

async function take(path: string, holder: string): Promise<boolean> {
  if (await create(path, holder)) return true;
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found === undefined) return await create(path, holder); // released in between
  const [pid = '', start = ''] = found.split(' ');
  if (start !== '' && (await startTime(Number(pid))) === start) return false;
  // Moved aside rather than removed: of several waiters only one gets this very file.
  const aside = `${path}.${randomBytes(4).toString('hex')}`;
  await rename(path, aside).catch(() => undefined);
  await rm(aside, {force: true});
  return await create(path, holder);
}

/** Complete from the first moment: written beside, then linked, which fails if the name exists. */
async function create(path: string, holder: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  await writeFile(temporary, holder);
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    return false;
  } finally {
    await rm(temporary, {force: true});
  }
}

/** Clock ticks after boot at which a process started (proc(5), field 22), so a reused pid differs. */
async function startTime(pid: number): Promise<string | undefined> {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}
