import {readdir, readFile} from 'node:fs/promises';
import {isErrno} from '#shared/errors';
import {killProcess, type ProcessIdentity} from '../sys/processes.ts';

/** One process, of /proc/PID/stat (proc_pid_stat(5)); numbers as this PID namespace has them. */
export interface ProcessEntry extends ProcessIdentity {
  readonly parentPid: number;
  readonly processGroup: number;
  /** Pid of the session's leader. */
  readonly session: number;
  readonly isZombie: boolean;
}

/** Rounds of looking for processes that were forked while others were killed. */
const KILL_ROUNDS_MAX = 10;
const READS_AT_ONCE = 32;

/**
 * Kills the process that an OCI runtime has exec'd and what that has started, at any depth: its
 * descendants, and what has lost its parent but is still in a session of theirs. The runtime is
 * spared: it reaps its child and ends by itself then.
 *
 * A process that has made itself a daemon (a session of its own, then its parent's end) has left
 * on purpose, and is not found.
 * @param runtimePid the runtime, which is alive and not reaped
 * @param execPid the exec'd process, a session's leader; `undefined`: not known (yet)
 * @returns true when there was something to kill
 */
export async function killExec(runtimePid: number, execPid: number | undefined): Promise<boolean> {
  const seen = new Set<number>();
  let killedAny = false;
  for (let round = 0; round < KILL_ROUNDS_MAX; round++) {
    const processes = await readProcesses();
    if (round === 0 && execPid !== undefined && isStillOurs(processes, {runtimePid, execPid})) {
      seen.add(execPid);
    }
    const found = descendantsOf(runtimePid, processes, seen).filter(({isZombie}) => !isZombie);
    if (found.length === 0) break;
    for (const process of found) killProcess(process, 'SIGKILL');
    killedAny = true;
  }
  return killedAny;
}

/**
 * Tells an exec'd process and those in its process group that their terminal is gone, as the
 * kernel tells the foreground of a real one.
 */
export async function hangUp(runtimePid: number, execPid: number | undefined): Promise<void> {
  const children = (await readProcesses()).filter(({parentPid}) => parentPid === runtimePid);
  // The pid is written down a little later than the process begins: then any child will do.
  const process = children.find(({pid}) => pid === execPid) ?? children[0];
  if (process === undefined) return;
  const {pid, processGroup} = process;
  killProcess(processGroup === runtimePid ? pid : -processGroup, 'SIGHUP');
}

/** False when the pid was given to another process: ours is the runtime's child until reaped. */
function isStillOurs(
  processes: readonly ProcessEntry[],
  {runtimePid, execPid}: {readonly runtimePid: number; readonly execPid: number},
): boolean {
  const owner = processes.find(({pid}) => pid === execPid);
  return owner === undefined || owner.parentPid === runtimePid;
}

/**
 * The processes below one, of a snapshot of all; none when that one is not in it.
 *
 * @param seen pids and sessions found in earlier snapshots; those found now are added. The
 *   children and the session of a dead process are found by it.
 */
export function descendantsOf(
  rootPid: number,
  processes: readonly ProcessEntry[],
  seen: Set<number>,
): readonly ProcessEntry[] {
  const root = processes.find(({pid}) => pid === rootPid);
  if (root === undefined) return [];
  const found = new Set<ProcessEntry>();
  let sizeBefore = -1;
  while (found.size > sizeBefore) {
    sizeBefore = found.size;
    for (const process of processes) {
      const {pid, parentPid, session} = process;
      if (pid === rootPid || found.has(process)) continue;
      if (parentPid !== rootPid && !seen.has(parentPid) && !seen.has(session)) continue;
      found.add(process);
      seen.add(pid);
      // Its leader may be gone: crun's is, at once. The root's own session is the daemon's too.
      if (session !== root.session) seen.add(session);
    }
  }
  return [...found];
}

async function readProcesses(): Promise<readonly ProcessEntry[]> {
  const pids = (await readdir('/proc')).filter(name => /^[0-9]+$/.test(name));
  const processes: ProcessEntry[] = [];
  for (let start = 0; start < pids.length; start += READS_AT_ONCE) {
    const read = await Promise.all(pids.slice(start, start + READS_AT_ONCE).map(readProcess));
    for (const process of read) if (process !== undefined) processes.push(process);
  }
  return processes;
}

async function readProcess(pid: string): Promise<ProcessEntry | undefined> {
  try {
    return parseProcessStat(await readFile(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined; // ended meanwhile
    throw error;
  }
}

/** Reads a line of /proc/PID/stat; `undefined` when it is none. */
export function parseProcessStat(line: string): ProcessEntry | undefined {
  const nameEnd = line.lastIndexOf(')'); // the name in brackets may hold brackets and blanks
  const pid = Number.parseInt(line, 10);
  const fields = line.slice(nameEnd + 2).split(' '); // from the third field on: state, ppid, …
  const [state, parentPid, processGroup, session] = fields;
  const startTime = fields[19];
  if (nameEnd < 0 || Number.isNaN(pid) || startTime === undefined) return undefined;
  return {
    pid,
    startTime,
    parentPid: Number(parentPid),
    processGroup: Number(processGroup),
    session: Number(session),
    isZombie: state === 'Z' || state === 'X',
  };
}
