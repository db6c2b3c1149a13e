/** What a scrape is answered as. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics of one name. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly MetricSample[];
}

export interface MetricSample {
  /** What a histogram adds to the name: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Prometheus' text exposition format 0.0.4; nothing for a family without samples.
 *
 * @param header whether `# HELP` and `# TYPE` come first; false for what follows a piece with them
 */
export function formatFamily(
  {name, help, type, samples}: MetricFamily,
  {header = true}: {readonly header?: boolean} = {},
): string {
  if (samples.length === 0) return '';
  const lines = samples.map(
    ({suffix = '', labels = {}, value}) => `${name}${suffix}${formatLabels(labels)} ${value}\n`,
  );
  const start = header ? `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n` : '';
  return `${start}${lines.join('')}`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escape(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
