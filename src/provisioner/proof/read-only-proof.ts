import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {daemonSetKind, deploymentKind, nodeKind} from '#shared/kube/object';
import type {KubernetesObject, ObjectKind} from '#shared/kube/object';
import type {Cluster} from '../role/cluster.ts';
import {judgeDaemonSets, judgeDeployments, judgeNodes} from './cluster-state.ts';
import {requireProven, type Cell, type ProofResult, type WorkloadProof} from './proof-result.ts';

/**
 * What a run without changes proves: every host is a Ready node of the expected versions, and the
 * cluster's own workloads are available. Three lists, nothing is created, nothing is awaited.
 *
 * @throws ProofFailedError, and the API's errors
 */
export async function readOnlyProof(
  api: KubernetesApi,
  cluster: Cluster,
  {signal}: {readonly signal: AbortSignal},
): Promise<ProofResult> {
  return requireProven(await readClusterState(api, cluster, {signal}));
}

/** The same as a result, whatever it says: `provision status` shows it. */
export async function readClusterState(
  api: KubernetesApi,
  cluster: Cluster,
  {signal}: {readonly signal: AbortSignal},
): Promise<ProofResult> {
  const [nodes, daemonSets, deployments] = await Promise.all([
    api.list(nodeKind, {signal}),
    api.list(daemonSetKind, {signal}),
    api.list(deploymentKind, {signal}),
  ]);
  return {
    nodes: judgeNodes(cluster, nodes),
    workloads: sortWorkloads([...judgeDaemonSets(daemonSets), ...judgeDeployments(deployments)]),
  };
}

/**
 * The same, given time: each part is watched until it is as it should be. What is not by then is
 * in the result as it was last seen.
 */
export async function awaitClusterState(
  api: KubernetesApi,
  cluster: Cluster,
  options: {readonly signal: AbortSignal; readonly timeoutMs: number},
): Promise<ProofResult> {
  const [nodes, daemonSets, deployments] = await Promise.all([
    settle(api, nodeKind, objects => judgeNodes(cluster, objects), {
      ...options,
      cellsOf: ({cells}) => Object.values(cells),
    }),
    settle(api, daemonSetKind, judgeDaemonSets, {...options, cellsOf: ({cell}) => [cell]}),
    settle(api, deploymentKind, judgeDeployments, {...options, cellsOf: ({cell}) => [cell]}),
  ]);
  return {nodes, workloads: sortWorkloads([...daemonSets, ...deployments])};
}

interface SettleOptions<Row> {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly cellsOf: (row: Row) => readonly Cell[];
}

/** Watches a kind until no cell of its rows has failed; after the deadline, the last rows seen. */
async function settle<T extends KubernetesObject, Row>(
  api: KubernetesApi,
  kind: ObjectKind<T>,
  judge: (objects: readonly T[]) => readonly Row[],
  {signal, timeoutMs, cellsOf}: SettleOptions<Row>,
): Promise<readonly Row[]> {
  let last: readonly Row[] | undefined;
  const decide = (objects: readonly T[]): readonly Row[] | undefined => {
    last = judge(objects);
    return last.flatMap(cellsOf).every(({state}) => state === 'ok') ? last : undefined;
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
