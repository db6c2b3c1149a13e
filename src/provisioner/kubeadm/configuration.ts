import type {Secret} from '#shared/secret';
import type {Cluster, Host} from '../role/cluster.ts';
import {runtimes} from '../role/runtimes.ts';

const API_VERSION = 'kubeadm.k8s.io/v1beta4';
/** A token serves the joins of one run and is deleted at its end. */
export const TOKEN_TTL = '30m0s';

/** Where kubeadm waits for a kubelet, also for one that joins: by what init stored in the cluster. */
const HEALTHZ_DEFAULTS = {healthzBindAddress: '127.0.0.1', healthzPort: 10_248};

interface InitOptions {
  readonly token: Secret;
  /** kubeadm's checks that may fail on this host, beside those of cluster.yaml. */
  readonly ignore?: readonly string[];
}

/**
 * The documents for `kubeadm init` (kubeadm v1beta4). What the kubelet needs is in its own drop-in,
 * cluster DNS is our own add-on, so both can change later without kubeadm.
 */
export function initDocuments(
  cluster: Cluster,
  host: Host,
  {token, ignore = []}: InitOptions,
): readonly object[] {
  const registration = nodeRegistration(cluster, host);
  return [
    {
      apiVersion: API_VERSION,
      kind: 'InitConfiguration',
      bootstrapTokens: [
        {
          token: token.reveal(),
          ttl: TOKEN_TTL,
          usages: ['signing', 'authentication'],
          groups: ['system:bootstrappers:kubeadm:default-node-token'],
        },
      ],
      nodeRegistration: {
        ...registration,
        ignorePreflightErrors: [...registration.ignorePreflightErrors, ...ignore],
      },
      localAPIEndpoint: {advertiseAddress: host.internalAddress, bindPort: cluster.endpoint.port},
      skipPhases: ['addon/coredns', 'show-join-command'],
      timeouts: {kubernetesAPICall: '3m0s'},
    },
    clusterConfiguration(cluster),
    {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      cgroupDriver: 'systemd',
      ...pick(cluster.kubeletConfig, ['failCgroupV1', ...Object.keys(HEALTHZ_DEFAULTS)]),
    },
    {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: cluster.network.proxy.mode,
      clusterCIDR: cluster.network.podCIDR,
      conntrack: cluster.network.proxy.conntrack,
    },
  ];
}

function clusterConfiguration(cluster: Cluster): object {
  return {
    apiVersion: API_VERSION,
    kind: 'ClusterConfiguration',
    clusterName: cluster.name,
    kubernetesVersion: `v${cluster.kubernetesVersion}`,
    controlPlaneEndpoint: `${cluster.endpoint.host}:${cluster.endpoint.port}`,
    networking: {
      podSubnet: cluster.network.podCIDR,
      serviceSubnet: cluster.network.serviceCIDR,
      dnsDomain: cluster.network.dnsDomain,
    },
    apiServer: {certSANs: apiServerNames(cluster)},
    dns: {disabled: true},
    etcd: {local: {dataDir: '/var/lib/etcd'}},
  };
}

/** Every name under which the API server is reached: 127.0.0.1 through a tunnel, too. */
function apiServerNames(cluster: Cluster): readonly string[] {
  const controlPlanes = cluster.hosts.filter(host => host.isControlPlane);
  const names = controlPlanes.flatMap(host => [host.name, host.address, host.internalAddress]);
  const all = ['127.0.0.1', 'localhost', cluster.endpoint.host, ...names, ...cluster.certSANs];
  return [...new Set(all)].sort();
}

/** The document for `kubeadm join` of a worker; `discoveryPath` holds the CA and the endpoint. */
export function joinDocuments(
  cluster: Cluster,
  host: Host,
  {token, discoveryPath}: {readonly token: Secret; readonly discoveryPath: string},
): readonly object[] {
  return [
    {
      apiVersion: API_VERSION,
      kind: 'JoinConfiguration',
      nodeRegistration: nodeRegistration(cluster, host),
      discovery: {
        file: {kubeConfigPath: discoveryPath},
        tlsBootstrapToken: token.reveal(),
      },
    },
  ];
}

/**
 * How a joining host finds the API server and knows it is the right one (kubeadm "file
 * discovery"): no cluster-info signature to wait for.
 */
export function discoveryKubeconfig(cluster: Cluster, certificateAuthorityBase64: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: cluster.name,
        cluster: {
          server: `https://${cluster.endpoint.host}:${cluster.endpoint.port}`,
          'certificate-authority-data': certificateAuthorityBase64,
        },
      },
    ],
    contexts: [{name: cluster.name, context: {cluster: cluster.name, user: 'joining-host'}}],
    'current-context': cluster.name,
    // Without credentials: it only says whom to trust, the token comes separately.
    users: [{name: 'joining-host', user: {}}],
  };
}

function nodeRegistration(cluster: Cluster, host: Host) {
  const taint = {key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule'};
  return {
    name: host.name,
    criSocket: runtimes[host.runtime].socket,
    // Other taints and labels are set through the API, where a later run can compare them.
    taints: host.isControlPlane && !host.isWorker ? [taint] : [],
    imagePullPolicy: 'IfNotPresent',
    imagePullSerial: false,
    ignorePreflightErrors: cluster.preflight.ignore,
  };
}

/** The keys of the inventory that only a join, or init, of this host reads. */
export const joinKeys = ({name, runtime}: Host): Readonly<Record<string, string>> => ({
  [`runtime of ${name}`]: runtime,
});

/**
 * The keys of cluster.yaml that only init reads, with their values: a later change of one is
 * refused by name.
 */
export function initKeys(cluster: Cluster, host: Host): Readonly<Record<string, string>> {
  const {network, endpoint, kubeletConfig} = cluster;
  const healthz: Readonly<Record<string, unknown>> = {
    ...HEALTHZ_DEFAULTS,
    ...pick(kubeletConfig, Object.keys(HEALTHZ_DEFAULTS)),
  };
  return {
    'metadata.name': cluster.name,
    [`internalAddress of ${host.name}`]: host.internalAddress,
    [`groups of ${host.name}`]: host.isWorker
      ? 'kube_control_plane, kube_node'
      : 'kube_control_plane',
    ...joinKeys(host),
    'spec.controlPlane.endpoint': `${endpoint.host}:${endpoint.port}`,
    'spec.controlPlane.certSANs': [...cluster.certSANs].sort().join(','),
    'spec.network.podCIDR': network.podCIDR,
    'spec.network.serviceCIDR': network.serviceCIDR,
    'spec.network.dnsDomain': network.dnsDomain,
    'spec.network.proxy.mode': network.proxy.mode,
    'spec.network.proxy.conntrack': JSON.stringify(network.proxy.conntrack),
    'spec.kubelet.config.healthzBindAddress': String(healthz['healthzBindAddress']),
    'spec.kubelet.config.healthzPort': String(healthz['healthzPort']),
  };
}

/** What was said of these fields. */
function pick(
  fields: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)));
}
