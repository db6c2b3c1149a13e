import {createHistogram, type Histogram} from '#shared/metrics/histogram';
import type {MetricFamily, MetricSample} from '#shared/metrics/text-format';
import type {WorkResult} from '../kube/work-queue.ts';

/** Figures of the work queues, under the names that Kubernetes' own controllers use. */
export interface QueueFigures {
  outcome(queue: string, result: WorkResult): void;
  families(queues: readonly QueueDepth[]): readonly MetricFamily[];
}

export interface QueueDepth {
  readonly name: string;
  readonly depth: number;
}

interface Queue {
  readonly waited: Histogram;
  readonly worked: Histogram;
  readonly results: Record<WorkResult['result'], number>;
}

/** Upper bounds in seconds: most reconciliations look and do nothing. */
const BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30];

export function createQueueFigures(): QueueFigures {
  const queues = new Map<string, Queue>();
  const family = (
    {name, help, type}: Omit<MetricFamily, 'samples'>,
    samples: (queue: Queue, name: string) => readonly MetricSample[],
  ): MetricFamily => ({
    name,
    help,
    type,
    samples: [...queues].flatMap(([each, queue]) => samples(queue, each)),
  });
  return {
    outcome: (name, {result, waitedMs, durationMs}) => {
      const queue = queues.get(name) ?? emptyQueue();
      queues.set(name, queue);
      queue.waited.record(waitedMs / 1000);
      queue.worked.record(durationMs / 1000);
      queue.results[result]++;
    },
    families: depths => [
      {
        name: 'workqueue_depth',
        help: 'Keys that wait for a worker.',
        type: 'gauge',
        samples: depths.map(({name, depth}) => ({labels: {name}, value: depth})),
      },
      family(
        {name: 'workqueue_retries_total', help: 'Keys that failed or met a conflict and come back.', type: 'counter'}, // prettier-ignore
        ({results}, name) => [{labels: {name}, value: results.failed + results.conflict}],
      ),
      family(
        {name: 'workqueue_queue_duration_seconds', help: 'Time from ready to a worker.', type: 'histogram'}, // prettier-ignore
        ({waited}, name) => waited.samples({name}),
      ),
      family(
        {name: 'workqueue_work_duration_seconds', help: 'Time that a key was worked on.', type: 'histogram'}, // prettier-ignore
        ({worked}, name) => worked.samples({name}),
      ),
      family(
        {name: 'certmanager_controller_sync_call_count', help: 'Reconciliations, by controller.', type: 'counter'}, // prettier-ignore
        ({results}, controller) => {
          const value = Object.values(results).reduce((sum, count) => sum + count, 0);
          return [{labels: {controller}, value}];
        },
      ),
      family(
        {name: 'certmanager_controller_sync_error_count', help: 'Reconciliations that failed; a conflict is none.', type: 'counter'}, // prettier-ignore
        ({results}, controller) => [{labels: {controller}, value: results.failed}],
      ),
    ],
  };
}

function emptyQueue(): Queue {
  return {
    waited: createHistogram(BUCKETS_SECONDS),
    worked: createHistogram(BUCKETS_SECONDS),
    results: {done: 0, requeued: 0, conflict: 0, failed: 0},
  };
}
