import {electFirst} from '../plan/action-plan.ts';
import {throwProblems} from '../problems-error.ts';
import type {ProofResult} from '../proof/proof-result.ts';
import {prove} from '../proof/prove.ts';
import type {Environment} from './environment.ts';
import {namesOf} from './members.ts';
import {KubernetesSession} from './kubernetes-session.ts';
import {openHosts, type OpenHosts, type OpenOptions} from './open-hosts.ts';

/**
 * The whole proof on a cluster that is already there; changes nothing but its own namespace. Locked
 * like a change: two proofs at once would remove each other's namespace.
 *
 * @throws CodedError ERR_PROOF_FAILED, ERR_CLUSTER_ABSENT and those of a connection
 */
export async function verify(environment: Environment): Promise<ProofResult> {
  const {cluster, signal, artifacts} = environment;
  await using open = await openControlPlanes(environment, {lock: true});
  await using kubernetes = openKubernetes(environment, open);
  const {images} = await artifacts();
  const api = await kubernetes.api({signal});
  const {now} = environment.clock;
  const inventory = namesOf(cluster);
  return await prove(api, cluster, {signal, inventory, image: images.proof, now});
}

/** Connections to the control planes only: enough for everything that the API answers. */
export async function openControlPlanes(
  environment: Environment,
  {lock}: OpenOptions = {lock: false},
): Promise<OpenHosts> {
  const controlPlanes = environment.cluster.hosts.filter(host => host.isControlPlane);
  return await openHosts(environment, controlPlanes, {lock});
}

/** The API through the elected control plane of those that were reached. */
export function openKubernetes({cluster}: Environment, open: OpenHosts): KubernetesSession {
  return new KubernetesSession(firstOf(open).connection, cluster.endpoint);
}

/** The elected control plane of those that were reached. @throws ProblemsError why none was */
export function firstOf(open: OpenHosts): OpenHosts['hosts'][number] {
  const first = electFirst(open.hosts.map(each => ({...each, state: each.record.state})));
  if (first === undefined) throwProblems(open.errors);
  if (first === undefined) throw new TypeError('the configuration has no control plane');
  return first;
}
