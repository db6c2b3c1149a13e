import type {Secret} from '#shared/secret';
import type {Artifact, ArtifactName} from '#artifacts/artifact';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import type {HostRecord} from '../host-state/host-record.ts';
import type {HostPlan} from '../plan/host-plan.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import type {Facts} from '../role/facts.ts';
import type {Connection} from '../transport/connection.ts';

/** One host for the length of a run. */
export interface HostSession {
  readonly host: Host;
  readonly connection: Connection;
  readonly facts: Facts;
  readonly record: HostRecord;
}

/** What phases share in one run. */
export interface ClusterSession {
  readonly cluster: Cluster;
  readonly hosts: readonly HostSession[];
  readonly plans: ReadonlyMap<string, HostPlan>;
  /** The elected first control plane: an existing one, else the first by name. */
  readonly first: HostSession;
  readonly artifact: (name: ArtifactName) => Promise<Artifact>;
  /** Signs the joins of this run; revoked at its end. */
  readonly token: Secret;
  readonly now: () => Date;
  /** The API of the elected control plane, through its SSH connection. */
  readonly api: (options: {readonly signal: AbortSignal}) => Promise<KubernetesApi>;
}
