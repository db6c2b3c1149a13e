import {formatFamily, type MetricFamily} from '#shared/metrics/text-format';
import {createIssuances} from './issuances.ts';
import {type MetricViews, objectText} from './object-families.ts';
import type {ControllerObserver} from './observer.ts';
import {createQueueFigures, type QueueDepth} from './queue-families.ts';

/** What a controller that leads shows of itself. */
export interface MetricSource {
  readonly views: MetricViews;
  readonly queues: readonly QueueDepth[];
}

export interface Metrics {
  readonly observer: ControllerObserver;
  /** While a source is set, its objects are among the metrics; undefined while standing by. */
  setSource(source: MetricSource | undefined): void;
  /** Everything in Prometheus' text format 0.0.4, in pieces. */
  text(): Iterable<string>;
}

/** The controller's figures (docs/certificates.md, "Metrics"). */
export function createMetrics({
  processFamilies,
  nowMs,
}: {
  readonly processFamilies: () => readonly MetricFamily[];
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}): Metrics {
  const queues = createQueueFigures();
  const issuances = createIssuances({nowMs});
  let source: MetricSource | undefined;
  return {
    observer: {
      outcome: (queue, result) => {
        queues.outcome(queue, result);
      },
      certificateChanged: change => {
        issuances.certificateChanged(change);
      },
    },
    setSource: next => {
      source = next;
    },
    *text() {
      if (source !== undefined) yield* objectText(source.views);
      const families = [
        ...clockFamilies(nowMs()),
        {
          name: 'slipway_certs_leader',
          help: 'Whether this replica works: it holds the Lease and has read the cluster.',
          type: 'gauge' as const,
          samples: [{value: source === undefined ? 0 : 1}],
        },
        ...queues.families(source?.queues ?? []),
        ...issuances.families(),
        ...processFamilies(),
      ];
      yield families.map(family => formatFamily(family)).join('');
    },
  };
}

/** cert-manager has both: the first is for alerts that were written before there was the second. */
function clockFamilies(nowMs: number): readonly MetricFamily[] {
  const samples = [{value: Math.floor(nowMs / 1000)}];
  return [
    {
      name: 'certmanager_clock_time_seconds',
      help: 'The clock of the controller, Unix time; use the gauge.',
      type: 'counter',
      samples,
    },
    {
      name: 'certmanager_clock_time_seconds_gauge',
      help: 'The clock of the controller, Unix time.',
      type: 'gauge',
      samples,
    },
  ];
}
