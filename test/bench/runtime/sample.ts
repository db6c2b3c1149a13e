/** Durations of one call, in milliseconds. */
export interface Sample {
  readonly p50: number;
  readonly p95: number;
  readonly count: number;
}

/** Median and 95th percentile, by the nearest rank. */
export function summarize(milliseconds: readonly number[]): Sample {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const rank = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return {p50: rank(0.5), p95: rank(0.95), count: sorted.length};
}

/** Runs it, and says how long it took. */
export async function timed<T>(work: () => Promise<T>): Promise<{result: T; ms: number}> {
  const startedMs = performance.now();
  const result = await work();
  return {result, ms: performance.now() - startedMs};
}
