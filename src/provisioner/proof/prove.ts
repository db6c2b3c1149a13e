import {randomBytes} from 'node:crypto';
import {CodedError, messageOf} from '#shared/errors';
import {mapLimited} from '#shared/map-limited';
import type {KubernetesApi, PodName} from '#shared/kube/kubernetes-api';
import {namespaceKind, podKind} from '#shared/kube/object';
import type {PodObject, ServiceObject} from '#shared/kube/object';
import {waitFor} from '#shared/wait-for';
import {type IssuerTrial, tryIssuers} from '../certificates/try-issuers.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import {
  PROOF_CONTAINER,
  PROOF_LABEL,
  proofAccount,
  proofGreeting,
  proofNamespace,
  proofPod,
  proofService,
} from './proof-objects.ts';
import type {ProofPlace} from './proof-objects.ts';
import {readIssuers, triedIssuers, withTrials} from './issuer-proof.ts';
import {judgePods, targetsOf, type ProofPod} from './proof-pods.ts';
import {
  mergeNodeProofs,
  requireProven,
  type Cell,
  type NodeProof,
  type ProofResult,
} from './proof-result.ts';
import {
  REQUESTS_TIMEOUT_SECONDS,
  judgeRequests,
  requestScript,
  requestsNotMade,
} from './proof-script.ts';
import {awaitClusterState, type StateOptions} from './read-only-proof.ts';

/** What the proof is doing, for whoever watches. */
export type ProofEvent =
  | {readonly kind: 'leftover-removed'; readonly namespace: string}
  | {readonly kind: 'created'; readonly namespace: string; readonly pods: number}
  | {readonly kind: 'pods-running'; readonly running: number; readonly pods: number}
  | {readonly kind: 'checked'; readonly node: string}
  | {readonly kind: 'removed'; readonly namespace: string};

export interface ProveOptions extends StateOptions {
  /** Reference of the proof's image as nodes pull it. */
  readonly image: string;
  readonly now: () => Date;
  /** What this run has tried a moment ago and need not try again. */
  readonly trials?: readonly IssuerTrial[] | undefined;
  readonly onEvent?: (event: ProofEvent) => void;
}

/** Nodes and workloads of a cluster that was made a moment ago. */
const STATE_TIMEOUT_MS = 90_000;
/** From creation to running, with the pull of a small image. */
const PODS_TIMEOUT_MS = 60_000;
/** Containers write their first line at once; the kubelet may look a moment later. */
const LOGS_TIMEOUT_MS = 5_000;
/** The script ends by itself; this is for a stream that hangs. */
const EXEC_TIMEOUT_MS = (REQUESTS_TIMEOUT_SECONDS + 10) * 1_000;
const REMOVE_TIMEOUT_MS = 30_000;
/** Of requests to the API, and of commands run in pods: each is a connection of its own. */
const CALLS_AT_ONCE_MAX = 32;

/**
 * Proves that the cluster works: every host is a Ready node with the expected versions, and from a
 * pod on every node a Service answers by its DNS name, pods on other nodes by their addresses, and
 * a port on every node's internal address; logs and exec go through the API. Every issuer of
 * cluster.yaml is Ready and issues a certificate whose chain is sound.
 *
 * All of it happens in a namespace of its own, whose deletion the API was asked for when this
 * returns or rejects; the objects in it vanish some seconds later (the namespace controller waits
 * 5 s), which nobody needs to wait for. What an earlier, killed proof left is deleted first.
 *
 * @throws ProofFailedError with the whole result, and the API's errors
 */
export async function prove(
  api: KubernetesApi,
  cluster: Cluster,
  options: ProveOptions,
): Promise<ProofResult> {
  const {signal, onEvent = () => undefined} = options;
  const namespace = `provision-proof-${randomBytes(4).toString('hex')}`;
  await removeLeftovers(api, {signal, onEvent});
  // Ends what still runs beside a part that failed.
  const stop = new AbortController();
  const limited = AbortSignal.any([signal, stop.signal]);
  let result: ProofResult;
  try {
    const watching = {signal: limited, onEvent};
    const [proven, trials] = await allOrFirst(stop, [
      proveIn(api, cluster, {...options, namespace}, watching),
      trialsOf(api, cluster, {...options, signal: limited}),
    ]);
    result = {...proven, issuers: withTrials(proven.issuers, trials)};
  } catch (error) {
    stop.abort();
    // The first failure tells more than one of tidying up, which the next proof makes good.
    await removeNamespace(api, namespace).catch(() => undefined);
    throw error;
  }
  // What is proven stays so when tidying up fails, which the next proof makes good.
  await removeNamespace(api, namespace).then(
    () => {
      onEvent({kind: 'removed', namespace});
    },
    () => undefined,
  );
  return requireProven(result);
}

/** Both; when one fails the other is ended and waited for. */
async function allOrFirst<A, B>(
  stop: AbortController,
  [a, b]: readonly [Promise<A>, Promise<B>],
): Promise<readonly [A, B]> {
  const ending = (error: unknown): never => {
    stop.abort(error);
    throw error;
  };
  const both = [a.catch(ending), b.catch(ending)] as const;
  await Promise.allSettled(both);
  return await Promise.all(both);
}

async function trialsOf(
  api: KubernetesApi,
  {certificates}: Cluster,
  {trials, now, signal}: Pick<ProveOptions, 'trials' | 'now' | 'signal'>,
): Promise<readonly IssuerTrial[]> {
  if (!certificates.enabled) return [];
  if (trials !== undefined) return trials;
  const issuers = triedIssuers(certificates);
  if (issuers.length === 0) return await tryIssuers(api, [], {signal, now});
  // One that is not Ready would only be waited for in vain.
  const proofs = await readIssuers(api, certificates, {signal});
  const ready = issuers.filter((_, index) => proofs[index]?.cells.ready?.state === 'ok');
  return ready.length === 0 ? [] : await tryIssuers(api, ready, {signal, now});
}

interface Watching {
  readonly signal: AbortSignal;
  readonly onEvent: (event: ProofEvent) => void;
}

async function removeLeftovers(api: KubernetesApi, {signal, onEvent}: Watching): Promise<void> {
  const left = await api.list(namespaceKind, {signal, labelSelector: PROOF_LABEL});
  await mapLimited(left, CALLS_AT_ONCE_MAX, async ({metadata}) => {
    if (metadata.deletionTimestamp !== undefined) return;
    await api.delete({...namespaceKind, name: metadata.name}, {signal});
    onEvent({kind: 'leftover-removed', namespace: metadata.name});
  });
}

/** Never with the caller's signal, which may be the reason why we are here. */
async function removeNamespace(api: KubernetesApi, namespace: string): Promise<void> {
  const signal = AbortSignal.timeout(REMOVE_TIMEOUT_MS);
  await api.delete({...namespaceKind, name: namespace}, {signal});
}

async function proveIn(
  api: KubernetesApi,
  cluster: Cluster,
  {inventory, ...place}: ProofPlace & Pick<StateOptions, 'inventory'>,
  watching: Watching,
): Promise<ProofResult> {
  const {signal} = watching;
  const [state, {pods, nodePort}] = await Promise.all([
    awaitClusterState(api, cluster, {signal, inventory, timeoutMs: STATE_TIMEOUT_MS}),
    startPods(api, cluster, place, watching),
  ]);
  const rows = await mapLimited(pods, CALLS_AT_ONCE_MAX, async (pod, index) => {
    const row = await checkFrom(api, {place, pods, index, nodePort}, watching);
    watching.onEvent({kind: 'checked', node: pod.host.name});
    return row;
  });
  return {...state, nodes: mergeNodeProofs([state.nodes, rows])};
}

async function startPods(
  api: KubernetesApi,
  {hosts}: Cluster,
  place: ProofPlace,
  {signal, onEvent}: Watching,
): Promise<{readonly pods: readonly ProofPod[]; readonly nodePort: number}> {
  const {namespace} = place;
  await api.apply(proofNamespace(place), {signal});
  const [service] = await Promise.all([
    api.apply(proofService(place), {signal}),
    api.apply(proofAccount(place), {signal}),
  ]);
  await mapLimited(hosts, CALLS_AT_ONCE_MAX, (host, index) =>
    api.apply(proofPod(place, host, index), {signal}),
  );
  onEvent({kind: 'created', namespace, pods: hosts.length});
  const pods = await awaitPods(api, hosts, namespace, signal);
  const running = pods.filter(({address}) => address !== undefined).length;
  onEvent({kind: 'pods-running', running, pods: pods.length});
  return {pods, nodePort: nodePortOf(service.after)};
}

/** All pods once all run; those that do not by the deadline come back as failed. */
async function awaitPods(
  api: KubernetesApi,
  hosts: readonly Host[],
  namespace: string,
  signal: AbortSignal,
): Promise<readonly ProofPod[]> {
  let last: readonly ProofPod[] = judgePods(hosts, []);
  const decide = (objects: readonly PodObject[]): readonly ProofPod[] | undefined => {
    last = judgePods(hosts, objects);
    return last.every(({address}) => address !== undefined) ? last : undefined;
  };
  try {
    const description = 'a pod of the proof on every node';
    const options = {signal, namespace, timeoutMs: PODS_TIMEOUT_MS, description};
    return await api.waitFor(podKind, decide, options);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'ERR_API_TIMEOUT') return last;
    throw error;
  }
}

function nodePortOf({spec}: ServiceObject): number {
  const nodePort = spec?.ports?.[0]?.nodePort;
  if (nodePort === undefined) throw new TypeError('a NodePort Service was given no port');
  return nodePort;
}

interface Origin {
  readonly place: ProofPlace;
  readonly pods: readonly ProofPod[];
  readonly index: number;
  readonly nodePort: number;
}

/** Everything that is asked from, or about, the pod of one node. */
async function checkFrom(
  api: KubernetesApi,
  {place, pods, index, nodePort}: Origin,
  {signal}: Watching,
): Promise<NodeProof> {
  const pod = pods[index];
  if (pod === undefined) throw new TypeError(`no pod ${index}`);
  const node = pod.host.name;
  if (pod.address === undefined) {
    const missing = failed('its pod does not run');
    const cells = {pod: pod.cell, exec: missing, logs: missing};
    return {node, cells: {...cells, ...requestsNotMade(missing.detail)}};
  }
  const name = {namespace: place.namespace, name: pod.podName};
  const targets = targetsOf(pods, index, {nodePort});
  const script = requestScript(targets);
  const [asked, logs] = await Promise.all([
    attempt(EXEC_TIMEOUT_MS, signal, limited =>
      api.exec(name, ['sh', '-c', script], {signal: limited, container: PROOF_CONTAINER}),
    ),
    attempt(LOGS_TIMEOUT_MS, signal, limited =>
      readGreeting(api, name, proofGreeting(pod.host), limited),
    ),
  ]);
  const requests =
    'value' in asked
      ? {exec: ok('ok'), ...judgeRequests(targets, asked.value.stdout)}
      : {exec: failed(asked.reason), ...requestsNotMade('exec failed')};
  const logged = 'value' in logs ? ok('ok') : failed(logs.reason);
  return {node, cells: {pod: pod.cell, logs: logged, ...requests}};
}

/** The log may be asked for before the container has written to it. */
function readGreeting(
  api: KubernetesApi,
  name: PodName,
  greeting: string,
  signal: AbortSignal,
): Promise<string> {
  return waitFor(
    async limited => {
      const log = await api.logs(name, {signal: limited, container: PROOF_CONTAINER});
      return log.includes(greeting) ? log : undefined;
    },
    {signal, timeoutMs: LOGS_TIMEOUT_MS},
  );
}

/** One failed call is one failed cell; only the caller's own abort ends the proof. */
async function attempt<T>(
  timeoutMs: number,
  signal: AbortSignal,
  call: (limited: AbortSignal) => Promise<T>,
): Promise<{readonly value: T} | {readonly reason: string}> {
  try {
    return {value: await call(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]))};
  } catch (error) {
    signal.throwIfAborted();
    return {reason: messageOf(error)};
  }
}

function ok(detail: string): Cell {
  return {state: 'ok', detail};
}

function failed(detail: string): Cell {
  return {state: 'failed', detail};
}
