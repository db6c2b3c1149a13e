import type {MountPropagation, Signal} from '../cri/gen/cri-v1_pb.ts';
import type {ContainerResources} from '../spec/input.ts';
import type {Identity, ObjectStore, StoredObject} from './object-store.ts';
import type {ProcessIdentity} from './sandbox.ts';

// Container status; every transition is one update().
//
//   creating ──made──▶ created ──start──▶ running ──exit──▶ exited ──remove──▶ gone
//       │                 └── stop, or the start failed ────▲  │
//       └─ failed: undone, never shown ───────────────────────┴─▲
//

/** What was asked of a container and decided when it was made; never changes. */
export interface ContainerMetadata extends Identity {
  readonly sandboxId: string;
  /** CRI `ContainerMetadata`. */
  readonly container: {readonly name: string; readonly attempt: number};
  /** The `ImageSpec` of the request; lists and statuses give it back. */
  readonly image: {
    readonly image: string;
    readonly annotations: Readonly<Record<string, string>>;
    readonly userSpecifiedImage: string;
    readonly runtimeHandler: string;
  };
  /** `sha256:…` of the image's configuration. */
  readonly imageId: string;
  /** `repository@sha256:…` where known, else the id. */
  readonly imageRef: string;
  /** Byte for byte as given; the same holds for annotations. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAtNs: bigint;
  /** Absolute; empty when the pod has no log directory. */
  readonly logPath: string;
  readonly mounts: readonly ContainerMount[];
  readonly user: {
    readonly uid: number;
    readonly gid: number;
    readonly supplementalGroups: readonly number[];
  };
  /** The kernel's number of the signal that asks it to stop. */
  readonly stopSignal: number;
  /** CRI `Signal` of the request, 0 when none was asked for. */
  readonly requestedStopSignal: Signal;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly privileged: boolean;
  /** False: left-over processes must be killed one by one when its init has ended. */
  readonly ownPidNamespace: boolean;
  /** Name of the runtime handler that runs it; never empty. */
  readonly runtimeHandler: string;
  /** As in the sandbox; kept here so that a container can be cleaned up without its sandbox. */
  readonly cgroupParent: string;
  /** Where image layers are mounted for it. */
  readonly rootfs: string;
}

/** A mount as `ContainerStatus` gives it back; CRI `Mount`. */
export interface ContainerMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly recursiveReadOnly: boolean;
  readonly selinuxRelabel: boolean;
  readonly propagation: MountPropagation;
}

export interface ContainerStatus {
  readonly state: 'creating' | 'created' | 'running' | 'exited';
  /** The container's init; absent only while it is being made. */
  readonly init?: ProcessIdentity;
  readonly conmon?: ProcessIdentity;
  readonly startedAtNs: bigint;
  readonly finishedAtNs: bigint;
  readonly exitCode: number;
  /** `Completed`, `Error`, `OOMKilled` or `StartError` once exited, as the kubelet shows it. */
  readonly reason: string;
  readonly message: string;
  /** As last updated; what ContainerStatus answers. */
  readonly resources?: ContainerResources;
}

export type ContainerStore = ObjectStore<ContainerMetadata, ContainerStatus>;
export type Container = StoredObject<ContainerMetadata, ContainerStatus>;

export const containerBeforeCreation: ContainerStatus = {
  state: 'creating',
  startedAtNs: 0n,
  finishedAtNs: 0n,
  exitCode: 0,
  reason: '',
  message: '',
};
