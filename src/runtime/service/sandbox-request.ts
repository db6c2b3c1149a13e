import {isAbsolute} from 'node:path';
import {hostname as nodeHostname} from 'node:os';
import {
  NamespaceMode,
  Protocol,
  type DNSConfig,
  type NamespaceOption,
  type PodSandboxConfig,
} from '../cri/gen/cri-v1_pb.ts';
import {sandboxSysctls} from '../spec/sysctls.ts';
import {sandboxName} from '../store/names.ts';
import type {NamespaceOwner, PortMapping, SandboxMetadata} from '../store/sandbox.ts';
import {invalidRequest} from './invalid.ts';

/** A checked RunPodSandbox. */
export interface SandboxRequest {
  readonly metadata: SandboxMetadata;
  /** Text of the pod's resolv.conf; undefined: the node's own. */
  readonly resolvConf: string | undefined;
  /** To be set in the pod's namespaces, those of the configuration included. */
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface SandboxRequestContext {
  readonly id: string;
  readonly createdAtNs: bigint;
  /** Of pods that have a network namespace of their own. */
  readonly defaultSysctls: Readonly<Record<string, string>>;
}

/** gethostname(2): HOST_NAME_MAX of Linux. */
const HOSTNAME_BYTES_MAX = 64;
/** An id shortened to what people read as one. */
const SHORT_ID_LENGTH = 12;

/**
 * Checks a request and decides what follows from it alone.
 *
 * @throws CodedError `ERR_REQUEST_INVALID`, `ERR_SYSCTL_REFUSED`
 */
export function parseSandboxRequest(
  config: PodSandboxConfig | undefined,
  runtimeHandler: string,
  {id, createdAtNs, defaultSysctls}: SandboxRequestContext,
): SandboxRequest {
  const pod = config?.metadata;
  if (!config || !pod) throw missing('config.metadata');
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if (pod[field] === '') throw missing(`config.metadata.${field}`);
  }
  const options = config.linux?.securityContext?.namespaceOptions;
  const namespaces = parseNamespaces(options);
  const own = namespaces.network === 'pod';
  const metadata: SandboxMetadata = {
    id,
    name: sandboxName(pod),
    pod: {name: pod.name, namespace: pod.namespace, uid: pod.uid, attempt: pod.attempt},
    labels: {...config.labels},
    annotations: {...config.annotations},
    createdAtNs,
    hostname: parseHostname(config.hostname, own, id),
    logDirectory: parseLogDirectory(config.logDirectory),
    runtimeHandler,
    cgroupParent: config.linux?.cgroupParent ?? '',
    namespaces,
    privileged: config.linux?.securityContext?.privileged ?? false,
    portMappings: own ? parsePortMappings(config) : [],
  };
  return {
    metadata,
    resolvConf: config.dnsConfig ? formatResolvConf(config.dnsConfig) : undefined,
    sysctls: sandboxSysctls({
      requested: config.linux?.sysctls ?? {},
      defaults: defaultSysctls,
      hostNetwork: !own,
      hostIpc: namespaces.ipc === 'node',
    }),
  };
}

function parseNamespaces(options: NamespaceOption | undefined): SandboxMetadata['namespaces'] {
  const {network = 0, pid = 0, ipc = 0, usernsOptions} = options ?? {};
  if (usernsOptions && usernsOptions.mode !== NamespaceMode.NODE) {
    throw invalidRequest(
      'a user namespace was asked for, which this runtime does not offer',
      'leave hostUsers out of the pod, or set it to true',
    );
  }
  return {
    network: parseOwner('network', network, ['pod', 'node']),
    pid: parseOwner('pid', pid, ['pod', 'container', 'node']),
    ipc: parseOwner('ipc', ipc, ['pod', 'node']),
  };
}

function parseOwner(
  field: string,
  mode: number,
  allowed: readonly NamespaceOwner[],
): NamespaceOwner {
  const names: Readonly<Record<number, NamespaceOwner>> = {
    [NamespaceMode.POD]: 'pod',
    [NamespaceMode.CONTAINER]: 'container',
    [NamespaceMode.NODE]: 'node',
  };
  const owner = names[mode];
  if (!owner || !allowed.includes(owner)) {
    throw invalidRequest(
      `namespace_options.${field} of a sandbox is ${mode}`,
      `ask for one of: ${allowed.join(', ').toUpperCase()}`,
    );
  }
  return owner;
}

function parseHostname(asked: string, ownNamespace: boolean, id: string): string {
  if (!ownNamespace) return nodeHostname();
  const name = asked === '' ? id.slice(0, SHORT_ID_LENGTH) : asked;
  if (Buffer.byteLength(name) > HOSTNAME_BYTES_MAX || !/^[\w.-]+$/.test(name)) {
    throw invalidRequest(
      `${JSON.stringify(name)} cannot be a host name`,
      `use letters, digits, dots and hyphens, ${HOSTNAME_BYTES_MAX} at most`,
    );
  }
  return name;
}

function parseLogDirectory(directory: string): string {
  if (directory === '' || isAbsolute(directory)) return directory;
  throw invalidRequest(`log_directory ${directory} is relative`, 'give an absolute path');
}

function parsePortMappings({portMappings}: PodSandboxConfig): readonly PortMapping[] {
  const protocols: Readonly<Record<number, PortMapping['protocol']>> = {
    [Protocol.TCP]: 'tcp',
    [Protocol.UDP]: 'udp',
    [Protocol.SCTP]: 'sctp',
  };
  // A port without a host port is information for people; a kubelet sends them all.
  return portMappings
    .filter(({hostPort}) => hostPort !== 0)
    .map(({protocol, containerPort, hostPort, hostIp}) => {
      const known = protocols[protocol];
      if (!known || !isPort(hostPort) || !isPort(containerPort)) {
        throw invalidRequest(
          `port mapping ${hostPort} → ${containerPort} of protocol ${protocol}`,
          'ports go from 1 to 65535, protocols are TCP, UDP and SCTP',
        );
      }
      return {protocol: known, containerPort, hostPort, hostIp};
    });
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535;
}

/** resolv.conf(5). Nothing set at all means the node's own file. */
function formatResolvConf({servers, searches, options}: DNSConfig): string | undefined {
  for (const word of [...servers, ...searches, ...options]) {
    if (word === '' || /\s/.test(word)) {
      throw invalidRequest(
        `dns_config holds ${JSON.stringify(word)}`,
        'give single words without white space',
      );
    }
  }
  const lines = [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...servers.map(server => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ];
  return lines.length > 0 ? `${lines.join('\n')}\n` : undefined;
}

function missing(field: string): Error {
  return invalidRequest(`${field} is empty`, 'fill it in; sandboxes are told apart by it');
}
