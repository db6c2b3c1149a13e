import {digestOf} from '#shared/digest';
import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {nodeKind} from '#shared/kube/object';
import {formatYamlDocuments} from '#shared/yaml';
import {Secret} from '#shared/secret';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {JOIN_ACTION} from '../plan/action-plan.ts';
import {discoveryKubeconfig, joinDocuments, joinKeys} from '../kubeadm/configuration.ts';
import type {Host} from '../role/cluster.ts';
import {readClusterAuthority} from './admin-kubeconfig.ts';
import {allowToken} from './bootstrap-token.ts';
import {runKubeadm} from './run-kubeadm.ts';
import type {ClusterSession, HostSession} from './session.ts';

const DISCOVERY_FILE = 'discovery.conf';

/**
 * kubeadm join of a worker; the API server's CA comes over SSH from the control plane, so nothing
 * is trusted on first use.
 *
 * @throws CodedError ERR_JOIN_NAME_TAKEN, ERR_KUBEADM_JOIN_FAILED and those of the connection and
 *   the API
 */
export async function kubeadmJoin(
  session: ClusterSession,
  host: HostSession,
  {signal, progress}: TaskContext,
): Promise<number> {
  const {cluster, token, now} = session;
  const authority = await readClusterAuthority(session.first.connection, {signal});
  const api = await session.api({signal});
  await removeOwnNode(api, host.host, signal);
  // Programs may have been on their way for longer than it lives.
  await allowToken(api, token, {signal, now: now()});
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

/**
 * kubeadm refuses to join while a Ready Node has the name. One that an earlier join of this host
 * left, or of a machine that is gone, goes; one that another machine runs is not ours to take.
 */
async function removeOwnNode(
  api: KubernetesApi,
  {name, internalAddress}: Host,
  signal: AbortSignal,
): Promise<void> {
  const node = await api.get({...nodeKind, name}, {signal});
  if (node === undefined) return;
  const address = node.status?.addresses?.find(({type}) => type === 'InternalIP')?.address;
  const isReady = node.status?.conditions?.find(({type}) => type === 'Ready')?.status === 'True';
  if (isReady && address !== undefined && address !== internalAddress) {
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_JOIN_NAME_TAKEN',
      `${name}: the cluster has a Ready node of this name already, with the address ${address}`,
      {
        hint: `give the new host another name, or retire the old one: "provision kubectl drain ${name}", stop its kubelet, "provision kubectl delete node ${name}"`,
      },
    );
  }
  await api.delete({...nodeKind, name}, {signal});
}
