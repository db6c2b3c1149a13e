import type {CallRecord} from '../cri/instrument.ts';
import {createHistogram, type Histogram} from '#shared/metrics/histogram';
import {formatFamily, type MetricFamily} from '#shared/metrics/text-format';

/** How many there are by state, e.g. `{running: 3, exited: 1}`. */
export type StateCounts = Readonly<Record<string, number>>;

/** What is read when somebody asks for the metrics. */
export interface Gauges {
  readonly sandboxes: () => StateCounts;
  readonly containers: () => StateCounts;
}

export interface Metrics {
  /** Counts a call that has ended. */
  readonly record: (call: CallRecord) => void;
  /** Called once the daemon knows; before, there are no such lines. */
  readonly setGauges: (gauges: Gauges) => void;
  /** Everything in Prometheus' text format 0.0.4. */
  readonly format: () => string;
}

/** Upper bounds in seconds: from a list that is cached to a pull. */
const BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** The daemon's figures: calls by RPC and status, pods and containers by state, the process. */
export function createMetrics({
  processFamilies,
}: {
  readonly processFamilies: () => readonly MetricFamily[];
}): Metrics {
  const operations = new Map<string, Histogram>();
  const failures = new Map<
    string,
    {readonly method: string; readonly status: string; count: number}
  >();
  let gauges: Gauges | undefined;
  return {
    record: ({method, status, seconds}) => {
      const operation = operations.get(method) ?? createHistogram(BUCKETS_SECONDS);
      operations.set(method, operation);
      operation.record(seconds);
      if (status === 'OK') return;
      const failure = failures.get(`${method} ${status}`) ?? {method, status, count: 0};
      failures.set(`${method} ${status}`, failure);
      failure.count++;
    },
    setGauges: next => {
      gauges = next;
    },
    format: () =>
      [
        operationSeconds(operations),
        operationErrors([...failures.values()]),
        ...(gauges === undefined
          ? []
          : [
              states('slipway_cri_sandboxes', 'Pod sandboxes by state.', gauges.sandboxes()),
              states('slipway_cri_containers', 'Containers by state.', gauges.containers()),
            ]),
        ...processFamilies(),
      ]
        .map(family => formatFamily(family))
        .join(''),
  };
}

function operationSeconds(operations: ReadonlyMap<string, Histogram>): MetricFamily {
  return {
    name: 'slipway_cri_operation_duration_seconds',
    help: 'Time that calls took, by RPC; a pull is PullImage.',
    type: 'histogram',
    samples: [...operations].flatMap(([operation, seconds]) => seconds.samples({operation})),
  };
}

function operationErrors(
  failures: readonly {readonly method: string; readonly status: string; readonly count: number}[],
): MetricFamily {
  return {
    name: 'slipway_cri_operation_errors_total',
    help: 'Calls that failed, by RPC and gRPC status.',
    type: 'counter',
    samples: failures.map(({method, status, count}) => ({
      labels: {operation: method, status},
      value: count,
    })),
  };
}

function states(name: string, help: string, counts: StateCounts): MetricFamily {
  const samples = Object.entries(counts).map(([state, value]) => ({labels: {state}, value}));
  return {name, help, type: 'gauge', samples};
}
