import type {Arch, Artifact, ArtifactName} from '#artifacts/artifact';
import type {ControllerRelease} from '../certificates/controller-release.ts';
import type {Emit} from '../engine/events.ts';
import type {Role} from '../role/role.ts';
import type {Cluster} from '../role/cluster.ts';
import type {Render} from '../template/templates.ts';
import type {Connect, Payload} from '../transport/connection.ts';

/** What an action needs from outside; put together in main.ts. */
export interface Environment {
  readonly cluster: Cluster;
  readonly connect: Connect;
  readonly artifacts: () => Promise<Artifacts>;
  readonly artifactsArch: Arch;
  readonly render: Render;
  readonly rolesByPhase: Readonly<Record<string, readonly Role[]>>;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly options: ActionOptions;
  readonly clock: Clock;
  /** One line that tells other operators who holds a lock. */
  readonly owner: string;
  readonly knownHostsPaths: readonly string[];
}

export interface Clock {
  readonly now: () => Date;
  /** Milliseconds that never run backwards. */
  readonly monotonicMs: () => number;
}

export interface ActionOptions {
  /** Hosts worked on at the same time. */
  readonly forks: number;
  /** Names or groups of hosts; empty: all of them. */
  readonly limit: readonly string[];
  /** Hash every artifact on the hosts. */
  readonly deep: boolean;
}

/** The artifacts as a run sees them. */
export interface Artifacts {
  readonly artifact: (name: ArtifactName) => Promise<Artifact>;
  readonly images: ClusterImages;
  /** What the certificate controller of this checkout needs in a cluster. */
  readonly controllerRelease: () => Promise<ControllerRelease>;
  /** Makes an image of ours here, so that the lock file has its digest; nothing is sent. */
  readonly lockOwnImage: (reference: string) => Promise<void>;
  /** Digests of what the site's registry has under these references; what it lacks is absent. */
  readonly findImages: (references: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** What the lock file says that an image may be; empty when it does not name it. */
  readonly lockedDigests: (reference: string) => readonly string[];
  /** Adds to the lock file what it does not name yet, by reference. */
  readonly lockImages: (digests: ReadonlyMap<string, string>) => Promise<void>;
  /** These images as one OCI archive, made here: for sites without a registry. */
  readonly imageArchive: (references: readonly string[]) => Promise<Payload>;
}

/** References by what needs them. */
export interface ClusterImages {
  readonly controlPlane: readonly string[];
  readonly everyNode: readonly string[];
  readonly addons: readonly string[];
  readonly flannel: string;
  readonly coredns: string;
  readonly proof: string;
  /** The certificate controller's. */
  readonly certificates: string;
}
