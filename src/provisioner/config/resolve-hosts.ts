import {dirname, join, resolve} from 'node:path';
import type {Host, RuntimeName} from '../role/cluster.ts';
import type {Inventory, InventoryHost} from './inventory.ts';
import {parseIpv4, specialUseOf} from './ipv4.ts';
import {problemAt, type Problem, type Source} from './problem.ts';

/** The most hosts that one run is made for (DESIGN: 1,000 planned in a minute), twice. */
const HOSTS_MAX = 2_000;

export interface ResolvedHosts {
  /** Sorted by name. */
  readonly hosts: readonly Host[];
  readonly problems: readonly Problem[];
  /** Private keys that must be there, each with the first place that names it. */
  readonly privateKeys: readonly {readonly path: string; readonly source: Source}[];
}

export interface HostDefaults {
  readonly homeDirectory: string;
  /** Used by hosts for which no file names a key. */
  readonly privateKeyPaths: readonly string[];
  readonly runtime: RuntimeName;
}

/** Gives every host its defaults and finds what does not fit together. */
export function resolveHosts(inventory: Inventory, defaults: HostDefaults): ResolvedHosts {
  const {hosts: entries, source: list, isComplete} = inventory;
  const hosts = entries.map(entry => toHost(entry, defaults));
  const privateKeys = new Map<string, Source>();
  for (const {settings, sources} of entries) {
    const source = sources.privateKeyFile;
    if (source === undefined) continue;
    for (const path of listOf(settings.privateKeyFile)) {
      const absolute = resolvePath(path, source.file, defaults.homeDirectory);
      if (!privateKeys.has(absolute)) privateKeys.set(absolute, source);
    }
  }
  return {
    hosts,
    problems: [
      ...tooManyHosts(entries),
      ...(isComplete ? withoutRole(entries) : []),
      ...withoutInternalAddress(entries, hosts),
      ...(isComplete ? controlPlaneProblems(entries, list) : []),
      ...externalEtcd(entries),
      ...duplicateAddresses(entries, hosts),
    ],
    privateKeys: [...privateKeys].map(([path, source]) => ({path, source})),
  };
}

/** Absolute: `~` is the home directory; a relative path starts at the file that names it. */
export function resolvePath(path: string, file: string, homeDirectory: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homeDirectory, path.slice(1));
  return resolve(dirname(file), path);
}

function toHost({name, groups, settings, sources}: InventoryHost, defaults: HostDefaults): Host {
  const address = settings.address ?? name;
  const keyFile = sources.privateKeyFile?.file;
  return {
    name,
    address,
    internalAddress: settings.internalAddress ?? address,
    port: settings.port ?? 22,
    user: settings.user ?? 'root',
    privateKeyPaths:
      keyFile === undefined
        ? defaults.privateKeyPaths
        : listOf(settings.privateKeyFile).map(path =>
            resolvePath(path, keyFile, defaults.homeDirectory),
          ),
    hostKeys: listOf(settings.hostKey),
    groups,
    isControlPlane: groups.includes('kube_control_plane'),
    isWorker: groups.includes('kube_node'),
    runtime: settings.runtime ?? defaults.runtime,
    labels: settings.labels ?? {},
    taints: settings.taints ?? [],
  };
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

function tooManyHosts(entries: readonly InventoryHost[]): readonly Problem[] {
  const next = entries[HOSTS_MAX];
  if (next === undefined) return [];
  const message = `the inventory has ${entries.length} hosts, expected at most ${HOSTS_MAX}`;
  const hint = 'make several clusters of them';
  return [problemAt(next.source, {code: 'ERR_CONFIG_HOSTS_TOO_MANY', message, hint})];
}

function withoutRole(entries: readonly InventoryHost[]): readonly Problem[] {
  return entries
    .filter(({groups}) => !groups.includes('kube_control_plane') && !groups.includes('kube_node'))
    .map(({name, groups, source}) =>
      problemAt(source, {
        code: 'ERR_CONFIG_HOST_WITHOUT_ROLE',
        message: `${name} is in neither kube_control_plane nor kube_node`,
        hint:
          groups.length === 0
            ? 'add it to one of them, or remove it'
            : `add it to one of them (it is in ${groups.join(', ')}), or remove it`,
      }),
    );
}

function withoutInternalAddress(
  entries: readonly InventoryHost[],
  hosts: readonly Host[],
): readonly Problem[] {
  return entries.flatMap(({source, isDamaged}, index) => {
    const host = hosts[index];
    if (host === undefined || isDamaged || isReachable(host.internalAddress)) return [];
    return problemAt(source, {
      code: 'ERR_CONFIG_KEY_MISSING',
      message: `${host.name} is reached as ${host.address}, and no internalAddress says how other hosts reach it`,
      hint: 'set internalAddress to its own IPv4 address',
    });
  });
}

function isReachable(internalAddress: string): boolean {
  const address = parseIpv4(internalAddress);
  return address !== undefined && specialUseOf(address) === undefined;
}

/** The one place that limits how many control planes there are; everything else takes a list. */
function controlPlaneProblems(entries: readonly InventoryHost[], list: Source): readonly Problem[] {
  const [first, ...others] = entries.filter(({groups}) => groups.includes('kube_control_plane'));
  if (first === undefined) {
    const [code, count] = ['ERR_CONFIG_NO_CONTROL_PLANE', entries.length] as const;
    const message =
      count === 0 ? 'there are no hosts' : `none of the ${count} hosts is a control plane`;
    const hint = 'put one into the group kube_control_plane (in spec.hosts: role control-plane)';
    return [problemAt(list, {code, message, hint})];
  }
  return others.slice(0, 1).map(({source}) =>
    problemAt(source, {
      code: 'ERR_CONTROL_PLANES_UNSUPPORTED',
      message: `there are ${others.length + 1} control planes: ${[first, ...others].map(({name}) => name).join(', ')}`,
      hint: 'keep one; several are not supported yet',
    }),
  );
}

function externalEtcd(entries: readonly InventoryHost[]): readonly Problem[] {
  return entries
    .filter(({groups}) => groups.includes('etcd') && !groups.includes('kube_control_plane'))
    .map(({name, source}) =>
      problemAt(source, {
        code: 'ERR_CONFIG_ETCD_UNSUPPORTED',
        message: `${name} is in the group etcd and is no control plane`,
        hint: 'etcd runs on the control planes for now; remove the host from etcd',
      }),
    );
}

/** Several hosts may share an address by different SSH ports, but never an internal address. */
function duplicateAddresses(
  entries: readonly InventoryHost[],
  hosts: readonly Host[],
): readonly Problem[] {
  const owners = new Map<string, string>();
  return entries.flatMap(({source, sources, isDamaged}, index) => {
    const host = hosts[index];
    if (host === undefined || isDamaged) return [];
    const {name, address, port, internalAddress} = host;
    const claims = [
      {claim: `internalAddress ${internalAddress}`, at: sources.internalAddress ?? sources.address},
      {claim: `address ${address}, port ${port}`, at: sources.address},
    ];
    for (const {claim, at} of claims) {
      const owner = owners.get(claim);
      owners.set(claim, owner ?? name);
      if (owner === undefined) continue;
      const message = `${name} has the same ${claim} as ${owner}`;
      const hint = 'give each host its own';
      return [problemAt(at ?? source, {code: 'ERR_CONFIG_DUPLICATE_ADDRESS', message, hint})];
    }
    return [];
  });
}
