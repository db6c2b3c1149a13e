import {digestOf} from '#shared/digest';
import type {KubernetesObject} from '#shared/kube/object';
import type {Cluster} from '../role/cluster.ts';
import {clusterDnsObjects} from './cluster-dns.ts';
import {flannelObjects} from './flannel.ts';

/** A set of manifests that is planned, applied and recorded as one. */
export interface Addon {
  readonly name: 'flannel' | 'cluster-dns';
  /** In the order in which they are applied: what others refer to comes first. */
  readonly objects: readonly KubernetesObject[];
  /** sha256 of the objects as stable JSON: the plan compares it with what was applied last. */
  readonly digest: string;
}

export interface AddonOptions {
  /** References as nodes pull them, e.g. `registry.k8s.io/coredns/coredns:v1.14.3`. */
  readonly images: {readonly flannel: string; readonly coredns: string};
  /** Whether the hosts have a name server to forward other names to (see `clusterDnsObjects`). */
  readonly upstream: boolean;
}

/** The add-ons of a cluster, in the order in which they are applied. Pure. */
export function planAddons(cluster: Cluster, {images, upstream}: AddonOptions): readonly Addon[] {
  return [
    addon('flannel', flannelObjects(cluster, {image: images.flannel})),
    addon('cluster-dns', clusterDnsObjects(cluster, {image: images.coredns, upstream})),
  ];
}

function addon(name: Addon['name'], objects: readonly KubernetesObject[]): Addon {
  return {name, objects, digest: digestOf(objects)};
}
