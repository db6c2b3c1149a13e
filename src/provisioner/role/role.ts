import type {Cluster, Host} from './cluster.ts';
import type {Facts} from './facts.ts';
import type {Resource} from './resource.ts';

/** What the lock file knows of a program that a host must have. */
export interface ArtifactFact {
  readonly version: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Everything a role may look at: values only, so that a role is testable without a network. */
export interface RoleInput {
  readonly cluster: Cluster;
  readonly host: Host;
  readonly facts: Facts;
  /** True once kubeadm has ended well on the host. */
  readonly isMember: boolean;
  /** By artifact name; a missing name is a defect of ours and throws. */
  readonly artifact: (name: string) => ArtifactFact;
  /** Renders templates/<name>.hbs; a value that the template names and this lacks is an error. */
  readonly render: (name: string, values: Readonly<Record<string, unknown>>) => string;
}

/** A pure function from cluster, host and facts to what the host must have. */
export interface Role {
  readonly name: string;
  /** Hosts that it is for; absent: all of them. */
  readonly appliesTo?: (host: Host) => boolean;
  /** Names of the artifacts that it asks for, so that they are there before anything is planned. */
  readonly artifacts?: readonly string[];
  readonly resources: (input: RoleInput) => readonly Resource[];
}

export const isFor = ({appliesTo}: Role, host: Host): boolean => appliesTo?.(host) ?? true;
