import {readdir, rmdir} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {RuntimeErrorCode} from '../errors.ts';
import type {CgroupPaths} from './paths.ts';

/** A process that was killed leaves its cgroup when it is reaped: soon, but not at once. */
const BUSY_TIMEOUT_MS = 5000;
const BUSY_INTERVAL_MS = 10;

/** Deeper trees are made by hand, to hurt: a container's own systemd makes four levels. */
const DEPTH_MAX = 32;

/**
 * Removes a cgroup and all below it in every hierarchy; what is not there is removed already.
 * @throws CodedError ERR_CGROUP_BUSY when processes stay in it; the signal's reason.
 */
export async function removeCgroup(paths: CgroupPaths, signal: AbortSignal): Promise<void> {
  for (const directory of new Set(Object.values(paths.directories))) {
    try {
      await waitFor(async () => ((await removeTree(directory, 0)) ? true : undefined), {
        signal,
        timeoutMs: BUSY_TIMEOUT_MS,
        intervalMs: BUSY_INTERVAL_MS,
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw new CodedError<RuntimeErrorCode>(
        'ERR_CGROUP_BUSY',
        `cgroup ${directory} could not be removed within ${BUSY_TIMEOUT_MS} ms`,
        {hint: `look which processes ${directory}/cgroup.procs names`, cause},
      );
    }
  }
}

/** False while something in the tree is busy; folders only, since a cgroup's files are no files. */
async function removeTree(directory: string, depth: number): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (!isErrno(error, 'EBUSY') && !isErrno(error, 'ENOTEMPTY')) throw error;
  }
  if (depth === DEPTH_MAX) return false;
  for (const entry of await childrenOf(directory)) {
    if (!(await removeTree(join(directory, entry), depth + 1))) return false;
  }
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (isErrno(error, 'EBUSY') || isErrno(error, 'ENOTEMPTY')) return false;
    throw error;
  }
}

async function childrenOf(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, {withFileTypes: true});
    return entries.filter(entry => entry.isDirectory()).map(entry => entry.name);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
