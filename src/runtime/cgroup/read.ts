import {closeSync, openSync, readSync} from 'node:fs';
import type {CgroupPaths} from './paths.ts';

/** What a cgroup, all below it included, has used. Byte counts are exact up to 2^53. */
export interface CgroupStats {
  readonly cpuNanoseconds: bigint;
  readonly memory?: CgroupMemory;
  /** Tasks: threads count, as the pids controller does. */
  readonly pids?: number;
  /** Pressure by resource; v2 with PSI only. */
  readonly pressure?: {
    readonly cpu?: Pressure;
    readonly memory?: Pressure;
    readonly io?: Pressure;
  };
}

export interface CgroupMemory {
  readonly usageBytes: number;
  /** Usage without page cache that the kernel can drop at once. */
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  /** Undefined is no limit. */
  readonly limitBytes?: number;
  readonly swapBytes?: number;
  /** v2: memory.swap.max; v1: what the sum of both may pass the memory limit by. */
  readonly swapLimitBytes?: number;
}

export interface Pressure {
  readonly full?: PressureLine;
  readonly some?: PressureLine;
}

/** Averages in percent, the total in microseconds (kernel, "PSI - Pressure Stall Information"). */
export interface PressureLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: bigint;
}

/** v1 writes "no limit" as the largest page-aligned number below 2^63. */
const UNLIMITED_BYTES = 2 ** 60;

/** memory.stat is the longest, about 1.5 KB. */
const buffer = Buffer.allocUnsafe(16 * 1024);

/**
 * Reads the counters of a cgroup. Synchronous on purpose: the files are made up by the kernel on
 * reading, 10 µs each, far below the cost of a thread's answer.
 * @returns undefined when the cgroup is gone.
 */
export function readCgroupStats(paths: CgroupPaths): CgroupStats | undefined {
  return paths.version === 2
    ? readUnified(paths.directories['unified'])
    : readV1(paths.directories);
}

/**
 * How many processes of a cgroup the kernel has killed for want of memory; undefined when the
 * cgroup is gone or has no memory controller.
 */
export function readOomKills(paths: CgroupPaths): number | undefined {
  const {unified, memory} = paths.directories;
  const text =
    paths.version === 2
      ? readFile(unified, 'memory.events')
      : readFile(memory, 'memory.oom_control');
  return text === undefined ? undefined : field(text, 'oom_kill');
}

function readUnified(directory: string | undefined): CgroupStats | undefined {
  const cpu = readFile(directory, 'cpu.stat');
  if (cpu === undefined) return undefined;
  const memory = readUnifiedMemory(directory);
  const pids = number(readFile(directory, 'pids.current'));
  const pressures = (['cpu', 'memory', 'io'] as const).flatMap(resource => {
    const text = readFile(directory, `${resource}.pressure`);
    return text === undefined ? [] : [[resource, parsePressure(text)] as const];
  });
  return {
    cpuNanoseconds: BigInt(field(cpu, 'usage_usec') ?? 0) * 1000n,
    ...(memory === undefined ? {} : {memory}),
    ...(pids === undefined ? {} : {pids}),
    ...(pressures.length === 0 ? {} : {pressure: Object.fromEntries(pressures)}),
  };
}

function readUnifiedMemory(directory: string | undefined): CgroupMemory | undefined {
  const usageBytes = number(readFile(directory, 'memory.current'));
  const stat = readFile(directory, 'memory.stat');
  if (usageBytes === undefined || stat === undefined) return undefined;
  return {
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - (field(stat, 'inactive_file') ?? 0)),
    rssBytes: field(stat, 'anon') ?? 0,
    pageFaults: field(stat, 'pgfault') ?? 0,
    majorPageFaults: field(stat, 'pgmajfault') ?? 0,
    ...known('limitBytes', limit(readFile(directory, 'memory.max'))),
    ...known('swapBytes', number(readFile(directory, 'memory.swap.current'))),
    ...known('swapLimitBytes', limit(readFile(directory, 'memory.swap.max'))),
  };
}

function readV1(directories: CgroupPaths['directories']): CgroupStats | undefined {
  const usage = readFile(directories['cpuacct'], 'cpuacct.usage');
  if (usage === undefined) return undefined;
  const memory = readV1Memory(directories['memory']);
  const pids = number(readFile(directories['pids'], 'pids.current'));
  return {
    cpuNanoseconds: BigInt(usage.trim()),
    ...(memory === undefined ? {} : {memory}),
    ...(pids === undefined ? {} : {pids}),
  };
}

function readV1Memory(directory: string | undefined): CgroupMemory | undefined {
  const usageBytes = number(readFile(directory, 'memory.usage_in_bytes'));
  const stat = readFile(directory, 'memory.stat');
  if (usageBytes === undefined || stat === undefined) return undefined;
  const limitBytes = limit(readFile(directory, 'memory.limit_in_bytes'));
  const sumLimit = limit(readFile(directory, 'memory.memsw.limit_in_bytes'));
  return {
    usageBytes,
    workingSetBytes: Math.max(0, usageBytes - (field(stat, 'total_inactive_file') ?? 0)),
    rssBytes: field(stat, 'total_rss') ?? 0,
    pageFaults: field(stat, 'total_pgfault') ?? 0,
    majorPageFaults: field(stat, 'total_pgmajfault') ?? 0,
    ...known('limitBytes', limitBytes),
    ...known('swapBytes', field(stat, 'total_swap')),
    ...(limitBytes !== undefined && sumLimit !== undefined
      ? {swapLimitBytes: Math.max(0, sumLimit - limitBytes)}
      : {}),
  };
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`. */
function parsePressure(text: string): Pressure {
  const lines = text.split('\n').flatMap(line => {
    const [kind = '', ...pairs] = line.split(' ');
    if (kind !== 'some' && kind !== 'full') return [];
    const values = new Map(pairs.map(pair => [pair.slice(0, pair.indexOf('=')), pair] as const));
    const value = (name: string): string => values.get(name)?.slice(name.length + 1) ?? '0';
    const parsed: PressureLine = {
      avg10: Number(value('avg10')),
      avg60: Number(value('avg60')),
      avg300: Number(value('avg300')),
      total: BigInt(value('total')),
    };
    return [[kind, parsed] as const];
  });
  return Object.fromEntries(lines);
}

/** The number after a name at the beginning of a line. */
function field(text: string, name: string): number | undefined {
  const start = text.startsWith(`${name} `) ? 0 : text.indexOf(`\n${name} `) + 1;
  if (start === 0 && !text.startsWith(`${name} `)) return undefined;
  return number(text.slice(start + name.length + 1, endOfLine(text, start)));
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf('\n', start);
  return end === -1 ? text.length : end;
}

function number(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? '';
  return /^\d+$/.test(trimmed) ? Number(trimmed) : undefined;
}

/** `max` (v2) and the v1 number for it are no limit. */
function limit(text: string | undefined): number | undefined {
  const value = number(text);
  return value === undefined || value >= UNLIMITED_BYTES ? undefined : value;
}

function known<Key extends string>(
  key: Key,
  value: number | undefined,
): {readonly [name in Key]?: number} {
  return value === undefined ? {} : ({[key]: value} as {readonly [name in Key]: number});
}

/** Undefined for every reason: a missing controller, a cgroup that has just gone, PSI switched off. */
function readFile(directory: string | undefined, name: string): string | undefined {
  if (directory === undefined) return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(`${directory}/${name}`, 'r');
  } catch {
    return undefined; // not there: the caller decides what that means
  }
  try {
    return buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, buffer.length, 0));
  } catch {
    return undefined; // ENODEV: the cgroup was removed in between
  } finally {
    closeSync(descriptor);
  }
}
