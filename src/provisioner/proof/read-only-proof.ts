import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {daemonSetKind, deploymentKind, nodeKind} from '#shared/kube/object';
import type {KubernetesObject, ObjectKind} from '#shared/kube/object';
import type {Cluster} from '../role/cluster.ts';
import {
  countOthersDown,
  findStrangers,
  judgeDaemonSets,
  judgeDeployments,
  judgeNodes,
  systemNamespaces,
} from './cluster-state.ts';
import {readIssuers} from './issuer-proof.ts';
import {requireProven, type Cell, type ProofResult, type WorkloadProof} from './proof-result.ts';

/**
 * What a run without changes proves: every host is a Ready node of the expected versions, and the
 * cluster's own workloads are available, its issuers Ready. Lists only, nothing is created, nothing is awaited.
 *
 * @throws ProofFailedError, and the API's errors
 */
export async function readOnlyProof(
  api: KubernetesApi,
  cluster: Cluster,
  options: StateOptions,
): Promise<ProofResult> {
  return requireProven(await readClusterState(api, cluster, options));
}

export interface StateOptions {
  readonly signal: AbortSignal;
  /** Names of all hosts, also of those that are not judged here. */
  readonly inventory: readonly string[];
}

/** The same as a result, whatever it says: `provision status` shows it. */
export async function readClusterState(
  api: KubernetesApi,
  cluster: Cluster,
  {signal, inventory}: StateOptions,
): Promise<ProofResult> {
  const [nodes, daemonSets, deployments, issuers] = await Promise.all([
    api.list(nodeKind, {signal}),
    api.list(daemonSetKind, {signal}),
    api.list(deploymentKind, {signal}),
    readIssuers(api, cluster.certificates, {signal}),
  ]);
  const namespaces = systemNamespaces(cluster);
  const hosts = cluster.hosts.length;
  return {
    nodes: judgeNodes(cluster, nodes),
    workloads: sortWorkloads([
      ...judgeDaemonSets(daemonSets, {othersDown: countOthersDown(cluster, nodes), namespaces}),
      ...judgeDeployments(deployments, {namespaces, nodes: hosts}),
    ]),
    issuers,
    strangers: findStrangers(inventory, nodes),
  };
}

/**
 * The same, given time: each part is watched until it is as it should be. What is not by then is
 * in the result as it was last seen.
 */
export async function awaitClusterState(
  api: KubernetesApi,
  cluster: Cluster,
  {inventory, ...options}: StateOptions & {readonly timeoutMs: number},
): Promise<ProofResult> {
  const othersDown = async () =>
    countOthersDown(cluster, await api.list(nodeKind, {signal: options.signal}));
  const before = await othersDown();
  const namespaces = systemNamespaces(cluster);
  const hosts = cluster.hosts.length;
  const [nodes, daemonSets, deployments] = await Promise.all([
    settle(api, nodeKind, objects => judgeNodes(cluster, objects), {
      ...options,
      cellsOf: ({cells}) => Object.values(cells),
    }),
    settle(
      api,
      daemonSetKind,
      objects => judgeDaemonSets(objects, {othersDown: before, namespaces}),
      {
        ...options,
        cellsOf: ({cell}) => [cell],
      },
    ),
    settle(api, deploymentKind, objects => judgeDeployments(objects, {namespaces, nodes: hosts}), {
      ...options,
      cellsOf: ({cell}) => [cell],
    }),
  ]);
  return {
    nodes: nodes.rows,
    workloads: sortWorkloads([
      // Another node may have gone down meanwhile.
      ...judgeDaemonSets(daemonSets.objects, {othersDown: await othersDown(), namespaces}),
      ...deployments.rows,
    ]),
    issuers: await readIssuers(api, cluster.certificates, options),
    strangers: findStrangers(inventory, nodes.objects),
  };
}

/** Objects as they were last seen, and what was said of them. */
interface Settled<T, Row> {
  readonly objects: readonly T[];
  readonly rows: readonly Row[];
}

interface SettleOptions<Row> {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly cellsOf: (row: Row) => readonly Cell[];
}

/** Watches a kind until no cell of its rows has failed; after the deadline, what was seen last. */
async function settle<T extends KubernetesObject, Row>(
  api: KubernetesApi,
  kind: ObjectKind<T>,
  judge: (objects: readonly T[]) => readonly Row[],
  {signal, timeoutMs, cellsOf}: SettleOptions<Row>,
): Promise<Settled<T, Row>> {
  let last: Settled<T, Row> | undefined;
  const decide = (objects: readonly T[]): Settled<T, Row> | undefined => {
    last = {objects, rows: judge(objects)};
    return last.rows.flatMap(cellsOf).every(({state}) => state === 'ok') ? last : undefined;
  };
  try {
    const description = `every ${kind.kind} to be as it should be`;
    return await api.waitFor(kind, decide, {signal, timeoutMs, description});
  } catch (error) {
    const late = error instanceof CodedError && error.code === 'ERR_API_TIMEOUT';
    if (!late || last === undefined) throw error;
    return last;
  }
}

function sortWorkloads(workloads: readonly WorkloadProof[]): readonly WorkloadProof[] {
  return workloads.toSorted((a, b) => (a.workload < b.workload ? -1 : 1));
}
