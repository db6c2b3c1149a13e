import {formatYamlDocuments} from '#shared/yaml';
import {digestOf} from '#shared/digest';
import {Secret} from '#shared/secret';
import type {TaskContext} from '../engine/graph.ts';
import {INIT_ACTION} from '../plan/action-plan.ts';
import {initDocuments, initKeys} from '../kubeadm/configuration.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import {runKubeadm} from './run-kubeadm.ts';
import type {ClusterSession, HostSession} from './session.ts';

/** Digest of what init reads; without the token, which is another in every run, and what this host is excused. */
export const initDigest = (cluster: Cluster, host: Host): string =>
  digestOf(initDocuments(cluster, host, {token: new Secret('')}));

/**
 * kubeadm init on the elected host. What a run left that died in it is reset first: no host can
 * have joined, since joins wait for the confirmation.
 *
 * @throws CodedError ERR_KUBEADM_INIT_FAILED and those of the connection
 */
export async function kubeadmInit(
  {cluster, token, plans}: ClusterSession,
  host: HostSession,
  {signal, progress}: TaskContext,
): Promise<number> {
  const digest = initDigest(cluster, host.host);
  // Our preflight has looked for etcd's data already, and kubeadm takes lost+found for it.
  const ignore = host.facts.existing.etcdLostFound ? ['DirAvailable--var-lib-etcd'] : [];
  const documents = initDocuments(cluster, host.host, {token, ignore});
  await runKubeadm(host, plans.get(host.host.name), {
    action: INIT_ACTION,
    record: {digest, keys: {...initKeys(cluster, host.host)}},
    files: {'kubeadm.yaml': formatYamlDocuments(documents)},
    // super-admin.conf bypasses authorization and is not needed again.
    script:
      'kubeadm init --skip-token-print --config "$directory/kubeadm.yaml" 2>&1 && rm -f /etc/kubernetes/super-admin.conf',
    failureCode: 'ERR_KUBEADM_INIT_FAILED',
    signal,
    progress,
  });
  return 1;
}
