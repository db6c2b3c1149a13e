import type {ContainerSecurityContext} from './input.ts';

/**
 * What a container must not read: kernel memory, keys, timers of other processes, hardware. The
 * list that container runtimes and the kubelet agree on.
 */
const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

const READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/**
 * The paths that are hidden from a container or read-only in it: the kubelet's lists, else ours;
 * none for a privileged one. An empty list in the CRI cannot be told from an absent one: the safe
 * reading is "absent" (procMount Unmasked, the only one who means it, needs user namespaces).
 */
export function protectedPaths({
  privileged = false,
  maskedPaths = [],
  readonlyPaths = [],
}: Partial<ContainerSecurityContext>): {
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
} {
  if (privileged) return {maskedPaths: [], readonlyPaths: []};
  return {
    maskedPaths: maskedPaths.length > 0 ? maskedPaths : MASKED_PATHS,
    readonlyPaths: readonlyPaths.length > 0 ? readonlyPaths : READONLY_PATHS,
  };
}
