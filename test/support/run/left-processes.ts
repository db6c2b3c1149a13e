import {readdir, readFile, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

const POLL_MS = 100;
/** What is ending needs a moment, on a machine that still has other work. */
const GRACE_MS = 5_000;

interface MarkedProcess {
  readonly id: number;
  readonly command: string;
}

/**
 * Kills what still runs with this mark in its environment, wherever its parent went, and names it.
 *
 * @param mark `NAME=value`
 * @param graceMs for how long such processes may take to end by themselves
 */
export async function removeLeftProcesses(
  mark: string,
  graceMs = GRACE_MS,
): Promise<readonly string[]> {
  const deadlineMs = performance.now() + graceMs;
  let left = await markedProcesses(mark);
  while (left.length > 0 && performance.now() < deadlineMs) {
    await sleep(POLL_MS);
    left = await markedProcesses(mark);
  }
  for (const {id} of left) {
    try {
      process.kill(id, 'SIGKILL');
    } catch {
      // ESRCH: it has ended by itself
    }
  }
  return left.map(({id, command}) => `process ${id} ${command}`);
}

async function markedProcesses(mark: string): Promise<readonly MarkedProcess[]> {
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number);
  const others = ids.filter(id => id !== process.pid);
  const found = await Promise.all(others.map(id => markedProcess(id, mark)));
  return found.filter(each => each !== undefined);
}

/** Empty files: a process that is gone, ends, or is somebody else's. */
async function markedProcess(id: number, mark: string): Promise<MarkedProcess | undefined> {
  const read = async (name: string) =>
    (await readFile(join('/proc', String(id), name), 'utf8').catch(() => '')).split('\0');
  if (!(await read('environ')).includes(mark)) return undefined;
  const place = await readlink(join('/proc', String(id), 'cwd')).catch(() => '?');
  return {id, command: `${(await read('cmdline')).join(' ').trim()} in ${place}`};
}
