import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {HostState} from '../host-state/host-state.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import type {Facts} from '../role/facts.ts';

/** All that a check of one host looks at. */
export interface PreflightInput {
  readonly cluster: Cluster;
  readonly host: Host;
  readonly facts: Facts;
  readonly state: HostState;
  /** The architecture that programs and images are made for. */
  readonly artifactsArch: 'amd64' | 'arm64';
  /** Whether cluster DNS forwards names outside the cluster to the name servers of its host. */
  readonly forwardsNames: boolean;
}

export type Problem = CodedError<ProvisionerErrorCode>;

export interface Finding {
  /** kubeadm's name of the check, or ours where kubeadm has none. */
  readonly check: string;
  readonly problem: Problem;
}

/** A problem of one host, as every check tells it. */
export function finding(
  check: string,
  host: Host,
  {code, message, hint}: {code: ProvisionerErrorCode; message: string; hint: string},
): Finding {
  return {check, problem: new CodedError(code, `${host.name}: [${check}] ${message}`, {hint})};
}

/** True once kubeadm was started by us on this host, finished or not. */
export const isMember = (state: HostState): boolean =>
  'kubeadm-init' in state.actions || 'kubeadm-join' in state.actions;
