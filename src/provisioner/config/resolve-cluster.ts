import type {CertificateSettings, Cluster, Host, PackageRepository} from '../role/cluster.ts';
import {readPart, type Checked} from './check-shape.ts';
import {
  controlPlaneSchema,
  networkSchema,
  packageRepositorySchema,
  registrySchema,
  type ClusterDocument,
} from './cluster-schema.ts';
import {contains, formatIpv4, overlaps, parseCidr, parseIpv4, type Cidr} from './ipv4.ts';
import {problemAt, type ConfigDocument, type Problem} from './problem.ts';
import {parseQuantity} from './quantity.ts';

/** The service address of cluster DNS, counted from the network's first address (kubeadm's rule). */
const DNS_ADDRESS_INDEX = 10;

/** kube-controller-manager's `--node-cidr-mask-size` default for IPv4. */
const NODE_PREFIX_LENGTH = 24;

/** cluster.yaml, parsed and compared with its schema. */
export type ClusterFile = ConfigDocument & {readonly checked: Checked<ClusterDocument>};

/** What does not fit together between the networks, the hosts and the API's endpoint. */
export function findNetworkProblems(file: ClusterFile, hosts: readonly Host[]): readonly Problem[] {
  const network = readPart(file.checked, networkSchema.prefault({}), ['spec', 'network']);
  const path = ['spec', 'controlPlane'];
  const endpoint = readPart(file.checked, controlPlaneSchema.prefault({}), path)?.endpoint;
  const [pods, services] = [
    parseCidr(network?.podCIDR ?? ''),
    parseCidr(network?.serviceCIDR ?? ''),
  ];
  if (pods === undefined || services === undefined) return [];
  const known = [...addressesOfHosts(hosts, endpoint?.host), ...addressesOfSite(file)];
  const problems: Problem[] = [];
  const report = (key: 'podCIDR' | 'serviceCIDR', problem: Parameters<typeof problemAt>[1]) =>
    problems.push(problemAt({...file, path: ['spec', 'network', key]}, problem));

  if (overlaps(pods, services)) {
    report('serviceCIDR', {
      code: 'ERR_CONFIG_CIDR_OVERLAP',
      message: `serviceCIDR ${services.text} and podCIDR ${pods.text} overlap`,
      hint: 'give Services and pods networks of their own',
    });
  }
  for (const [key, block] of [
    ['podCIDR', pods],
    ['serviceCIDR', services],
  ] as const) {
    const inside = known.filter(({text}) => isInside(block, text));
    if (inside.length === 0) continue;
    const shown = inside.slice(0, SHOWN_MAX);
    const list = shown.map(({text, name}) => `${text} (${name})`).join(', ');
    report(key, {
      code: 'ERR_CONFIG_CIDR_OVERLAP',
      message: `${key} ${block.text} holds ${list}${inside.length > SHOWN_MAX ? ' and more' : ''}`,
      hint: 'choose a network that no host is in, nor anything that hosts need',
    });
  }
  const nodesMax = 2 ** (NODE_PREFIX_LENGTH - pods.prefixLength);
  if (hosts.length > nodesMax) {
    report('podCIDR', {
      code: 'ERR_CONFIG_CIDR_TOO_SMALL',
      message: `podCIDR ${pods.text} has a /${NODE_PREFIX_LENGTH} for ${nodesMax} nodes, and there are ${hosts.length} hosts`,
      hint: 'choose a larger network',
    });
  }
  return problems;
}

/** Addresses that one message names; the rest are alike. */
const SHOWN_MAX = 3;

interface NamedAddress {
  /** An address, or a name, which may mean any. */
  readonly text: string;
  readonly name: string;
}

function isInside(block: Cidr, text: string): boolean {
  const address = parseIpv4(text);
  return address !== undefined && contains(block, address);
}

function addressesOfHosts(
  hosts: readonly Host[],
  endpointHost: string | undefined,
): readonly NamedAddress[] {
  const named = hosts.flatMap(({name, address, internalAddress}) =>
    [...new Set([address, internalAddress])].map(text => ({text, name})),
  );
  return endpointHost === undefined
    ? named
    : [...named, {text: endpointHost, name: 'the endpoint'}];
}

/** Where hosts fetch images and packages from. */
function addressesOfSite({checked}: ClusterFile): readonly NamedAddress[] {
  const registry = readPart(checked, registrySchema, ['spec', 'registry']);
  const repository = readPart(checked, packageRepositorySchema, [
    'spec',
    'os',
    'packageRepository',
  ]);
  return [
    {url: registry?.url, name: 'spec.registry'},
    {url: repository?.url, name: 'spec.os.packageRepository'},
  ].flatMap(({url, name}) => (url === undefined ? [] : [{text: new URL(url).hostname, name}]));
}

export interface ClusterParts {
  readonly document: ClusterDocument;
  /** Directory of cluster.yaml. */
  readonly directory: string;
  /** Sorted by name; at least one control plane. */
  readonly hosts: readonly Host[];
  readonly packageRepository: PackageRepository | undefined;
  readonly certificates: CertificateSettings;
}

/** The value that the rest of the program works with; the parts have no problems. */
export function toCluster({
  document,
  directory,
  hosts,
  packageRepository,
  certificates,
}: ClusterParts): Cluster {
  const {metadata, spec} = document;
  const {kubernetes, controlPlane, network, runtime, kubelet, os, artifacts, preflight} = spec;
  const firstControlPlane = hosts.find(host => host.isControlPlane)?.internalAddress ?? '';
  return {
    name: metadata.name,
    directory,
    kubernetesVersion: kubernetes.version,
    hosts,
    endpoint: {
      host: controlPlane.endpoint.host ?? firstControlPlane,
      port: controlPlane.endpoint.port,
    },
    certSANs: controlPlane.certSANs,
    network: {...network, dnsAddress: dnsAddressOf(network.serviceCIDR)},
    runtime: {restrictOomScoreAdj: runtime.restrictOomScoreAdj},
    kubeletConfig: kubelet.config,
    os: {
      sysctls: Object.fromEntries(
        Object.entries(os.sysctls).map(([key, value]) => [key, String(value)]),
      ),
      packageRepository,
    },
    artifactsSource: artifacts.source,
    registryUrl: spec.registry?.url.replace(/\/$/, ''),
    certificates,
    preflight: {
      ignore: preflight.ignore,
      memoryMinimumBytes: parseQuantity(preflight.memoryMinimum) ?? 0,
    },
  };
}

function dnsAddressOf(serviceCIDR: string): string {
  return formatIpv4((parseCidr(serviceCIDR)?.first ?? 0) + DNS_ADDRESS_INDEX);
}
