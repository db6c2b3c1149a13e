import {digestOf} from '#shared/digest';
import {formatYamlDocuments} from '#shared/yaml';
import {Secret} from '#shared/secret';
import type {TaskContext} from '../engine/graph.ts';
import {JOIN_ACTION} from '../plan/action-plan.ts';
import {discoveryKubeconfig, joinDocuments, joinKeys} from '../kubeadm/configuration.ts';
import {readClusterAuthority} from './admin-kubeconfig.ts';
import {runKubeadm} from './run-kubeadm.ts';
import type {ClusterSession, HostSession} from './session.ts';

const DISCOVERY_FILE = 'discovery.conf';

/**
 * kubeadm join of a worker; the API server's CA comes over SSH from the control plane, so nothing
 * is trusted on first use.
 *
 * @throws CodedError ERR_KUBEADM_JOIN_FAILED and those of the connection and the API
 */
export async function kubeadmJoin(
  session: ClusterSession,
  host: HostSession,
  {signal, progress}: TaskContext,
): Promise<number> {
  const {cluster, token} = session;
  const authority = await readClusterAuthority(session.first.connection, {signal});
  // A Node of this name, of a join that was undone or never confirmed, is refused while Ready.
  const api = await session.api({signal});
  await api.delete({apiVersion: 'v1', kind: 'Node', name: host.host.name}, {signal});
  const discoveryPath = `/run/slipway/${DISCOVERY_FILE}`;
  const documents = (secret: Secret) =>
    joinDocuments(cluster, host.host, {token: secret, discoveryPath});
  await runKubeadm(host, session.plans.get(host.host.name), {
    action: JOIN_ACTION,
    record: {digest: digestOf(documents(new Secret(''))), keys: {...joinKeys(host.host)}},
    files: {
      'kubeadm.yaml': formatYamlDocuments(documents(token)),
      [DISCOVERY_FILE]: formatYamlDocuments([discoveryKubeconfig(cluster, authority)]),
    },
    script: 'kubeadm join --config "$directory/kubeadm.yaml" 2>&1',
    failureCode: 'ERR_KUBEADM_JOIN_FAILED',
    signal,
    progress,
  });
  return 1;
}
