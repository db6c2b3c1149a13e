import type {OciDevice} from './oci-spec.ts';
import type {ResolvedUser} from './user.ts';

/**
 * All that a container's OCI spec is decided from. Values only: the caller has mounted the root
 * file system, resolved host paths and read files before. The CRI parts are structural subsets of
 * the generated messages, so a request can be passed as it came.
 */
export interface ContainerSpecInput {
  readonly containerId: string;
  readonly sandboxId: string;
  readonly sandbox: SandboxConfig;
  readonly container: ContainerConfig;
  readonly image: ImageProcess;
  readonly user: ResolvedUser;
  /** Host path of the mounted root file system. */
  readonly rootfs: string;
  readonly namespaces: ContainerNamespaces;
  /** The container's CRI mounts, in any order, host paths resolved and existing. */
  readonly mounts: readonly PreparedMount[];
  /** The container's CRI devices, as device nodes of the host; a folder is already walked. */
  readonly devices: readonly PreparedDevice[];
  /** Every device node of the host; used for privileged containers only. */
  readonly hostDevices: readonly OciDevice[];
  readonly files: SandboxFiles;
  /** What the sandbox's UTS namespace is called; becomes `HOSTNAME`. */
  readonly hostname: string;
  /** As `cgroupPathFor` says it: `<slice>:slipway:<id>` or `<parent>/slipway-<id>`. */
  readonly cgroupsPath: string;
  readonly systemdCgroup: boolean;
  /** The parsed profile of a Localhost seccomp reference, read by the caller; not validated yet. */
  readonly localhostSeccomp?: unknown;
  readonly host: HostAbilities;
  readonly defaults: SpecDefaults;
  /** Where the daemon mounts root file systems and namespaces: its `root` and its `state`. */
  readonly daemonDirectories?: readonly string[] | undefined;
}

/** What the image's configuration says about the process. */
export interface ImageProcess {
  readonly env?: readonly string[] | undefined;
  readonly entrypoint?: readonly string[] | undefined;
  readonly cmd?: readonly string[] | undefined;
  readonly workingDir?: string | undefined;
  readonly stopSignal?: string | undefined;
}

export interface ContainerNamespaces {
  /** A path is joined; undefined is the daemon's own (host). */
  readonly network?: string | undefined;
  readonly ipc?: string | undefined;
  readonly uts?: string | undefined;
  /** `container`: a new one; `host`: the daemon's own; a path: another container's. */
  readonly pid: 'container' | 'host' | {readonly path: string};
}

/** Host files and folders of the sandbox that every container sees. */
export interface SandboxFiles {
  readonly resolvConf?: string | undefined;
  readonly hostname?: string | undefined;
  readonly hosts?: string | undefined;
  readonly shm: string;
}

export interface PreparedMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly recursiveReadOnly: boolean;
  /** CRI MountPropagation: 0 private, 1 host to container, 2 bidirectional. */
  readonly propagation: number;
}

export interface PreparedDevice extends OciDevice {
  /** Any of `r`, `w`, `m`. */
  readonly permissions: string;
}

/** What the machine lets the daemon do; more is clamped, and said in a notice. */
export interface HostAbilities {
  /** Capabilities of the daemon, a bit each (CapBnd ∩ CapEff of /proc/self/status). */
  readonly capabilities: bigint;
  /** Hard limits that the daemon cannot raise, by OCI name (`RLIMIT_NOFILE`); absent: none. */
  readonly hardLimits: Readonly<Record<string, bigint | 'unlimited'>>;
  /** The lowest oom_score_adj that a child may get: −1000 with CAP_SYS_RESOURCE, else our own. */
  readonly oomScoreAdjMin: number;
  /** True when kernel and OCI runtime can filter system calls. */
  readonly seccomp: boolean;
  readonly apparmor: boolean;
  /** Name of a loaded AppArmor profile for RuntimeDefault. */
  readonly apparmorDefaultProfile?: string | undefined;
  /** True when the kernel uses SELinux, of which this runtime knows nothing. */
  readonly selinux: boolean;
  readonly cgroupVersion: 1 | 2;
  /** Controllers that can be used: `cpu`, `memory`, `hugetlb`, … */
  readonly controllers: ReadonlySet<string>;
  /** True when the kernel accounts swap by cgroup. */
  readonly swapAccounting: boolean;
  /** True when OCI runtime and kernel know the mount option `rro`. */
  readonly recursiveReadOnly: boolean;
  /** `process.arch` of the daemon: `x64`, `arm64`, … */
  readonly architecture: string;
  /** False when the kernel is known to refuse all system calls of the x32 ABI of x86-64. */
  readonly x32: boolean;
}

/** The daemon's configuration, as far as specs depend on it. */
export interface SpecDefaults {
  readonly capabilities: readonly string[];
  readonly ulimits: readonly Ulimit[];
  readonly env: readonly string[];
  /** Processes and threads in a container; 0 or less is no limit. */
  readonly pidsLimit: number;
}

export interface Ulimit {
  /** `nofile` or `RLIMIT_NOFILE`. */
  readonly name: string;
  readonly soft: bigint;
  readonly hard: bigint;
}

// ---- structural subsets of the CRI messages (facts: cri-api v0.37, package runtime.v1) ----

export interface SandboxConfig {
  readonly metadata?:
    {readonly name: string; readonly namespace: string; readonly uid: string} | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux?:
    | {
        readonly cgroupParent: string;
        readonly sysctls: Readonly<Record<string, string>>;
        readonly securityContext?:
          {readonly namespaceOptions?: NamespaceOption | undefined} | undefined;
      }
    | undefined;
}

export interface ContainerConfig {
  readonly metadata?: {readonly name: string; readonly attempt: number} | undefined;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly envs: readonly {readonly key: string; readonly value: Uint8Array}[];
  readonly tty: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux?:
    | {
        readonly resources?: ContainerResources | undefined;
        readonly securityContext?: ContainerSecurityContext | undefined;
      }
    | undefined;
}

/** CRI `LinuxContainerResources`; zero and empty mean "not set". */
export interface ContainerResources {
  readonly cpuPeriod: bigint;
  readonly cpuQuota: bigint;
  readonly cpuShares: bigint;
  readonly memoryLimitInBytes: bigint;
  readonly oomScoreAdj: bigint;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly hugepageLimits: readonly {readonly pageSize: string; readonly limit: bigint}[];
  readonly unified: Readonly<Record<string, string>>;
  readonly memorySwapLimitInBytes: bigint;
}

export interface ContainerSecurityContext {
  readonly capabilities?:
    | {
        readonly addCapabilities: readonly string[];
        readonly dropCapabilities: readonly string[];
        readonly addAmbientCapabilities: readonly string[];
      }
    | undefined;
  readonly privileged: boolean;
  readonly namespaceOptions?: NamespaceOption | undefined;
  readonly runAsUser?: {readonly value: bigint} | undefined;
  readonly runAsGroup?: {readonly value: bigint} | undefined;
  readonly runAsUsername: string;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly bigint[];
  /** 0 Merge, 1 Strict. */
  readonly supplementalGroupsPolicy: number;
  readonly noNewPrivs: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly seccomp?: SecurityProfile | undefined;
  readonly apparmor?: SecurityProfile | undefined;
}

export interface SecurityProfile {
  /** 0 RuntimeDefault, 1 Unconfined, 2 Localhost. */
  readonly profileType: number;
  readonly localhostRef: string;
}

export interface NamespaceOption {
  /** NamespaceMode: 0 POD, 1 CONTAINER, 2 NODE, 3 TARGET. */
  readonly network: number;
  readonly pid: number;
  readonly ipc: number;
  readonly targetId: string;
  readonly usernsOptions?: {readonly mode: number} | undefined;
}
