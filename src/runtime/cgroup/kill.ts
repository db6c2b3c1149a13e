import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import type {CgroupPaths} from './paths.ts';

/** Rounds of reading and killing: each ends what the round before could still fork. */
const ROUNDS_MAX = 64;

/**
 * Kills every process of a cgroup and of those below it; for what a container leaves behind that
 * shared its PID namespace with others. v2 has one file for it; on v1 the process lists are read
 * until they are empty, since a process may fork between reading and killing.
 * @returns true when the cgroup is empty or gone.
 */
export async function killCgroup(paths: CgroupPaths): Promise<boolean> {
  const directory =
    paths.directories['unified'] ?? paths.directories['pids'] ?? paths.directories['memory'];
  if (directory === undefined) return false;
  if (await killByFile(directory)) return true;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const pids = await processesBelow(directory);
    if (pids.length === 0) return true;
    for (const pid of pids) killOne(pid);
  }
  return false;
}

/** `cgroup.kill` (v2, kernel 5.14): one write, no race. */
async function killByFile(directory: string): Promise<boolean> {
  try {
    await writeFile(join(directory, 'cgroup.kill'), '1', {flag: 'r+'});
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'EOPNOTSUPP')) return false;
    throw error;
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
