import {setTimeout as sleep} from 'node:timers/promises';

export interface Deadline {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** Pause between two probes; the default suits a local condition. */
  readonly intervalMs?: number;
}

const POLL_INTERVAL_MS = 100;

/**
 * Calls `probe` until it returns something other than `undefined`, and returns that.
 *
 * @throws the signal's reason when aborted; a `TimeoutError` when the deadline passes
 */
export async function waitFor<T>(
  probe: (signal: AbortSignal) => Promise<T | undefined>,
  {signal, timeoutMs, intervalMs = POLL_INTERVAL_MS}: Deadline,
): Promise<T> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  for (;;) {
    deadline.throwIfAborted();
    const found = await probe(deadline);
    if (found !== undefined) return found;
    await sleep(intervalMs, undefined, {signal: deadline}).catch(() => {
      throw deadline.reason;
    });
  }
}

/** True for what `AbortSignal.timeout()` rejects with: a deadline passed, nobody aborted. */
export function isTimeout(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'TimeoutError';
}
