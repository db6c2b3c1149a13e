import {throwProblems} from '../problems-error.ts';
import {readAdminKubeconfig} from '../phases/admin-kubeconfig.ts';
import {electFirst} from '../plan/action-plan.ts';
import type {Environment} from './environment.ts';
import {openControlPlanes} from './verify.ts';

/**
 * The administrator's kubeconfig, with an address that is reached from here: the control plane's
 * own, since the endpoint's name may only resolve on the hosts.
 *
 * @throws CodedError ERR_CLUSTER_ABSENT and those of a connection
 */
export async function kubeconfig(environment: Environment): Promise<string> {
  const {cluster, signal} = environment;
  await using open = await openControlPlanes(environment);
  const first = electFirst(open.hosts.map(each => ({...each, state: each.record.state})));
  if (first === undefined) throwProblems(open.errors);
  if (first === undefined) throw new TypeError('the configuration has no control plane');
  const text = await readAdminKubeconfig(first.connection, {signal});
  const {host, port} = cluster.endpoint;
  return text.replaceAll(`https://${host}:${port}`, `https://${first.host.address}:${port}`);
}
