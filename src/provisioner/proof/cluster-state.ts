import type {
  DaemonSetObject,
  DeploymentObject,
  KubernetesObject,
  NodeObject,
} from '#shared/kube/object';
import {CLUSTER_DNS_NAME} from '../addons/cluster-dns.ts';
import {CERTIFICATES_NAMESPACE} from '../certificates/kinds.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import type {Cell, NodeProof, StrangerNode, WorkloadProof} from './proof-result.ts';

/** Namespaces whose DaemonSets and Deployments make the cluster work. */
const SYSTEM_NAMESPACES: readonly string[] = ['kube-system', 'kube-flannel'];

/** Those of this cluster; without our certificate controller, its namespace is somebody else's. */
export function systemNamespaces({
  certificates,
}: Pick<Cluster, 'certificates'>): ReadonlySet<string> {
  return new Set([...SYSTEM_NAMESPACES, ...(certificates.enabled ? [CERTIFICATES_NAMESPACE] : [])]);
}

/** Judges every host of the cluster by its Node object. Nodes that are not ours are left out. */
export function judgeNodes(cluster: Cluster, nodes: readonly NodeObject[]): readonly NodeProof[] {
  const byName = new Map(nodes.map(node => [node.metadata.name, node]));
  return cluster.hosts.map(host => {
    const {name} = host;
    const node = byName.get(name);
    return node === undefined
      ? {node: name, cells: {ready: failed('the API has no node of this name')}}
      : {node: name, cells: judgeNode(cluster, host, node)};
  });
}

function judgeNode(cluster: Cluster, host: Host, {status}: NodeObject): NodeProof['cells'] {
  const ready = status?.conditions?.find(({type}) => type === 'Ready');
  const version = status?.nodeInfo?.kubeletVersion ?? 'unknown';
  const expected = `v${cluster.kubernetesVersion}`;
  const runtime = status?.nodeInfo?.containerRuntimeVersion ?? 'unknown';
  return {
    ready:
      ready?.status === 'True'
        ? ok('ok')
        : failed(ready?.message ?? ready?.reason ?? 'the kubelet has not reported yet'),
    version: version === expected ? ok(version) : failed(`${version}, expected ${expected}`),
    runtime: runtime.startsWith(`${host.runtime}://`)
      ? ok(runtime)
      : failed(`${runtime}, expected ${host.runtime}`),
  };
}

/** Nodes of the API that no host of the inventory is. */
export function findStrangers(
  inventory: readonly string[],
  nodes: readonly NodeObject[],
): readonly StrangerNode[] {
  return nodes
    .filter(({metadata}) => !inventory.includes(metadata.name))
    .map(node => ({node: node.metadata.name, ready: isReady(node)}))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** Nodes that are not judged here and do not work: a DaemonSet lacks a pod on each. */
export function countOthersDown({hosts}: Cluster, nodes: readonly NodeObject[]): number {
  const judged = new Set(hosts.map(({name}) => name));
  return nodes.filter(node => !judged.has(node.metadata.name) && !isReady(node)).length;
}

function isReady({status}: NodeObject): boolean {
  return status?.conditions?.find(({type}) => type === 'Ready')?.status === 'True';
}

/**
 * Judges the cluster's own DaemonSets.
 *
 * @param othersDown nodes whose pods may be missing
 */
export function judgeDaemonSets(
  sets: readonly DaemonSetObject[],
  {othersDown, namespaces}: {readonly othersDown: number; readonly namespaces: ReadonlySet<string>},
): readonly WorkloadProof[] {
  return inNamespaces(sets, namespaces).map(set => {
    const {desiredNumberScheduled, updatedNumberScheduled, numberAvailable} = set.status ?? {};
    return judgeWorkload(`DaemonSet`, set, {
      observedGeneration: set.status?.observedGeneration,
      // Undefined until the controller has seen the set; then 0 is a number of its own.
      wanted: desiredNumberScheduled,
      updated: updatedNumberScheduled ?? 0,
      available: numberAvailable ?? 0,
      mayLack: othersDown,
    });
  });
}

/**
 * Judges the cluster's own Deployments.
 *
 * @param nodes how many there are for pods that keep apart; default: enough
 */
export function judgeDeployments(
  deployments: readonly DeploymentObject[],
  {
    namespaces,
    nodes = Infinity,
  }: {readonly namespaces: ReadonlySet<string>; readonly nodes?: number},
): readonly WorkloadProof[] {
  return inNamespaces(deployments, namespaces).map(deployment => {
    const {updatedReplicas, availableReplicas, observedGeneration} = deployment.status ?? {};
    const wanted = deployment.spec?.replicas ?? 1;
    const isApart = deployment.metadata.name === CLUSTER_DNS_NAME;
    return judgeWorkload('Deployment', deployment, {
      observedGeneration,
      wanted,
      updated: updatedReplicas ?? 0,
      available: availableReplicas ?? 0,
      mayLack: isApart ? Math.max(0, wanted - Math.max(nodes, 1)) : 0,
    });
  });
}

interface Progress {
  readonly observedGeneration: number | undefined;
  readonly wanted: number | undefined;
  readonly updated: number;
  readonly available: number;
  readonly mayLack: number;
}

function judgeWorkload(
  kind: string,
  {metadata}: KubernetesObject,
  {observedGeneration, wanted, updated, available, mayLack}: Progress,
): WorkloadProof {
  const workload = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
  if (wanted === undefined || (observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    return {workload, cell: failed('its controller has not acted on it yet')};
  }
  if (updated < wanted - mayLack) {
    return {workload, cell: failed(`${updated} of ${wanted} pods are of its present version`)};
  }
  return available < wanted - mayLack
    ? {workload, cell: failed(`${available} of ${wanted} pods are available`)}
    : {workload, cell: ok(`${available}/${wanted}`)};
}

function inNamespaces<T extends KubernetesObject>(
  objects: readonly T[],
  namespaces: ReadonlySet<string>,
): readonly T[] {
  return objects.filter(({metadata}) => namespaces.has(metadata.namespace ?? ''));
}

function ok(detail: string): Cell {
  return {state: 'ok', detail};
}

function failed(detail: string): Cell {
  return {state: 'failed', detail};
}
