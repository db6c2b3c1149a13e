import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {podBandwidth} from './bandwidth.ts';

/** The pod as the network plugins get to know it. */
export interface PodNetworkIdentity {
  readonly sandboxId: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Path of the pinned network namespace; it may be gone by the time of `remove`. */
  readonly networkNamespace: string;
  readonly portMappings: readonly PortMapping[];
  readonly cgroupParent?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  /** 0 when the port is not to be opened on the host. */
  readonly hostPort: number;
  /** Empty for all addresses of the host. */
  readonly hostIp: string;
}

/** Capability → what a plugin that declares it is given (CNI conventions, "Dynamic plugin"). */
export type CapabilityArguments = Readonly<Record<string, unknown>>;

/** @throws CodedError `ERR_REQUEST_INVALID` for a bandwidth that is none */
export function capabilityArguments(identity: PodNetworkIdentity): CapabilityArguments {
  const {portMappings, cgroupParent = '', annotations = {}} = identity;
  const hostPorts = portMappings.filter(({hostPort}) => hostPort > 0);
  const bandwidth = podBandwidth(annotations);
  return {
    ...(hostPorts.length === 0 ? {} : {portMappings: hostPorts.map(toCniMapping)}),
    ...(bandwidth === undefined ? {} : {bandwidth}),
    ...(cgroupParent === '' ? {} : {cgroupPath: cgroupParent}),
    'io.kubernetes.cri.pod-annotations': annotations,
  };
}

function toCniMapping({hostIp, ...mapping}: PortMapping): object {
  return hostIp === '' ? mapping : {...mapping, hostIP: hostIp};
}

/**
 * The value of `CNI_ARGS` by which plugins find the pod in the Kubernetes API.
 * @throws CodedError `ERR_REQUEST_INVALID` for a name that would become more than one argument
 */
export function cniArguments({sandboxId, namespace, name, uid}: PodNetworkIdentity): string {
  const pairs = {
    IgnoreUnknown: '1',
    K8S_POD_NAMESPACE: namespace,
    K8S_POD_NAME: name,
    K8S_POD_INFRA_CONTAINER_ID: sandboxId,
    K8S_POD_UID: uid,
  };
  for (const [key, value] of Object.entries(pairs)) {
    if (!/[;\0]/.test(value)) continue;
    throw new CodedError<RuntimeErrorCode>(
      'ERR_REQUEST_INVALID',
      `${key} ${JSON.stringify(value)} holds a character that no name of a pod may have`,
      {hint: 'use names as Kubernetes allows them'},
    );
  }
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${value}`)
    .join(';');
}
