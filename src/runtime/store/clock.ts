/** The time of day in nanoseconds since 1970, as CRI counts it; no two answers are equal. */
export interface Clock {
  now(): bigint;
}

/**
 * The machine's clock. Callers sort containers by their creation time, so that within the
 * millisecond that the clock resolves each answer is one nanosecond later than the one before.
 */
export function systemClock(milliseconds: () => number = Date.now): Clock {
  let last = 0n;
  return {
    now() {
      const read = BigInt(milliseconds()) * 1_000_000n;
      last = read > last ? read : last + 1n;
      return last;
    },
  };
}
