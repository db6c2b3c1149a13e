import {readdirSync} from 'node:fs';
import {constants} from 'node:os';
import {isMainThread} from 'node:worker_threads';
import {isErrno} from '#shared/errors';
import {systemCall} from '../sys/libc.ts';
import {waitpid, type WaitStatus} from '../sys/processes.ts';

/** How a child ended. */
export interface ChildExit {
  /** 0–255; 128 + n when signal n ended it, as shells count. */
  readonly exitCode: number;
  /** The signal that ended it, e.g. `SIGKILL`. */
  readonly signal?: string;
}

/**
 * SIGCHLD tells the main thread at once; the timer is for workers, which get no signals, and
 * keeps the process alive while a child runs.
 */
const RECHECK_MS = isMainThread ? 1_000 : 5;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SIGNAL_BASE = 128;
const EXIT_UNKNOWN = 255;

const signalNames = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name]),
);
const fcntl = systemCall('fcntl', 'int', 'int', 'int');
const waiting = new Map<number, (exit: ChildExit) => void>();
let timer: NodeJS.Timeout | undefined;

let isPrepared = false;

/**
 * To be called before a child is started: the signal of a short life could be missed otherwise,
 * and the child would get what this process inherited itself (Node opens its own files with
 * close-on-exec, but looks for inherited ones below 16 only).
 */
export function expectChild(): void {
  if (isPrepared) return;
  isPrepared = true;
  process.on('SIGCHLD', reap);
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    try {
      if (fd > 2) fcntl(fd, F_SETFD, FD_CLOEXEC);
    } catch (error) {
      if (!isErrno(error, 'EBADF')) throw error; // The directory that was read just now.
    }
  }
}

/**
 * Reaps a child that this process has just started. Only pids given here are ever waited for:
 * libuv has children of its own.
 */
export function watchChild(pid: number): Promise<ChildExit> {
  const {promise, resolve} = Promise.withResolvers<ChildExit>();
  waiting.set(pid, resolve);
  timer ??= setInterval(reap, RECHECK_MS);
  return promise;
}

/** True from `watchChild` until the child is reaped: so long its pid is certainly its own. */
export function isWatched(pid: number): boolean {
  return waiting.has(pid);
}

function reap(): void {
  for (const [pid, resolve] of waiting) {
    const exit = exitOf(pid);
    if (exit === undefined) continue;
    waiting.delete(pid);
    resolve(exit);
  }
  if (waiting.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

function exitOf(pid: number): ChildExit | undefined {
  let status: WaitStatus | undefined;
  try {
    status = waitpid(pid);
  } catch {
    return {exitCode: EXIT_UNKNOWN}; // Reaped by a stranger: all we know is that it has ended.
  }
  switch (status?.kind) {
    case undefined:
      return undefined;
    case 'exited':
      return {exitCode: status.exitCode};
    case 'signalled':
      return {
        exitCode: SIGNAL_BASE + status.signalNumber,
        signal: signalNames.get(status.signalNumber) ?? `signal ${status.signalNumber}`,
      };
    default:
      return status satisfies never;
  }
}
