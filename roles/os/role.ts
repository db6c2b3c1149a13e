import type {Role, RoleInput} from '../../src/provisioner/role/role.ts';
import {KUBELET_KERNEL_DEFAULTS} from '../../src/provisioner/role/kernel-defaults.ts';
import type {Resource} from '../../src/provisioner/role/resource.ts';

/** systemd-sysctl reads by file name over all directories: the last one wins, also over 99-sysctl.conf. */
const SYSCTL_FILE = '/etc/sysctl.d/99-zz-slipway.conf';
const MODULES_FILE = '/etc/modules-load.d/slipway.conf';
const KEYRING = '/etc/apt/keyrings/slipway.asc';

/**
 * overlay: image layers; br_netfilter: pod traffic over a bridge passes the packet filter;
 * nf_conntrack: without it there is no net.netfilter to set, until kube-proxy's first rule loads it.
 */
const MODULES = ['br_netfilter', 'nf_conntrack', 'overlay'];

/** What kubeadm's preflight and kube-proxy need (kubeadm 1.36 `preflight/checks_linux.go`). */
const PACKAGES = ['conntrack', 'nftables'];

const SYSCTLS: Readonly<Record<string, string>> = {
  'net.bridge.bridge-nf-call-ip6tables': '1',
  'net.bridge.bridge-nf-call-iptables': '1',
  'net.ipv4.ip_forward': '1',
};

/** The operating system below a Kubernetes node: packages, modules, kernel settings, names. */
export const osRole: Role = {
  name: 'os',
  resources: input => [
    ...packageRepository(input),
    ...PACKAGES.map(name => ({kind: 'package' as const, name})),
    {
      kind: 'file',
      path: MODULES_FILE,
      content: input.render('os/modules.conf', {modules: MODULES}),
      mode: 0o644,
    },
    ...MODULES.map(name => ({kind: 'module' as const, name})),
    ...sysctls(input),
    ...swap(input),
    ...hostsBlocks(input),
  ],
};

function packageRepository({cluster, render}: RoleInput): readonly Resource[] {
  const repository = cluster.os.packageRepository;
  if (repository === undefined) return [];
  const {url, suite, components, publicKey} = repository;
  const values = {url, suite, components: components.join(' '), keyring: KEYRING};
  return [
    {kind: 'file', path: KEYRING, content: publicKey, mode: 0o644},
    {
      kind: 'file',
      path: '/etc/apt/sources.list.d/slipway.sources',
      content: render('os/slipway.sources', values),
      mode: 0o644,
    },
  ];
}

function sysctls({cluster, render}: RoleInput): readonly Resource[] {
  const isProtected = cluster.kubeletConfig['protectKernelDefaults'] === true;
  const ofKubelet = isProtected ? KUBELET_KERNEL_DEFAULTS : {};
  const wanted = Object.entries({...SYSCTLS, ...ofKubelet, ...cluster.os.sysctls})
    .map(([key, value]) => ({key, value}))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const content = render('os/sysctl.conf', {sysctls: wanted});
  return [
    {kind: 'file', path: SYSCTL_FILE, content, mode: 0o644},
    ...wanted.map(setting => ({kind: 'sysctl' as const, ...setting})),
  ];
}

/** Where the kubelet runs with swap, what swaps is the administrator's to say. */
function swap({cluster}: RoleInput): readonly Resource[] {
  return cluster.kubeletConfig['failSwapOn'] === false ? [] : [{kind: 'swap', state: 'off'}];
}

/** The host itself and the API endpoint only, so that adding a host touches no other. */
function hostsBlocks({cluster, host, facts}: RoleInput): readonly Resource[] {
  const controlPlane = cluster.hosts.find(other => other.isControlPlane);
  const endpoint = host.isControlPlane ? host.internalAddress : controlPlane?.internalAddress;
  const lines = [`${host.internalAddress} ${host.name}`];
  const isAddress = /^[0-9.]+$/.test(cluster.endpoint.host);
  if (endpoint !== undefined && !isAddress) lines.push(`${endpoint} ${cluster.endpoint.host}`);
  // With manage_etc_hosts cloud-init writes /etc/hosts anew at every boot, from one of these.
  return ['/etc/hosts', ...facts.hostsTemplates].map(path => ({
    kind: 'line-block',
    path,
    name: 'cluster',
    lines,
  }));
}
