/** The one source of time of the controller, so that tests can move it. */
export interface Clock {
  now(): Date;
  /**
   * Calls `run` once at an instant, soon when that has passed. Disposing what is returned takes it
   * back; afterwards that does nothing.
   */
  at(when: Date, run: () => void): Disposable;
  /** Milliseconds since some instant, which go on evenly: setting the clock does not move them. */
  elapsedMs(): number;
  /** As `at`, after so many of those milliseconds: for whatever has to take a certain time. */
  after(ms: number, run: () => void): Disposable;
}

/**
 * A longer timer has several parts. Node's limit is 2^31 - 1 ms (beyond, it fires at once), but
 * timers also stand still while a machine sleeps, and do not follow a clock that is set: an hour
 * late is early enough for a renewal.
 */
const TIMER_MS_MAX = 3_600_000;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  at: (when, run) => runAt({nowMs: () => Date.now(), atMs: when.getTime()}, run),
  elapsedMs: () => performance.now(),
  after(ms, run) {
    const nowMs = () => performance.now();
    return runAt({nowMs, atMs: nowMs() + ms}, run);
  },
};

function runAt(
  {nowMs, atMs}: {readonly nowMs: () => number; readonly atMs: number},
  run: () => void,
): Disposable {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    timer = setTimeout(
      () => {
        // A timer may fire a millisecond early, and a long one has more than one part.
        if (nowMs() < atMs) arm();
        else run();
      },
      clamp(atMs - nowMs()),
    );
  };
  arm();
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
    },
  };
}

/** Resolves after a time of this clock, however it is set meanwhile; rejects with the signal's reason when aborted before. */
export function pause(
  clock: Clock,
  ms: number,
  {signal}: {readonly signal: AbortSignal},
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(reasonOf(signal));
      return;
    }
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      timer[Symbol.dispose]();
      reject(reasonOf(signal));
    };
    signal.addEventListener('abort', onAbort, {once: true});
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}

function clamp(ms: number): number {
  return Math.min(Math.max(ms, 0), TIMER_MS_MAX);
}
