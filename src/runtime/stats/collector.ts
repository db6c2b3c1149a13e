import {setImmediate} from 'node:timers/promises';
import type {CgroupPaths} from '../cgroup/paths.ts';
import {readCgroupStats, type CgroupStats} from '../cgroup/read.ts';
import type {
  ContainerStatsMessage,
  MeasuredContainer,
  MeasuredSandbox,
  Sample,
  SandboxStatsMessage,
} from './measured.ts';
import {containerStatsMessage, sandboxStatsMessage} from './messages.ts';
import {readNetworkUsage, type InterfaceUsage} from './network-usage.ts';

export interface StatsCollector {
  containerStats(container: MeasuredContainer): ContainerStatsMessage;
  /** In the order of the list; gives other work a turn in between. */
  listContainerStats(
    containers: readonly MeasuredContainer[],
  ): Promise<readonly ContainerStatsMessage[]>;
  sandboxStats(sandbox: MeasuredSandbox): SandboxStatsMessage;
  listSandboxStats(sandboxes: readonly MeasuredSandbox[]): Promise<readonly SandboxStatsMessage[]>;
}

/** Within this time a second question gets the first one's answer: a rate needs an interval. */
const CACHE_NS = 1_000_000_000n;
/** What nobody asked for in this time is forgotten. */
const FORGET_NS = 600_000_000_000n;
/** Readings between two turns of other work: about 1 ms. */
const BATCH_SIZE = 20;

/** Measures containers and pods on request; keeps the last reading of each for the CPU rate. */
export function createStatsCollector({
  nowNs = () => BigInt(Date.now()) * 1_000_000n,
  readCgroup = readCgroupStats,
  readNetwork = readNetworkUsage,
}: {
  readonly nowNs?: () => bigint;
  readonly readCgroup?: (paths: CgroupPaths) => CgroupStats | undefined;
  readonly readNetwork?: (path: string) => readonly InterfaceUsage[] | undefined;
} = {}): StatsCollector {
  const samples = new Map<string, Sample>();
  const sample = (id: string, paths: CgroupPaths): Sample => {
    const before = samples.get(id);
    const takenAtNs = nowNs();
    if (before?.stats !== undefined && isFresh(before, takenAtNs)) return before;
    const next = nextSample(before, {takenAtNs, stats: readCgroup(paths)});
    samples.set(id, next);
    return next;
  };
  const containerStats = (container: MeasuredContainer): ContainerStatsMessage =>
    containerStatsMessage(container, sample(container.id, container.cgroup));
  const sandboxStats = (sandbox: MeasuredSandbox): SandboxStatsMessage => {
    const containers = sandbox.containers.map(container => ({
      container,
      sample: sample(container.id, container.cgroup),
    }));
    const takenAtNs = nowNs();
    return sandboxStatsMessage(sandbox, {
      containers,
      takenAtNs,
      own: sandbox.cgroup === undefined ? undefined : sample(sandbox.id, sandbox.cgroup),
      network:
        sandbox.networkNamespace === undefined ? undefined : readNetwork(sandbox.networkNamespace),
    });
  };
  const forgetOld = (): void => {
    const now = nowNs();
    for (const [id, {takenAtNs}] of samples) if (now - takenAtNs > FORGET_NS) samples.delete(id);
  };
  return {
    containerStats,
    sandboxStats,
    async listContainerStats(containers) {
      forgetOld();
      return await inTurns(containers, containerStats);
    },
    async listSandboxStats(sandboxes) {
      forgetOld();
      return await inTurns(sandboxes, sandboxStats);
    },
  };
}

function isFresh({takenAtNs}: Sample, nowNs: bigint): boolean {
  const age = nowNs - takenAtNs;
  return age >= 0n && age < CACHE_NS;
}

/** A counter that went back belongs to another cgroup of the same name: no rate then. */
function nextSample(before: Sample | undefined, next: Sample): Sample {
  const elapsedNs = before === undefined ? 0n : next.takenAtNs - before.takenAtNs;
  if (before?.stats === undefined || next.stats === undefined || elapsedNs <= 0n) return next;
  const usedNs = next.stats.cpuNanoseconds - before.stats.cpuNanoseconds;
  return usedNs < 0n ? next : {...next, nanoCores: (usedNs * 1_000_000_000n) / elapsedNs};
}

async function inTurns<Item, Result>(
  items: readonly Item[],
  measure: (item: Item) => Result,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % BATCH_SIZE === 0) await setImmediate();
    results.push(measure(item));
  }
  return results;
}
