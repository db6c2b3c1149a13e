import {readFileSync} from 'node:fs';
import {isErrno} from '#shared/errors';
import {lastErrno, rawCall, systemError} from './libc.ts';

/** Names one process for good: a pid alone may have been given to another since. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks from boot to its start. */
  readonly startTime: string;
}

/** How a child ended, as wait(2) tells it. */
export type WaitStatus =
  | {readonly kind: 'exited'; readonly exitCode: number}
  | {readonly kind: 'signalled'; readonly signalNumber: number};

const WNOHANG = 1;
const EINTR = 4;
const ECHILD = 10;

const waitpidCall = rawCall('waitpid', 'int', 'void *', 'int');

/**
 * Reaps a child of ours if it has ended; never waits.
 *
 * @returns `undefined` while it runs
 * @throws `SystemError` `ECHILD` when it is no child of ours, or was reaped before
 */
export function waitpid(pid: number): WaitStatus | undefined {
  const status = Buffer.alloc(4);
  for (;;) {
    const reaped = waitpidCall(pid, status, WNOHANG);
    if (reaped === 0) return undefined;
    if (reaped === pid) return parseStatus(status.readInt32LE());
    const errno = reaped === -1 ? lastErrno() : ECHILD;
    if (errno !== EINTR) throw systemError('waitpid', errno);
  }
}

function parseStatus(status: number): WaitStatus {
  const signalNumber = status & 0x7f;
  return signalNumber === 0
    ? {kind: 'exited', exitCode: (status >> 8) & 0xff}
    : {kind: 'signalled', signalNumber};
}

/**
 * Sends a signal to a process, or, for a negative pid, to its group.
 *
 * @param process with a start time, nothing is sent to a later process of the same pid
 * @returns false when there is no such process any more
 */
export function killProcess(
  process: number | ProcessIdentity,
  signal: NodeJS.Signals | number,
): boolean {
  if (typeof process !== 'number' && !isAlive(process)) return false;
  try {
    return globalThis.process.kill(typeof process === 'number' ? process : process.pid, signal);
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Field 22 of /proc/PID/stat, `undefined` when there is no such process; zombies have one too. */
export function processStartTime(pid: number): string | undefined {
  return readStat(pid)?.[19];
}

/** True while that very process runs; false for a zombie, which only waits to be reaped. */
export function isAlive({pid, startTime}: ProcessIdentity): boolean {
  const fields = readStat(pid);
  return fields !== undefined && fields[19] === startTime && fields[0] !== 'Z' && fields[0] !== 'X';
}

/** The fields of /proc/PID/stat from the third (state) on. */
function readStat(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the name in brackets, which may hold blanks and brackets itself.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined;
    throw error;
  }
}

export interface OwnCapabilities {
  readonly effective: bigint;
  readonly bounding: bigint;
}

/** What this process may do and may hand on: bit n is capability n (capability.h). */
export function ownCapabilities(): OwnCapabilities {
  const status = readFileSync('/proc/thread-self/status', 'latin1');
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  return {effective: set('CapEff'), bounding: set('CapBnd')};
}

/** The ceiling of every resource, by the name that the OCI runtime specification uses. */
export function hardLimits(): Readonly<Record<string, bigint | 'unlimited'>> {
  const limits: Record<string, bigint | 'unlimited'> = {};
  for (const line of readFileSync('/proc/self/limits', 'latin1').split('\n').slice(1)) {
    const [, title = '', hard = ''] = /^(\S.*?)\s{2,}\S+\s+(\S+)/.exec(line) ?? [];
    const name = LIMIT_NAMES[title];
    if (name !== undefined) limits[name] = hard === 'unlimited' ? hard : BigInt(hard);
  }
  return limits;
}

const LIMIT_NAMES: Readonly<Record<string, string>> = {
  'Max cpu time': 'RLIMIT_CPU',
  'Max file size': 'RLIMIT_FSIZE',
  'Max data size': 'RLIMIT_DATA',
  'Max stack size': 'RLIMIT_STACK',
  'Max core file size': 'RLIMIT_CORE',
  'Max resident set': 'RLIMIT_RSS',
  'Max processes': 'RLIMIT_NPROC',
  'Max open files': 'RLIMIT_NOFILE',
  'Max locked memory': 'RLIMIT_MEMLOCK',
  'Max address space': 'RLIMIT_AS',
  'Max file locks': 'RLIMIT_LOCKS',
  'Max pending signals': 'RLIMIT_SIGPENDING',
  'Max msgqueue size': 'RLIMIT_MSGQUEUE',
  'Max nice priority': 'RLIMIT_NICE',
  'Max realtime priority': 'RLIMIT_RTPRIO',
  'Max realtime timeout': 'RLIMIT_RTTIME',
};
