import {setTimeout as sleep} from 'node:timers/promises';
import {lastLines} from './last-lines.ts';
import type {ProcessResult} from './local-process.ts';
import {takeMachineLock} from './machine-lock.ts';
import {runWithin} from './run-within.ts';

export interface AptOptions {
  readonly signal: AbortSignal;
  readonly cwd?: string;
  /** Of our programs, one at a time calls apt; only tests have a lock of their own. */
  readonly lockName?: string;
}

/** How an apt-get ended that may have fetched package lists on its way. */
export interface AptOutcome {
  readonly isDone: boolean;
  readonly stdout: string;
  /** The last lines of apt-get, those of an `update` that failed first; empty when all went well. */
  readonly said: string;
  /** `apt-get update` was needed, and failed. */
  readonly isUpdateFailed: boolean;
}

const LOCK_NAME = 'slipway-apt';
const CALL_MS_MAX = 15 * 60_000;
const FOREIGN_LOCK_MS_MAX = 5 * 60_000;
const RETRY_MS = 1_000;
const OPTIONS = ['DPkg::Lock::Timeout=300', 'Acquire::Retries=3'].flatMap(option => ['-o', option]);

/** Only the lock of dpkg is waited for by apt itself (apt.conf(5)); others are refused at once. */
const LOCKED = /Could not get lock|[(]11: Resource temporarily unavailable[)]/;

/**
 * Runs apt-get; where it fails, once more after fetching the package lists, which a new machine
 * lacks. Calls of all our processes come one after the other, since apt refuses a second one; of
 * anybody else's (unattended upgrades), it waits for the end.
 *
 * @param args what follows `apt-get`
 * @throws the signal's reason when aborted
 */
export async function aptGet(args: readonly string[], options: AptOptions): Promise<AptOutcome> {
  const turn = await takeTurn(options);
  try {
    const first = await callOnceFree(args, options);
    if (first.exitCode === 0) return outcome(first);
    const update = await callOnceFree(['update'], options);
    return outcome(await callOnceFree(args, options), update);
  } finally {
    await turn[Symbol.asyncDispose]();
  }
}

/** Without a deadline: whoever is before us has one for each of its calls. */
async function takeTurn({signal, lockName = LOCK_NAME}: AptOptions): Promise<AsyncDisposable> {
  for (;;) {
    signal.throwIfAborted();
    const held = await takeMachineLock(lockName);
    if (held !== undefined) return held;
  }
}

async function callOnceFree(args: readonly string[], options: AptOptions): Promise<ProcessResult> {
  const deadlineMs = performance.now() + FOREIGN_LOCK_MS_MAX;
  for (;;) {
    const result = await call(args, options);
    const isLocked = result.exitCode !== 0 && LOCKED.test(result.stderr);
    if (!isLocked || performance.now() > deadlineMs) return result;
    await sleep(RETRY_MS);
    options.signal.throwIfAborted();
  }
}

async function call(args: readonly string[], {signal, cwd}: AptOptions): Promise<ProcessResult> {
  const env = {DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C'};
  const given = {signal, env, timeoutMs: CALL_MS_MAX, ...(cwd !== undefined && {cwd})};
  return await runWithin(['apt-get', ...OPTIONS, ...args], given);
}

function outcome(last: ProcessResult, update?: ProcessResult): AptOutcome {
  const isDone = last.exitCode === 0;
  const parts = [update?.stderr ?? '', last.stderr].map(text => lastLines(text).trim());
  return {
    isDone,
    stdout: last.stdout,
    said: isDone ? '' : parts.filter(Boolean).join('\n'),
    isUpdateFailed: update !== undefined && update.exitCode !== 0,
  };
}
