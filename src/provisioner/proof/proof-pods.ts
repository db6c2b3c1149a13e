import type {PodObject} from '#shared/kube/object';
import type {Host} from '../role/cluster.ts';
import {PROOF_NAME, PROOF_PORT, proofGreeting, proofPodName} from './proof-objects.ts';
import type {Cell} from './proof-result.ts';
import {neighboursOf, type Target} from './proof-script.ts';

/** The proof's pod of one node, as far as it came. */
export interface ProofPod {
  readonly host: Host;
  readonly podName: string;
  /** Set once the pod runs and has an address. */
  readonly address: string | undefined;
  readonly cell: Cell;
}

/** Pairs every host with its pod. Pure. */
export function judgePods(hosts: readonly Host[], pods: readonly PodObject[]): readonly ProofPod[] {
  const byName = new Map(pods.map(pod => [pod.metadata.name, pod]));
  return hosts.map((host, index) => {
    const podName = proofPodName(index);
    const pod = byName.get(podName);
    const address = pod === undefined ? undefined : runningAddress(pod);
    const cell: Cell =
      address === undefined
        ? {state: 'failed', detail: describePod(pod)}
        : {state: 'ok', detail: address};
    return {host, podName, address, cell};
  });
}

function runningAddress({status}: PodObject): string | undefined {
  const running = status?.containerStatuses?.some(({state}) => state?.running !== undefined);
  return status?.phase === 'Running' && running === true ? status.podIP : undefined;
}

/** The most telling reason why a pod does not run. Pure. */
export function describePod(pod: PodObject | undefined): string {
  if (pod === undefined) return 'the pod was not created';
  const {phase = 'Pending', conditions = [], containerStatuses = [], message} = pod.status ?? {};
  const waiting = containerStatuses.map(({state}) => state?.waiting).find(Boolean);
  const blocked = conditions.find(({status, reason}) => status === 'False' && reason !== undefined);
  const reasons = [waiting?.reason, waiting?.message, message, blocked?.message];
  return [`the pod is ${phase}`, ...reasons.filter(reason => reason !== undefined)].join(': ');
}

/** What the pod of one node asks: the Service, its neighbours' pods, and nodes' ports. Pure. */
export function targetsOf(
  pods: readonly ProofPod[],
  index: number,
  {nodePort}: {readonly nodePort: number},
): readonly Target[] {
  const own = pods.slice(index, index + 1);
  const neighbours = neighboursOf(pods, index);
  return [
    // The short name: it resolves in one question, by the pod's own search list.
    {check: 'service', name: PROOF_NAME, url: `http://${PROOF_NAME}/`, expected: undefined},
    ...neighbours.map(({host, address}): Target => ({
      check: 'pods',
      name: host.name,
      url: `http://${address ?? 'no-address.invalid'}:${PROOF_PORT}/`,
      expected: proofGreeting(host),
    })),
    ...[...own, ...neighbours].map(({host}): Target => ({
      check: 'nodeports',
      name: host.name,
      url: `http://${host.internalAddress}:${nodePort}/`,
      expected: undefined,
    })),
  ];
}
