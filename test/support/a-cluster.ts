import type {Cluster, Host} from '#provisioner/role/cluster';

/** A worker with everything said, but for what the test says otherwise. */
export function aHost(name: string, changes: Partial<Host> = {}): Host {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 1);
  return {
    name,
    address: `10.89.0.${10 + number}`,
    internalAddress: `10.89.0.${10 + number}`,
    port: 22,
    user: 'root',
    privateKeyPaths: [],
    hostKeys: [],
    groups: ['kube_node'],
    isControlPlane: false,
    isWorker: true,
    runtime: 'containerd',
    labels: {},
    taints: [],
    ...changes,
  };
}

/** Three hosts, the first a control plane; see {@link aHost}. */
export function aCluster(changes: Partial<Cluster> = {}): Cluster {
  const controlPlane = {isControlPlane: true, isWorker: false, groups: ['kube_control_plane']};
  return {
    name: 'lab',
    directory: '/nonexistent',
    kubernetesVersion: '1.36.3',
    hosts: [aHost('h1', controlPlane), aHost('h2'), aHost('h3')],
    endpoint: {host: 'api.lab', port: 6443},
    certSANs: ['127.0.0.1'],
    network: {
      podCIDR: '10.244.0.0/16',
      serviceCIDR: '10.96.0.0/12',
      dnsDomain: 'cluster.local',
      dnsAddress: '10.96.0.10',
      cni: {name: 'flannel'},
      proxy: {mode: 'nftables', conntrack: {maxPerCore: 0, min: 0}},
    },
    runtime: {restrictOomScoreAdj: false},
    kubeletConfig: {},
    os: {sysctls: {}, packageRepository: undefined},
    artifactsSource: 'packages',
    registryUrl: 'http://10.89.0.2:5000',
    certificates: {enabled: false, issuers: []},
    preflight: {ignore: [], memoryMinimumBytes: 1_700_000_000},
    ...changes,
  };
}
