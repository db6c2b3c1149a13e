import type {MetricSample} from './text-format.ts';

/** Counts of values by upper bound, for a Prometheus histogram. */
export interface Histogram {
  record(value: number): void;
  /** `_bucket`s that add up, `_sum` and `_count`, each with these labels. */
  samples(labels?: Readonly<Record<string, string>>): readonly MetricSample[];
}

/** @param bounds upper bounds of the buckets, ascending; `+Inf` comes by itself */
export function createHistogram(bounds: readonly number[]): Histogram {
  const buckets = bounds.map(() => 0); // not yet added up; larger values are in `count` only
  let count = 0;
  let total = 0;
  return {
    record: value => {
      count++;
      total += value;
      const bucket = bounds.findIndex(bound => value <= bound);
      if (bucket >= 0) buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    },
    samples: (labels = {}) => {
      let sum = 0;
      const bounded = bounds.map((bound, index): MetricSample => {
        sum += buckets[index] ?? 0;
        return {suffix: '_bucket', labels: {...labels, le: String(bound)}, value: sum};
      });
      return [
        ...bounded,
        {suffix: '_bucket', labels: {...labels, le: '+Inf'}, value: count},
        {suffix: '_sum', labels, value: total},
        {suffix: '_count', labels, value: count},
      ];
    },
  };
}
