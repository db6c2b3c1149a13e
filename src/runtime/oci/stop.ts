import {setTimeout as sleep} from 'node:timers/promises';
import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {isAlive as isProcessAlive, killProcess, type ProcessIdentity} from '../sys/processes.ts';
import type {OciRuntime} from './oci-runtime.ts';

const KILL_DELAY_MS_FIRST = 20;
const KILL_DELAY_MS_MAX = 120_000;
/** An end that is not reported (conmon was killed) is noticed after this. */
const LIVENESS_LOOK_MS = 1_000;
/** From a process's end to its report; conmon drains the output in between. */
const REPORT_TIMEOUT_MS = 5_000;
/** So many kills in vain are worth a line in the log: about 2.5 seconds. */
const KILLS_IN_VAIN = 8;

export interface StopContainerOptions {
  readonly runtime: Pick<OciRuntime, 'kill'>;
  readonly id: string;
  /** The container's first process. */
  readonly identity: ProcessIdentity;
  /** What asks the container to end, e.g. `SIGTERM`. */
  readonly signalName: string;
  /** From that signal to SIGKILL; 0: SIGKILL at once. */
  readonly timeoutSeconds: number;
  /** Settles when the container's end is recorded. */
  readonly isStopped: Promise<unknown>;
  /** Ends the loop: the daemon shuts down. A caller that loses patience just waits no longer. */
  readonly signal: AbortSignal;
  readonly log: Pick<Log, 'warn'>;
  /** For tests. */
  readonly isAlive?: (process: ProcessIdentity) => boolean;
}

export interface StopLoop {
  /**
   * Resolves when the container has stopped, its end recorded or, if that fails to come, its
   * process gone. Rejects with the signal's reason only.
   */
  readonly stopped: Promise<void>;
  /** A later stop request: honoured when it means an earlier SIGKILL. */
  readonly shorten: (timeoutSeconds: number) => void;
}

/**
 * Stops a container: its stop signal, then SIGKILL again and again until it is dead.
 *
 * One loop per container; the end comes as an event, so a container that obeys costs one call of
 * the runtime and no delay. A process in uninterruptible sleep ignores SIGKILL for as long as
 * its device or file system hangs: the loop goes on, ever slower, for the kubelet's retries.
 */
export function stopContainer(options: StopContainerOptions): StopLoop {
  const deadline = new Deadline(options.timeoutSeconds);
  return {
    stopped: runLoop(options, deadline),
    shorten: timeoutSeconds => {
      deadline.shorten(timeoutSeconds);
    },
  };
}

/** Pause after the nth SIGKILL, n from 0: 20 ms doubling to two minutes. */
export function killDelayMs(attempt: number): number {
  return Math.min(KILL_DELAY_MS_FIRST * 2 ** Math.min(attempt, 30), KILL_DELAY_MS_MAX);
}

async function runLoop(options: StopContainerOptions, deadline: Deadline): Promise<void> {
  const {isStopped, signal} = options;
  const end = new AbortController();
  const ended = isStopped.then(
    () => {
      end.abort();
    },
    () => {
      end.abort(); // the report failed; there is nobody left to stop all the same
    },
  );
  const patience = AbortSignal.any([signal, end.signal]);
  try {
    if (!deadline.isOver()) {
      await sendSignal(options, options.signalName);
      await waitForEnd(options, AbortSignal.any([patience, deadline.signal]));
    }
    for (let attempt = 0; !end.signal.aborted && isRunning(options); attempt++) {
      signal.throwIfAborted();
      await sendSignal(options, 'SIGKILL');
      if (attempt === KILLS_IN_VAIN) warnInVain(options);
      await sleep(killDelayMs(attempt), undefined, {signal: patience}).catch(() => undefined);
    }
    signal.throwIfAborted();
    // The process is gone, or its end recorded. conmon's report follows, unless it is lost.
    const report = sleep(REPORT_TIMEOUT_MS, undefined, {signal: patience}).catch(() => undefined);
    await Promise.race([ended, report]);
  } finally {
    deadline.close();
    end.abort();
  }
}

function isRunning({identity, isAlive = isProcessAlive}: StopContainerOptions): boolean {
  return isAlive(identity);
}

/** Returns when the signal is aborted or the process is gone. */
async function waitForEnd(options: StopContainerOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && isRunning(options)) {
    await sleep(LIVENESS_LOOK_MS, undefined, {signal}).catch(() => undefined);
  }
}

async function sendSignal(options: StopContainerOptions, signalName: string): Promise<void> {
  const {runtime, id, identity, signal, log} = options;
  try {
    await runtime.kill(id, signalName, {signal});
  } catch (error) {
    if (signal.aborted || !isRunning(options)) return; // it ended first
    log.warn('container could not be signalled by its runtime', {
      containerId: id,
      signal: signalName,
      error: messageOf(error),
    });
    // A runtime that is broken or stuck must not keep a pod from ending.
    if (signalName === 'SIGKILL') killProcess(identity, 'SIGKILL');
  }
}

function warnInVain({id, identity, log}: StopContainerOptions): void {
  log.warn('container survives SIGKILL: it may wait for a device or a file system', {
    containerId: id,
    pid: identity.pid,
  });
}

/** A point in time that may only come closer; its signal aborts when it has come. */
class Deadline {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(timeoutSeconds: number) {
    this.shorten(timeoutSeconds);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  shorten(timeoutSeconds: number): void {
    const atMs = performance.now() + Math.max(0, timeoutSeconds * 1_000);
    if (atMs >= this.#atMs) return;
    this.#atMs = atMs;
    clearTimeout(this.#timer);
    this.#arm();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** A grace period may be longer than a timer takes: then it is set again. */
  #arm(): void {
    const leftMs = this.#atMs - performance.now();
    if (leftMs <= 0) {
      this.#controller.abort();
      return;
    }
    const again = (): void => {
      this.#arm();
    };
    this.#timer = setTimeout(again, Math.min(Math.ceil(leftMs), TIMER_MS_MAX));
  }
}

const TIMER_MS_MAX = 2 ** 31 - 1;
