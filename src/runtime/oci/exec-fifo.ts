import {constants, rmSync} from 'node:fs';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import {openReader} from '../process/pipe.ts';
import {AT_FDCWD, openat} from '../sys/files.ts';
import {isAlive, type ProcessIdentity} from '../sys/processes.ts';

/** How often a silent process is looked at, as runc's own `start` does. */
const LOOK_MS = 100;
/** A process that lives and does not come: `runc start` may wait for it, and say so. */
const COME_MS_MAX = 10_000;

/**
 * Lets the process of a created container go on to the user's program, as `runc start` does (runc
 * 1.0 to 1.5, `Container.Exec`): it waits until somebody opens `exec.fifo` in the container's state
 * for reading, writes one byte there and executes. The file is removed then, which is how runc
 * knows that the container runs. Without a start of the Go runtime, which is most of `runc start`.
 *
 * @param state the container's folder under the root of runc
 * @param init the container's process as it was created
 * @returns false when the process does not come: it is dead, frozen, or was started before. `runc
 *   start` then says what is the matter
 * @throws the signal's reason; the file stays
 */
export async function passExecFifo(
  state: string,
  {init, signal}: {readonly init: ProcessIdentity; readonly signal: AbortSignal | undefined},
): Promise<boolean> {
  signal?.throwIfAborted();
  const path = join(state, 'exec.fifo');
  const fd = openFifo(path);
  if (fd === undefined) return false;
  const reader = openReader(fd);
  const {promise, resolve, reject} = Promise.withResolvers<boolean>();
  const abort = (): void => {
    reject(signal?.reason as Error);
  };
  let wasDead = false;
  // Looked at twice: what a process wrote before its end is read between the two.
  const look = setInterval(() => {
    if (isAlive(init)) return;
    if (wasDead) resolve(false);
    wasDead = true;
  }, LOOK_MS);
  const late = setTimeout(resolve, COME_MS_MAX, false);
  reader.once('data', () => {
    try {
      rmSync(path, {force: true}); // at once: as long as it is there, runc takes this for created
      resolve(true);
    } catch (error) {
      reject(error);
    }
  });
  reader.once('end', () => {
    resolve(false);
  });
  reader.once('error', reject);
  signal?.addEventListener('abort', abort, {once: true});
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    clearInterval(look);
    clearTimeout(late);
    reader.destroy();
  }
}

/** Does not wait for a writer (fifo(7), O_NONBLOCK). */
function openFifo(path: string): number | undefined {
  try {
    return openat({directory: AT_FDCWD, path}, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
