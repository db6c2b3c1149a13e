import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {isErrno} from '#shared/errors';
import type {CgroupPaths} from './paths.ts';

/**
 * Moves a process, with all its threads, into a cgroup of every hierarchy; the folders are made.
 *
 * The first move of a burst can take the kernel 10 ms (it waits for all CPUs), so nothing of this
 * is synchronous. On v1 a new cpuset has neither CPUs nor memory nodes and takes no process before
 * it has: it gets its parent's.
 * @throws Error of the system call (ESRCH: the process has ended).
 */
export async function placeProcess(pid: number, paths: CgroupPaths): Promise<void> {
  for (const directory of new Set(Object.values(paths.directories))) {
    await mkdir(directory, {recursive: true, mode: 0o755});
    if (directory === paths.directories['cpuset']) await inheritCpuset(directory);
    await writeFile(join(directory, 'cgroup.procs'), String(pid));
  }
}

async function inheritCpuset(directory: string): Promise<void> {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = await readFile(join(directory, file), 'utf8').catch(absent);
    if (own === undefined || own.trim() !== '') continue;
    const parent = dirname(directory);
    const value = await readFile(join(parent, file), 'utf8').catch(absent);
    if (value === undefined) continue;
    if (value.trim() === '') await inheritCpuset(parent);
    await writeFile(join(directory, file), await readFile(join(parent, file), 'utf8'));
  }
}

function absent(error: unknown): undefined {
  if (isErrno(error, 'ENOENT')) return undefined;
  throw error;
}
