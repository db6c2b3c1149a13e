import {readAdminKubeconfig} from '../phases/admin-kubeconfig.ts';
import {openTunnel} from '../transport/tunnel.ts';
import type {Environment} from './environment.ts';
import {firstOf, openControlPlanes} from './verify.ts';

/**
 * The administrator's kubeconfig, with an address that is reached from here: the control plane's
 * own, since the endpoint's name may only resolve on the hosts.
 *
 * @throws CodedError ERR_CLUSTER_ABSENT and those of a connection
 */
export async function kubeconfig(environment: Environment): Promise<string> {
  const {cluster, signal} = environment;
  await using open = await openControlPlanes(environment);
  const {host, connection} = firstOf(open);
  const text = await readAdminKubeconfig(connection, {signal});
  const {port} = cluster.endpoint;
  return withServer(text, environment, `https://${host.address}:${port}`);
}

/**
 * The same for a program that runs as long as `use`: it reaches the API through our SSH connection,
 * so wherever SSH does.
 *
 * @throws CodedError ERR_CLUSTER_ABSENT and those of a connection; what `use` throws
 */
export async function useKubeconfig<T>(
  environment: Environment,
  use: (text: string) => Promise<T>,
): Promise<T> {
  const {cluster, signal} = environment;
  await using open = await openControlPlanes(environment);
  const {connection} = firstOf(open);
  const text = await readAdminKubeconfig(connection, {signal});
  await using tunnel = await openTunnel(connection, cluster.endpoint.port, {signal});
  return await use(withServer(text, environment, `https://127.0.0.1:${tunnel.localPort}`));
}

function withServer(text: string, {cluster}: Environment, server: string): string {
  const {host, port} = cluster.endpoint;
  return text.replaceAll(`https://${host}:${port}`, server);
}
