import test from 'ava';
import {emptyHostState, type HostState} from '#provisioner/host-state/host-state';
import {checkHosts} from '#provisioner/preflight/check-hosts';
import type {Cluster, Host} from '#provisioner/role/cluster';
import type {Existing, Facts} from '#provisioner/role/facts';
import {aCluster, aHost} from '#test/a-cluster';
import {someFacts} from '#test/some-facts';

interface Given {
  readonly host?: Partial<Host>;
  readonly facts?: Partial<Facts>;
  readonly existing?: Partial<Existing>;
  readonly state?: Partial<HostState>;
  readonly cluster?: Partial<Cluster>;
  readonly ignore?: readonly string[];
  readonly operatorSeconds?: number;
  readonly forwardsNames?: boolean;
}

const CONTROL_PLANE = {isControlPlane: true, isWorker: false};

function inputOf(given: Given) {
  const {host, facts, existing, state, cluster, ignore = [], operatorSeconds} = given;
  const base = aCluster(cluster);
  const found = someFacts(facts);
  return {
    cluster: {...base, preflight: {...base.preflight, ignore}},
    artifactsArch: 'amd64' as const,
    forwardsNames: given.forwardsNames ?? true,
    host: aHost('h1', host),
    facts: {...found, existing: {...found.existing, ...existing}},
    state: {...emptyHostState('lab'), ...state},
    operatorSeconds: operatorSeconds ?? found.clockSeconds,
  };
}

const codes = (...given: readonly Given[]) => checkHosts(given.map(inputOf)).map(({code}) => code);

const passes = test.macro((t, given: Given) => {
  t.deepEqual(codes(given), []);
});

/** Found with this code, named as kubeadm names it, with a next step; and `ignore` takes the name. */
const finds = test.macro((t, code: string, check: string, given: Given) => {
  const [problem, ...others] = checkHosts([inputOf(given)]);
  t.is(problem?.code as string, code);
  t.true(problem?.message.startsWith(`h1: [${check}] `));
  t.not(problem?.hint ?? '', '');
  t.deepEqual(others, []);
  t.deepEqual(codes({...given, ignore: [check]}), []);
});

/** Found with this code, with a next step; and nothing can switch it off: whose host it is decides what may be lost. */
const findsAlways = test.macro((t, code: string, check: string, given: Given) => {
  const [problem, ...others] = checkHosts([inputOf(given)]);
  t.is(problem?.code as string, code);
  t.true(problem?.message.startsWith(`h1: [${check}] `));
  t.not(problem?.hint ?? '', '');
  t.deepEqual(others, []);
  t.deepEqual(codes({...given, ignore: [check]}), [code]);
});

test('a bare host passes', passes, {});
test('a disk that is almost full is told', finds, 'ERR_PREFLIGHT_DISK_SPACE', 'DiskSpace', {
  facts: {freeBytes: {'/': 1e10, '/var/lib': 1e9}},
});
test('a disk that is full is told', finds, 'ERR_PREFLIGHT_DISK_SPACE', 'DiskSpace', {
  facts: {freeBytes: {'/': 0, '/var/lib': 1e10}},
});
test('a root file system of its own may be small, and what is not known is no reason', passes, {
  facts: {freeBytes: {'/': 1e9}},
});
test('what an earlier run has put on the disk is no reason to refuse the next', passes, {
  facts: {freeBytes: {'/': 1e9, '/var/lib': 1e9}},
  state: {resources: {'file:/x': {digest: 'x'}}},
});
test('a bare control plane passes', passes, {host: CONTROL_PLANE});
test('another machine type is found', finds, 'ERR_PREFLIGHT_ARCHITECTURE', 'Architecture', {facts: {arch: undefined}}); // prettier-ignore
test('a host of another architecture than the programs is found', finds, 'ERR_PREFLIGHT_ARCHITECTURE', 'Architecture', {facts: {arch: 'arm64'}}); // prettier-ignore
test('a host without systemd is found', finds, 'ERR_PREFLIGHT_SYSTEMD', 'Systemd', {facts: {systemd: false}}); // prettier-ignore
test('a host without apt is found', finds, 'ERR_PREFLIGHT_PACKAGE_MANAGER', 'PackageManager', {facts: {packageManager: undefined}}); // prettier-ignore
test('a missing command is found', finds, 'ERR_PREFLIGHT_COMMAND_MISSING', 'FileExisting-tar', {facts: {missingCommands: ['tar']}}); // prettier-ignore
test('cgroup v1 is found', finds, 'ERR_PREFLIGHT_SYSTEM', 'SystemVerification', {facts: {cgroupVersion: 1}}); // prettier-ignore
test('an address that no interface has is found', finds, 'ERR_PREFLIGHT_ADDRESS', 'InternalAddress', {host: {internalAddress: '10.89.0.99'}}); // prettier-ignore
test('a control plane with one processor is found', finds, 'ERR_PREFLIGHT_CPU', 'NumCPU', {host: CONTROL_PLANE, facts: {cpuCount: 1}}); // prettier-ignore
test('a worker may have one processor', passes, {facts: {cpuCount: 1}});
test('too little memory is found', finds, 'ERR_PREFLIGHT_MEMORY', 'Mem', {facts: {memoryBytes: 1_699_999_999}}); // prettier-ignore
test('memory of exactly the minimum passes', passes, {facts: {memoryBytes: 1_700_000_000}});
test('a port that the kubelet needs is found', finds, 'ERR_PREFLIGHT_PORT_IN_USE', 'Port-10250', {facts: {listeningPorts: [22, 10250]}}); // prettier-ignore
for (const port of [2379, 2380, 6443, 10250, 10257, 10259]) {
  test(`port ${port} in use is found on a control plane`, finds, 'ERR_PREFLIGHT_PORT_IN_USE', `Port-${port}`, {host: CONTROL_PLANE, facts: {listeningPorts: [port]}}); // prettier-ignore
}
test('the port of the endpoint is the one in cluster.yaml', finds, 'ERR_PREFLIGHT_PORT_IN_USE', 'Port-8443', {
  host: CONTROL_PLANE,
  cluster: {endpoint: {host: 'api.lab', port: 8443}},
  facts: {listeningPorts: [6443, 8443]},
}); // prettier-ignore
test('ports of a control plane may be in use on a worker', passes, {facts: {listeningPorts: [2379, 6443]}}); // prettier-ignore
test('a cluster that is not ours is found by its kubelet', findsAlways, 'ERR_PREFLIGHT_FOREIGN_CLUSTER', 'ForeignCluster', {existing: {kubeletConf: true}}); // prettier-ignore
test('a cluster that is not ours is found by its manifests', findsAlways, 'ERR_PREFLIGHT_FOREIGN_CLUSTER', 'ForeignCluster', {existing: {manifests: ['etcd.yaml']}}); // prettier-ignore
test("etcd's data that is not ours is found", findsAlways, 'ERR_PREFLIGHT_FOREIGN_CLUSTER', 'ForeignCluster', {existing: {etcdData: true}}); // prettier-ignore
test('a runtime that is not ours is found', findsAlways, 'ERR_PREFLIGHT_FOREIGN_RUNTIME', 'ForeignRuntime', {existing: {runtimeSockets: ['/run/crio/crio.sock']}}); // prettier-ignore
test('a host of another cluster of ours is found', findsAlways, 'ERR_PREFLIGHT_OTHER_CLUSTER', 'OtherCluster', {state: {cluster: 'other'}, existing: {kubeletConf: true}}); // prettier-ignore
test('a clock that is ahead is found', finds, 'ERR_PREFLIGHT_CLOCK', 'Clock', {facts: {clockSeconds: 1_031}, operatorSeconds: 1_000}); // prettier-ignore
test('a clock that is behind is found', finds, 'ERR_PREFLIGHT_CLOCK', 'Clock', {facts: {clockSeconds: 969}, operatorSeconds: 1_000}); // prettier-ignore
test('a clock within half a minute passes', passes, {facts: {clockSeconds: 1_030}, operatorSeconds: 1_000}); // prettier-ignore

test('a network of somebody else is found', finds, 'ERR_PREFLIGHT_NETWORK_CONFIGURATION', 'NetworkConfiguration', {existing: {networkFiles: ['10-calico.conflist', '10-flannel.conflist']}}); // prettier-ignore
test('one that sorts behind ours is found: until flannel runs it is the only one', finds, 'ERR_PREFLIGHT_NETWORK_CONFIGURATION', 'NetworkConfiguration', {existing: {networkFiles: ['87-podman-bridge.conflist']}}); // prettier-ignore
test('flannel puts its own configuration in place of an old one', passes, {existing: {networkFiles: ['10-flannel.conflist']}}); // prettier-ignore
test('what a member has in /etc/cni/net.d is its own affair', passes, {
  existing: {networkFiles: ['05-multus.conf', '10-flannel.conflist']},
  state: {actions: {'kubeadm-join': {status: 'done', digest: 'x'}}},
});

const eth = (address: string, name = 'eth0') => ({address, interface: name});
const inside = (address: string, name?: string) => ({
  facts: {addresses: [eth('10.89.0.11'), eth(address, name)]},
});
test("a second interface among Services' addresses is found", finds, 'ERR_PREFLIGHT_NETWORK_OVERLAP', 'NetworkOverlap', inside('10.111.255.255', 'eth1')); // prettier-ignore
test("what an old cluster left in the pods' network is found", finds, 'ERR_PREFLIGHT_NETWORK_OVERLAP', 'NetworkOverlap', inside('10.244.3.1', 'cni0')); // prettier-ignore
test("a name server among Services' addresses is found", finds, 'ERR_PREFLIGHT_NETWORK_OVERLAP', 'NetworkOverlap', {facts: {nameServers: ['fe80::1', '10.96.0.2']}}); // prettier-ignore
test('addresses beside both networks pass', passes, {
  facts: {
    addresses: [eth('10.89.0.11'), eth('10.95.255.255', 'eth1'), eth('10.112.0.0', 'eth2')],
    nameServers: ['10.243.255.255', '10.245.0.0'],
  },
});
test('a member has addresses of the pod network', passes, {
  facts: {
    addresses: [eth('10.89.0.11'), eth('10.244.0.0', 'flannel.1'), eth('10.244.0.1', 'cni0')],
    nameServers: ['10.96.0.10'],
  },
  state: {actions: {'kubeadm-join': {status: 'done', digest: 'x'}}},
});
test('every address inside is named', t => {
  const given = {facts: {addresses: [eth('10.89.0.11'), eth('10.96.1.1', 'eth1')], nameServers: ['10.96.0.2']}}; // prettier-ignore
  const [problem] = checkHosts([inputOf(given)]);
  t.regex(problem?.message ?? '', /serviceCIDR 10\.96\.0\.0\/12 holds 10\.96\.1\.1 \(eth1\), 10\.96\.0\.2 \(a name server\)$/); // prettier-ignore
});

test('an active firewall is found', finds, 'ERR_PREFLIGHT_FIREWALL', 'Firewall', {facts: {firewalls: ['ufw']}}); // prettier-ignore
test('a firewall of a member lets through what it needs', passes, {
  facts: {firewalls: ['firewalld']},
  state: {actions: {'kubeadm-join': {status: 'done', digest: 'x'}}},
});
test('what a firewall has to let through is named, by the host', t => {
  const hintOf = (host: Partial<Host>) => {
    const cluster = {endpoint: {host: 'api.lab', port: 8443}};
    return checkHosts([inputOf({host, cluster, facts: {firewalls: ['ufw']}})])[0]?.hint ?? '';
  };
  for (const hint of [hintOf({}), hintOf(CONTROL_PLANE)]) {
    t.regex(hint, /10250\/tcp.*8472\/udp.*30000-32767.*10\.244\.0\.0\/16/);
  }
  t.regex(hintOf(CONTROL_PLANE), /8443\/tcp/);
  t.notRegex(hintOf({}), /8443/);
});

for (const [title, nameServers] of [
  ['alone', ['127.0.0.1']],
  ['beside another', ['10.89.0.2', '127.0.0.53']],
  ['of IPv6', ['::1', '10.89.0.2']],
] as const) {
  test(`a loopback name server ${title} is found, since cluster DNS may run there`, finds, 'ERR_PREFLIGHT_NAME_SERVERS', 'NameServers', {facts: {nameServers}}); // prettier-ignore
}
test('a loopback name server is nothing to a cluster that forwards nothing', passes, {
  forwardsNames: false,
  facts: {nameServers: ['127.0.0.1']},
});
test('a host without a name server passes', passes, {facts: {nameServers: []}});
test('what pods get from a file of the site is its own affair', passes, {
  facts: {nameServers: ['127.0.0.1']},
  cluster: {kubeletConfig: {resolvConf: '/etc/resolv.pods'}},
});

const dropIn = (unit: string) => ({
  unit,
  path: `/usr/lib/systemd/system/${unit}.d/10-kubeadm.conf`,
});
for (const runtime of ['slipway', 'containerd'] as const) {
  const own = runtime === 'slipway' ? 'slipway-cri.service' : 'containerd.service';
  const others = runtime === 'slipway' ? 'containerd.service' : 'slipway-cri.service';
  for (const unit of ['kubelet.service', own]) {
    test(`with ${runtime}, a drop-in that starts another ${unit} is found`, finds, 'ERR_PREFLIGHT_UNIT_DROP_IN', 'UnitDropIn', {host: {runtime}, existing: {startDropIns: [dropIn(unit)]}}); // prettier-ignore
  }
  test(`with ${runtime}, what starts ${others} does not matter`, passes, {host: {runtime}, existing: {startDropIns: [dropIn(others)]}}); // prettier-ignore
}
test('a drop-in that came after the join is found', finds, 'ERR_PREFLIGHT_UNIT_DROP_IN', 'UnitDropIn', {
  existing: {startDropIns: [dropIn('kubelet.service')]},
  state: {actions: {'kubeadm-join': {status: 'done', digest: 'x'}}},
}); // prettier-ignore

const traces = {
  facts: {listeningPorts: [2379, 6443, 10250]},
  existing: {
    kubeletConf: true,
    manifests: ['etcd.yaml'],
    etcdData: true,
    runtimeSockets: ['/run/containerd/containerd.sock'],
  },
};
for (const status of ['pending', 'done'] as const) {
  for (const action of ['kubeadm-init', 'kubeadm-join']) {
    test(`a ${action} of ours that is ${status} is not a stranger's`, passes, {
      ...traces,
      host: CONTROL_PLANE,
      state: {actions: {[action]: {status, digest: 'x'}}, pending: ['unit:containerd.service']},
    });
  }
}
test('a runtime that we were about to install is ours', passes, {
  existing: {runtimeSockets: ['/run/containerd/containerd.sock']},
  state: {pending: ['unit:containerd.service']},
});

test('every problem of every host is told at once', t => {
  const h2 = {name: 'h2', internalAddress: '10.89.0.12'};
  const bad = {systemd: false, cpuCount: 1, memoryBytes: 1, listeningPorts: [6443, 10250]};
  const problems = checkHosts([
    inputOf({host: CONTROL_PLANE, facts: {...bad, machineId: 'a'}}),
    inputOf({host: h2, facts: {arch: undefined, addresses: [eth('10.89.0.12')], machineId: 'b'}}),
  ]);
  t.deepEqual(
    problems.map(({message}) => /^h\d: \[[\w-]+\]/.exec(message)?.[0]),
    [
      'h1: [Systemd]',
      'h1: [NumCPU]',
      'h1: [Mem]',
      'h1: [Port-6443]',
      'h1: [Port-10250]',
      'h2: [Architecture]',
    ],
  );
});

test('the same machine twice is found, with both names', t => {
  const given = (name: string, machineId: string): Given => ({
    host: {name, internalAddress: '10.89.0.11'},
    facts: {machineId},
  });
  const twice = [given('h1', 'a'), given('h2', 'b'), given('h3', 'a')];
  const problems = checkHosts(twice.map(inputOf));
  t.deepEqual(
    problems.map(({code}) => code),
    ['ERR_PREFLIGHT_DUPLICATE_MACHINE'],
  );
  t.regex(problems[0]?.message ?? '', /^h3: \[MachineID\] has the machine-id of h1/);
  t.deepEqual(codes(...twice.map(each => ({...each, ignore: ['MachineID']}))), []);
});

test('a name that is not ignored stays a problem', t => {
  const given = {facts: {cgroupVersion: 1, memoryBytes: 1}} as const;
  t.deepEqual(codes({...given, ignore: ['SystemVerification']}), ['ERR_PREFLIGHT_MEMORY']);
});
