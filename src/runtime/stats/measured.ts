import type {MessageInitShape} from '@bufbuild/protobuf';
import type {CgroupPaths} from '../cgroup/paths.ts';
import type {CgroupStats} from '../cgroup/read.ts';
import type {ContainerStatsSchema, PodSandboxStatsSchema} from '../cri/gen/cri-v1_pb.ts';

export type ContainerStatsMessage = MessageInitShape<typeof ContainerStatsSchema>;
export type SandboxStatsMessage = MessageInitShape<typeof PodSandboxStatsSchema>;

/** A container whose use is wanted; created or running. */
export interface MeasuredContainer {
  readonly id: string;
  readonly metadata: {readonly name: string; readonly attempt: number};
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly cgroup: CgroupPaths;
  readonly writableLayer: WritableLayer;
}

/** What a container has written; measured now and then, never within a request. */
export interface WritableLayer {
  /** Of the file system that the image store is on. */
  readonly mountpoint: string;
  /** Undefined until the first measurement has ended. */
  readonly usage?: {
    readonly usedBytes: number;
    readonly inodes: number;
    readonly measuredAtNs: bigint;
  };
}

export interface MeasuredSandbox {
  readonly id: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly attempt: number;
  };
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** The pod's cgroup; undefined sums the containers up. */
  readonly cgroup?: CgroupPaths | undefined;
  /** Undefined for the host's network: its counters are not the pod's. */
  readonly networkNamespace?: string | undefined;
  readonly containers: readonly MeasuredContainer[];
}

/** One reading of a cgroup, with the CPU rate since the reading before. */
export interface Sample {
  readonly takenAtNs: bigint;
  /** Undefined: the cgroup is gone, or not yet there. */
  readonly stats: CgroupStats | undefined;
  /** CPU nanoseconds a second; undefined at the first reading. */
  readonly nanoCores?: bigint;
}
