import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {RuntimeErrorCode} from '../errors.ts';
import type {CgroupPaths} from './paths.ts';

/** A killed process stays in its cgroup until the kernel has taken it apart: tens of ms under load. */
const EMPTY_TIMEOUT_MS = 10_000;
const EMPTY_INTERVAL_MS = 10;

/**
 * Kills every process of a cgroup and of those below it, and waits until they are gone; for what
 * a container leaves behind that shared its PID namespace with others. v2 has one file for it; on
 * v1 the lists are read again and again, since a process may fork between reading and killing.
 * @throws CodedError ERR_CGROUP_BUSY when processes stay; the signal's reason.
 */
export async function killCgroup(paths: CgroupPaths, signal: AbortSignal): Promise<void> {
  const {unified, pids, memory} = paths.directories;
  const directory = unified ?? pids ?? memory;
  if (directory === undefined) return;
  await killByFile(directory);
  const limits = {signal, timeoutMs: EMPTY_TIMEOUT_MS, intervalMs: EMPTY_INTERVAL_MS};
  try {
    await waitFor(async () => ((await killBelow(directory)) === 0 ? true : undefined), limits);
  } catch (cause) {
    signal.throwIfAborted();
    throw new CodedError<RuntimeErrorCode>(
      'ERR_CGROUP_BUSY',
      `processes of cgroup ${directory} did not end within ${EMPTY_TIMEOUT_MS} ms of being killed`,
      {
        hint: `look at the state of what ${directory}/cgroup.procs names: D waits for a disk`,
        cause,
      },
    );
  }
}

/** How many there were to be killed. */
async function killBelow(directory: string): Promise<number> {
  const pids = await processesBelow(directory);
  for (const pid of pids) killOne(pid);
  return pids.length;
}

/** `cgroup.kill` (v2, kernel 5.14): one write, no race; where it is not, the lists must do. */
async function killByFile(directory: string): Promise<void> {
  try {
    await writeFile(join(directory, 'cgroup.kill'), '1', {flag: 'r+'});
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EOPNOTSUPP')) throw error;
  }
}

async function processesBelow(directory: string): Promise<readonly number[]> {
  try {
    const own = await readFile(join(directory, 'cgroup.procs'), 'utf8');
    const pids = own
      .split('\n')
      .filter(line => line !== '')
      .map(Number);
    for (const entry of await readdir(directory, {withFileTypes: true})) {
      if (entry.isDirectory()) pids.push(...(await processesBelow(join(directory, entry.name))));
    }
    // 0 stands for a process of another PID namespace, which cannot be named from here.
    return pids.filter(pid => pid > 0);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENODEV')) return [];
    throw error;
  }
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
