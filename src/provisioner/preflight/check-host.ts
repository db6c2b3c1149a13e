import type {ProvisionerErrorCode} from '../errors.ts';
import {type HostState, isOurs} from '../host-state/host-state.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import {runtimes} from '../role/runtimes.ts';
import {checkLeftovers} from './check-leftovers.ts';
import {checkNetwork} from './check-network.ts';
import {type Finding, finding, isMember, type PreflightInput, type Problem} from './finding.ts';

/** kubeadm's minimum for a control plane (kubeadm 1.36 `constants.ControlPlaneNumCPU`). */
const CONTROL_PLANE_CPU_MINIMUM = 2;

/** Programs take 0.4 GiB; images as much again, below /var/lib, where etcd and pods want to write. */
const FREE_BYTES_MINIMUM: Readonly<Record<string, number>> = {
  '/': 512 * 1_048_576,
  '/var/lib': 2 * 1_073_741_824,
};

/** Who listens where; a port of a host that is already ours is ours, too. */
const CONTROL_PLANE_PORTS: Readonly<Record<number, string>> = {
  2379: 'etcd',
  2380: 'etcd',
  10257: 'kube-controller-manager',
  10259: 'kube-scheduler',
};
const NODE_PORTS: Readonly<Record<number, string>> = {10250: 'kubelet'};

/**
 * Everything on one host that would stop kubeadm or us, all at once. Names in brackets are
 * kubeadm's: `spec.preflight.ignore` takes them, and kubeadm gets the same list. Whose host it is
 * cannot be ignored.
 */
export function checkHost(input: PreflightInput): readonly Problem[] {
  const {cluster, host, state} = input;
  const ignored = new Set(cluster.preflight.ignore);
  const findings = [
    ...checkSystem(input),
    ...checkSize(input),
    ...checkPorts(input),
    ...checkLeftovers(input),
    ...checkNetwork(input),
  ];
  const problems = findings.filter(({check}) => !ignored.has(check)).map(({problem}) => problem);
  const other = checkOwner(cluster, {host, state});
  return [...problems, ...(other.length > 0 ? other : checkForeign(input))];
}

/** The host belongs to another cluster of ours: nothing of it may be changed or removed. */
export function checkOwner(
  cluster: Pick<Cluster, 'name'>,
  {host, state}: {readonly host: Host; readonly state: HostState},
): readonly Problem[] {
  if (state.cluster === cluster.name) return [];
  const message = `the host belongs to the cluster "${state.cluster}"`;
  const hint = `reset it with that cluster's file first (provision reset), or take ${host.name} out of the inventory`;
  const code = 'ERR_PREFLIGHT_OTHER_CLUSTER';
  return [finding('OtherCluster', host, {code, message, hint}).problem];
}

function checkSystem({host, facts, artifactsArch}: PreflightInput): readonly Finding[] {
  const found: Finding[] = [];
  const add = (check: string, code: ProvisionerErrorCode, message: string, hint: string) => {
    found.push(finding(check, host, {code, message, hint}));
  };
  if (facts.arch === undefined) {
    const hint = 'use a host with an x86-64 or 64-bit ARM processor';
    add('Architecture', 'ERR_PREFLIGHT_ARCHITECTURE', 'neither amd64 nor arm64', hint);
  }
  if (facts.arch !== undefined && facts.arch !== artifactsArch) {
    const message = `${facts.arch}, and programs are made for ${artifactsArch}`;
    const hint = `run provision on an ${facts.arch} machine, or use ${artifactsArch} hosts`;
    add('Architecture', 'ERR_PREFLIGHT_ARCHITECTURE', message, hint);
  }
  if (!facts.systemd) {
    const hint = 'use a distribution that runs systemd as process 1';
    add('Systemd', 'ERR_PREFLIGHT_SYSTEMD', 'systemd does not run on this host', hint);
  }
  if (facts.packageManager === undefined) {
    const hint = 'use Debian, Ubuntu or another distribution with apt';
    add('PackageManager', 'ERR_PREFLIGHT_PACKAGE_MANAGER', `${facts.prettyName} has no apt`, hint);
  }
  for (const command of facts.missingCommands) {
    const hint = `install the package that brings ${command} on ${host.name}`;
    const message = `${command} is not on the PATH`;
    add(`FileExisting-${command}`, 'ERR_PREFLIGHT_COMMAND_MISSING', message, hint);
  }
  if (facts.cgroupVersion === 1) {
    const hint =
      'boot with systemd.unified_cgroup_hierarchy=1; to stay on cgroup v1, set ' +
      'spec.kubelet.config.failCgroupV1: false and add SystemVerification to spec.preflight.ignore';
    add('SystemVerification', 'ERR_PREFLIGHT_SYSTEM', 'the host runs cgroup v1', hint);
  }
  const addresses = facts.addresses.map(({address}) => address);
  if (!addresses.includes(host.internalAddress)) {
    const message = `no interface has ${host.internalAddress} (found: ${addresses.join(', ')})`;
    const hint = `set internalAddress of ${host.name} in the inventory to one of these`;
    add('InternalAddress', 'ERR_PREFLIGHT_ADDRESS', message, hint);
  }
  return found;
}

function checkSize({cluster, host, facts, state}: PreflightInput): readonly Finding[] {
  const found: Finding[] = [];
  if (host.isControlPlane && facts.cpuCount < CONTROL_PLANE_CPU_MINIMUM) {
    const message = `${facts.cpuCount} processor, a control plane needs ${CONTROL_PLANE_CPU_MINIMUM}`;
    const hint = `give ${host.name} more processors, or add NumCPU to spec.preflight.ignore`;
    found.push(finding('NumCPU', host, {code: 'ERR_PREFLIGHT_CPU', message, hint}));
  }
  const minimum = cluster.preflight.memoryMinimumBytes;
  if (facts.memoryBytes < minimum) {
    const message = `${mebibytes(facts.memoryBytes)} of memory, ${mebibytes(minimum)} are asked for`;
    const hint = `give ${host.name} more memory, or lower spec.preflight.memoryMinimum`;
    found.push(finding('Mem', host, {code: 'ERR_PREFLIGHT_MEMORY', message, hint}));
  }
  const scarce = Object.entries(FREE_BYTES_MINIMUM).flatMap(([path, needed]) => {
    const bytes = facts.freeBytes[path] ?? Infinity;
    return bytes < needed ? [`${mebibytes(bytes)} of ${mebibytes(needed)} on ${path}`] : [];
  });
  // What an earlier run has put there takes its place already.
  if (scarce.length > 0 && Object.keys(state.resources).length === 0) {
    const message = `too little is free: ${scarce.join(', ')}`;
    const hint = `free some on ${host.name}, or add DiskSpace to spec.preflight.ignore`;
    found.push(finding('DiskSpace', host, {code: 'ERR_PREFLIGHT_DISK_SPACE', message, hint}));
  }
  return found;
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1_048_576)} MiB`;

function checkForeign({host, facts, state}: PreflightInput): readonly Problem[] {
  const found: Finding[] = [];
  const {existing} = facts;
  const traces = [
    ...(existing.kubeletConf ? ['/etc/kubernetes/kubelet.conf'] : []),
    ...(existing.adminConf ? ['/etc/kubernetes/admin.conf'] : []),
    ...(existing.pki ? ['/etc/kubernetes/pki'] : []),
    ...existing.manifests.map(name => `/etc/kubernetes/manifests/${name}`),
    ...(existing.etcdData ? ['/var/lib/etcd'] : []),
  ];
  if (traces.length > 0 && !isMember(state)) {
    const message = `a cluster that we did not make is on the host: ${traces.join(', ')}`;
    const hint = `remove it ("kubeadm reset" on ${host.name}) or use another host`;
    const code = 'ERR_PREFLIGHT_FOREIGN_CLUSTER';
    found.push(finding('ForeignCluster', host, {code, message, hint}));
  }
  const hasOurs = Object.values(runtimes).some(({unit}) => isOurs(state, `unit:${unit}`));
  if (existing.runtimeSockets.length > 0 && !hasOurs) {
    const message = `a container runtime that we did not install listens on ${existing.runtimeSockets.join(', ')}`;
    const hint = `remove that runtime from ${host.name} first: two would fight for the same pods`;
    const code = 'ERR_PREFLIGHT_FOREIGN_RUNTIME';
    found.push(finding('ForeignRuntime', host, {code, message, hint}));
  }
  return found.map(({problem}) => problem);
}

function checkPorts({cluster, host, facts, state}: PreflightInput): readonly Finding[] {
  if (isMember(state)) return [];
  const wanted = host.isControlPlane
    ? {...NODE_PORTS, ...CONTROL_PLANE_PORTS, [cluster.endpoint.port]: 'kube-apiserver'}
    : NODE_PORTS;
  return Object.entries(wanted)
    .filter(([port]) => facts.listeningPorts.includes(Number(port)))
    .map(([port, program]) =>
      finding(`Port-${port}`, host, {
        code: 'ERR_PREFLIGHT_PORT_IN_USE',
        message: `port ${port}, which ${program} needs, is in use`,
        hint: `find the program with "ss -ltnp sport = :${port}" on ${host.name} and stop it`,
      }),
    );
}
