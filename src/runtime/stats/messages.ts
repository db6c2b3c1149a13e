import type {MessageInitShape} from '@bufbuild/protobuf';
import type {CgroupMemory, Pressure, PressureLine} from '../cgroup/read.ts';
import type {
  CpuUsageSchema,
  MemoryUsageSchema,
  NetworkUsageSchema,
  PsiStatsSchema,
} from '../cri/gen/cri-v1_pb.ts';
import type {
  ContainerStatsMessage,
  MeasuredContainer,
  MeasuredSandbox,
  Sample,
  SandboxStatsMessage,
} from './measured.ts';
import type {InterfaceUsage} from './network-usage.ts';

/** The interface that CNI gives a pod first (our own choice as its caller). */
const DEFAULT_INTERFACE = 'eth0';

/** CRI ContainerStats; zeros where the cgroup is gone, as the kubelet expects an entry. */
export function containerStatsMessage(
  {id, metadata, labels, annotations, writableLayer}: MeasuredContainer,
  sample: Sample,
): ContainerStatsMessage {
  const {takenAtNs, stats} = sample;
  const {mountpoint, usage} = writableLayer;
  const io = psi(stats?.pressure?.io);
  return {
    attributes: {id, metadata, labels: {...labels}, annotations: {...annotations}},
    cpu: cpuUsage(sample),
    memory: memoryUsage(takenAtNs, stats?.memory, stats?.pressure?.memory),
    writableLayer: {
      timestamp: usage?.measuredAtNs ?? takenAtNs,
      fsId: {mountpoint},
      ...(usage === undefined
        ? {}
        : {usedBytes: uint(usage.usedBytes), inodesUsed: uint(usage.inodes)}),
    },
    swap: swapUsage(takenAtNs, stats?.memory),
    ...(io === undefined ? {} : {io: {timestamp: takenAtNs, psi: io}}),
  };
}

/** CRI PodSandboxStats, with the stats of its containers in it. */
export function sandboxStatsMessage(
  sandbox: MeasuredSandbox,
  measured: {
    readonly containers: readonly {
      readonly container: MeasuredContainer;
      readonly sample: Sample;
    }[];
    readonly own: Sample | undefined;
    readonly network: readonly InterfaceUsage[] | undefined;
    readonly takenAtNs: bigint;
  },
): SandboxStatsMessage {
  const {id, metadata, labels, annotations} = sandbox;
  const {takenAtNs, network} = measured;
  const whole = measured.own?.stats
    ? measured.own
    : sumOf(
        measured.containers.map(({sample}) => sample),
        takenAtNs,
      );
  const io = psi(whole.stats?.pressure?.io);
  const usage = network && networkUsage(takenAtNs, network);
  return {
    attributes: {id, metadata, labels: {...labels}, annotations: {...annotations}},
    linux: {
      cpu: cpuUsage(whole),
      memory: memoryUsage(whole.takenAtNs, whole.stats?.memory, whole.stats?.pressure?.memory),
      ...(usage === undefined ? {} : {network: usage}),
      process: {timestamp: whole.takenAtNs, processCount: uint(whole.stats?.pids ?? 0)},
      containers: measured.containers.map(({container, sample}) =>
        containerStatsMessage(container, sample),
      ),
      ...(io === undefined ? {} : {io: {timestamp: whole.takenAtNs, psi: io}}),
    },
  };
}

function cpuUsage({takenAtNs, stats, nanoCores}: Sample): MessageInitShape<typeof CpuUsageSchema> {
  const pressure = psi(stats?.pressure?.cpu);
  return {
    timestamp: takenAtNs,
    usageCoreNanoSeconds: {value: stats?.cpuNanoseconds ?? 0n},
    ...(nanoCores === undefined ? {} : {usageNanoCores: {value: nanoCores}}),
    ...(pressure === undefined ? {} : {psi: pressure}),
  };
}

function memoryUsage(
  timestamp: bigint,
  memory: CgroupMemory | undefined,
  pressure: Pressure | undefined,
): MessageInitShape<typeof MemoryUsageSchema> {
  const limit = memory?.limitBytes;
  const workingSet = memory?.workingSetBytes ?? 0;
  const stall = psi(pressure);
  return {
    timestamp,
    workingSetBytes: uint(workingSet),
    // Without a limit nobody can say what is available.
    ...(limit === undefined ? {} : {availableBytes: uint(Math.max(0, limit - workingSet))}),
    usageBytes: uint(memory?.usageBytes ?? 0),
    rssBytes: uint(memory?.rssBytes ?? 0),
    pageFaults: uint(memory?.pageFaults ?? 0),
    majorPageFaults: uint(memory?.majorPageFaults ?? 0),
    ...(stall === undefined ? {} : {psi: stall}),
  };
}

function swapUsage(
  timestamp: bigint,
  memory: CgroupMemory | undefined,
): NonNullable<ContainerStatsMessage['swap']> {
  const used = memory?.swapBytes ?? 0;
  const limit = memory?.swapLimitBytes;
  return {
    timestamp,
    swapUsageBytes: uint(used),
    ...(limit === undefined ? {} : {swapAvailableBytes: uint(Math.max(0, limit - used))}),
  };
}

/**
 * All interfaces, the default one too: what the kubelet's summary has always listed. Nothing while
 * there is no default one, as in a pod whose end was interrupted: a kubelet (1.36) takes it for
 * granted in what it is told, and dies of its absence, again after every start.
 */
function networkUsage(
  timestamp: bigint,
  interfaces: readonly InterfaceUsage[],
): MessageInitShape<typeof NetworkUsageSchema> | undefined {
  const all = interfaces.map(({name, rxBytes, rxErrors, txBytes, txErrors}) => ({
    name,
    rxBytes: {value: rxBytes},
    rxErrors: {value: rxErrors},
    txBytes: {value: txBytes},
    txErrors: {value: txErrors},
  }));
  const defaultInterface = all.find(({name}) => name === DEFAULT_INTERFACE);
  return defaultInterface && {timestamp, defaultInterface, interfaces: all};
}

/** A pod without a cgroup of its own is its containers; a rate is known when all of theirs are. */
function sumOf(samples: readonly Sample[], takenAtNs: bigint): Sample {
  const stats = samples.flatMap(sample => (sample.stats === undefined ? [] : [sample.stats]));
  const memories = stats.flatMap(({memory}) => (memory === undefined ? [] : [memory]));
  const total = (pick: (memory: CgroupMemory) => number): number =>
    memories.reduce((sum, memory) => sum + pick(memory), 0);
  const rates = samples.flatMap(({nanoCores}) => (nanoCores === undefined ? [] : [nanoCores]));
  return {
    takenAtNs,
    stats: {
      cpuNanoseconds: stats.reduce((sum, {cpuNanoseconds}) => sum + cpuNanoseconds, 0n),
      memory: {
        usageBytes: total(memory => memory.usageBytes),
        workingSetBytes: total(memory => memory.workingSetBytes),
        rssBytes: total(memory => memory.rssBytes),
        pageFaults: total(memory => memory.pageFaults),
        majorPageFaults: total(memory => memory.majorPageFaults),
      },
      pids: stats.reduce((sum, {pids = 0}) => sum + pids, 0),
    },
    ...(rates.length === samples.length
      ? {nanoCores: rates.reduce((sum, rate) => sum + rate, 0n)}
      : {}),
  };
}

function psi(pressure: Pressure | undefined): MessageInitShape<typeof PsiStatsSchema> | undefined {
  if (pressure === undefined) return undefined;
  return {
    ...(pressure.full === undefined ? {} : {Full: psiData(pressure.full)}),
    ...(pressure.some === undefined ? {} : {Some: psiData(pressure.some)}),
  };
}

/** The CRI's field names, capitals included. */
function psiData({avg10, avg60, avg300, total}: PressureLine): {
  readonly Total: bigint;
  readonly Avg10: number;
  readonly Avg60: number;
  readonly Avg300: number;
} {
  return {Total: total, Avg10: avg10, Avg60: avg60, Avg300: avg300};
}

function uint(value: number): {readonly value: bigint} {
  return {value: BigInt(value)};
}
