import type {ContainerNamespaces} from './input.ts';
import type {OciNamespace} from './oci-spec.ts';

/**
 * The namespaces of a process in OCI form. One of the host's is one that the spec does not name:
 * the OCI runtime stays where the daemon is.
 */
export function ociNamespaces(
  {network, ipc, uts, pid}: ContainerNamespaces,
  {privileged, cgroupVersion}: {readonly privileged: boolean; readonly cgroupVersion: 1 | 2},
): readonly OciNamespace[] {
  const joined = (type: OciNamespace['type'], path: string | undefined): readonly OciNamespace[] =>
    path === undefined ? [] : [{type, path}];
  return [
    {type: 'mount'},
    ...(pid === 'container' ? [{type: 'pid'} as const] : []),
    ...(typeof pid === 'object' ? joined('pid', pid.path) : []),
    ...joined('network', network),
    ...joined('ipc', ipc),
    ...joined('uts', uts),
    // Under v1 the kernel file system is bound by subtree; a privileged container of v2 sees all.
    ...(cgroupVersion === 2 && !privileged ? [{type: 'cgroup'} as const] : []),
  ];
}
