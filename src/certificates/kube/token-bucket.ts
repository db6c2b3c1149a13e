export interface TokenBucketOptions {
  /** Tokens at hand at the beginning and at most, > 0. */
  readonly burst: number;
  /** Tokens that come back, > 0. */
  readonly perSecond: number;
  /** Milliseconds of a clock that nobody sets; default `performance.now`. */
  readonly nowMs?: () => number;
}

/** Something that may happen often at once, but not for long. */
export interface TokenBucket {
  /** Takes a token that is there or comes back later, and says in how many milliseconds. */
  take(): number;
}

/** A bucket that is full. */
export function createTokenBucket({
  burst,
  perSecond,
  nowMs = () => performance.now(),
}: TokenBucketOptions): TokenBucket {
  let left = burst;
  let countedMs = nowMs();
  return {
    take() {
      const atMs = nowMs();
      left = Math.min(burst, left + ((atMs - countedMs) / 1000) * perSecond) - 1;
      countedMs = atMs;
      return (Math.max(0, -left) / perSecond) * 1000;
    },
  };
}
