/** The one source of time of the controller, so that tests can move it. */
export interface Clock {
  now(): Date;
  /**
   * Calls `run` once at an instant, soon when that has passed. Disposing what is returned takes it
   * back; afterwards that does nothing.
   */
  at(when: Date, run: () => void): Disposable;
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
  at(when, run) {
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const leftMs = when.getTime() - Date.now();
      timer = setTimeout(() => {
        // A timer may fire a millisecond early, and a long one has more than one part.
        if (Date.now() < when.getTime()) arm();
        else run();
      }, clamp(leftMs));
    };
    arm();
    return {
      [Symbol.dispose]() {
        clearTimeout(timer);
      },
    };
  },
};

/** Resolves after a time of this clock; rejects with the signal's reason when aborted before. */
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
    const timer = clock.at(new Date(clock.now().getTime() + ms), () => {
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
