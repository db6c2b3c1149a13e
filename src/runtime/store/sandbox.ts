import type {Identity, ObjectStore, StoredObject} from './object-store.ts';

// Sandbox status; every transition is one update().
//
//   creating ──made──▶ ready ──stop──▶ stopped ──remove──▶ gone
//       └─ failed: undone, never shown ─────────────────────▲
//

/** Whose namespace a container of the pod is in; CRI v1 `NamespaceMode`, TARGET aside. */
export type NamespaceOwner = 'pod' | 'container' | 'node';

/** What was asked of a sandbox and decided at its start; never changes. */
export interface SandboxMetadata extends Identity {
  /** CRI `PodSandboxMetadata`. */
  readonly pod: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly attempt: number;
  };
  /** Byte for byte as given; the same holds for annotations. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAtNs: bigint;
  /** The host name inside; the node's for a host-network pod. */
  readonly hostname: string;
  /** Absolute, or empty: then containers have no log. */
  readonly logDirectory: string;
  /** As requested: empty means the default. */
  readonly runtimeHandler: string;
  /** As requested: `*.slice` for the systemd manager, a path for cgroupfs; may be empty. */
  readonly cgroupParent: string;
  readonly namespaces: {
    readonly network: NamespaceOwner;
    readonly pid: NamespaceOwner;
    readonly ipc: NamespaceOwner;
  };
  readonly privileged: boolean;
  readonly portMappings: readonly PortMapping[];
}

export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

export interface SandboxStatus {
  readonly state: 'creating' | 'ready' | 'stopped';
  /** Of the pod, primary first; empty for the host network. */
  readonly addresses: readonly string[];
  /** True once CNI DEL went well: a stopped sandbox without it still owes one. */
  readonly networkReleased: boolean;
  /** The init that holds a shared PID namespace, with the start time that tells it from a reused pid. */
  readonly init?: ProcessIdentity;
}

/** A process that is still the same one after a restart of the daemon. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

export type SandboxStore = ObjectStore<SandboxMetadata, SandboxStatus>;
export type Sandbox = StoredObject<SandboxMetadata, SandboxStatus>;

export const sandboxBeforeCreation: SandboxStatus = {
  state: 'creating',
  addresses: [],
  networkReleased: false,
};
