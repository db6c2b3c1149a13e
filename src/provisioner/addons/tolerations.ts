import type {Host} from '../role/cluster.ts';

/** core/v1 Toleration, the fields that we set. */
export interface Toleration {
  readonly operator: 'Exists';
  readonly key: string;
  readonly effect: string;
}

/**
 * Tolerations of every taint that the inventory gives these hosts, each once, sorted. Taints of the
 * cluster's own controllers (a node that does not answer) still move pods.
 */
export function tolerationsOf(hosts: readonly Pick<Host, 'taints'>[]): readonly Toleration[] {
  const taints = hosts.flatMap(host => host.taints);
  const byText = new Map(taints.map(({key, effect}) => [`${key}:${effect}`, {key, effect}]));
  return [...byText]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, taint]) => ({operator: 'Exists', ...taint}));
}
