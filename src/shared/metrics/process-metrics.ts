import {readdirSync} from 'node:fs';
import type {MetricFamily} from './text-format.ts';

/** The daemon's own process, under the names that Prometheus' client libraries use. */
export function processFamilies(): readonly MetricFamily[] {
  const {rss, heapUsed} = process.memoryUsage();
  const {user, system} = process.cpuUsage();
  const startSeconds = (performance.timeOrigin / 1000).toFixed(3);
  return [
    gauge('process_resident_memory_bytes', 'Resident memory.', rss),
    gauge(
      'process_start_time_seconds',
      'When the process started, Unix time.',
      Number(startSeconds),
    ),
    gauge('process_open_fds', 'Open file descriptors.', readdirSync('/proc/self/fd').length),
    gauge('nodejs_heap_size_used_bytes', 'Used JavaScript heap.', heapUsed),
    {
      name: 'process_cpu_seconds_total',
      help: 'CPU time, user and system.',
      type: 'counter',
      samples: [{value: (user + system) / 1_000_000}],
    },
  ];
}

function gauge(name: string, help: string, value: number): MetricFamily {
  return {name, help, type: 'gauge', samples: [{value}]};
}
