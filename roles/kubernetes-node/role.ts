import {formatYaml} from '#shared/yaml';
import type {Cluster, Host} from '../../src/provisioner/role/cluster.ts';
import {programResources} from '../../src/provisioner/role/program-resources.ts';
import type {Role, RoleInput} from '../../src/provisioner/role/role.ts';
import {runtimes} from '../../src/provisioner/role/runtimes.ts';
import {type Resource, resourceId} from '../../src/provisioner/role/resource.ts';

const KUBELET = '/usr/local/bin/kubelet';
const UNIT_FILE = '/etc/systemd/system/kubelet.service';
/** kubelet merges every `*.conf` of it over the configuration that kubeadm wrote. */
const DROP_IN_DIRECTORY = '/etc/kubernetes/kubelet.conf.d';

/** The Kubernetes programs of a node: kubectl only where an administrator works. */
export const kubernetesArtifactsRole: Role = {
  name: 'kubernetes-artifacts',
  artifacts: ['kubelet', 'kubeadm', 'kubectl'],
  resources({host, artifact}) {
    const names = ['kubelet', 'kubeadm', ...(host.isControlPlane ? ['kubectl'] : [])];
    const programs = Object.fromEntries(names.map(name => [name, `/usr/local/bin/${name}`]));
    return programResources(programs, {artifact});
  },
};

/** The kubelet's unit and configuration; kubeadm starts it, a change restarts it. */
export const kubernetesNodeRole: Role = {
  name: 'kubernetes-node',
  resources(input) {
    const files = [unitFile(input), dropIn(input)];
    return [
      {kind: 'directory', path: '/etc/kubernetes/manifests', mode: 0o755},
      ...files,
      {
        kind: 'unit',
        name: 'kubelet.service',
        enabled: true,
        // kubeadm starts it first, also where a run died in it; one that was stopped is started.
        running: input.isMember ? 'yes' : 'unmanaged',
        restartOn: [...files.map(resourceId), `artifact:${KUBELET}`],
      },
    ];
  },
};

function unitFile({host, render}: RoleInput): Resource {
  const content = render('kubernetes-node/kubelet.service', {
    runtimeUnit: runtimes[host.runtime].unit,
    dropInDirectory: DROP_IN_DIRECTORY,
    nodeIP: host.internalAddress,
    nodeName: host.name,
  });
  return {kind: 'file', path: UNIT_FILE, content, mode: 0o644};
}

function dropIn({cluster, host}: RoleInput): Resource {
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    ...cluster.kubeletConfig,
    cgroupDriver: 'systemd',
    clusterDNS: [cluster.network.dnsAddress],
    clusterDomain: cluster.network.dnsDomain,
    ...featureGates(cluster, host),
    containerRuntimeEndpoint: runtimes[host.runtime].socket,
  };
  const path = `${DROP_IN_DIRECTORY}/10-slipway.conf`;
  return {kind: 'file', path, content: formatYaml(configuration), mode: 0o600};
}

/** Our own daemon measures pods itself (docs/decisions/0005); what cluster.yaml says wins. */
function featureGates({kubeletConfig}: Cluster, {runtime}: Host): object {
  if (runtime !== 'slipway') return {};
  const own = {PodAndContainerStatsFromCRI: true};
  return {featureGates: {...own, ...(kubeletConfig['featureGates'] as object | undefined)}};
}
