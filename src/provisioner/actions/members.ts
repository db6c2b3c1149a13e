import type {HostSession} from '../phases/session.ts';
import {isMember} from '../plan/action-plan.ts';
import type {Cluster} from '../role/cluster.ts';

export const namesOf = ({hosts}: Cluster): readonly string[] => hosts.map(({name}) => name);

/**
 * The cluster as far as this run can answer for it: hosts that it reached and that kubeadm has
 * made nodes. A host that failed has its own error, one outside `--limit` is not looked at.
 */
export function membersOf(cluster: Cluster, reached: readonly HostSession[]): Cluster {
  const members = new Set(
    reached.filter(({record}) => isMember(record.state)).map(({host}) => host.name),
  );
  return {...cluster, hosts: cluster.hosts.filter(({name}) => members.has(name))};
}
