import {CodedError} from '#shared/errors';
import type {ContainerConfig, SELinuxOption} from '../cri/gen/cri-v1_pb.ts';
import type {RuntimeErrorCode} from '../errors.ts';

// What this runtime does not do is refused by name, never ignored: a container without the device or
// the confinement that somebody asked for is worse than one that does not start.

/** How a device plugin of an older kubelet asks for the same (CDI specification, "annotations"). */
const CDI_ANNOTATION = 'cdi.k8s.io/';

/** @throws CodedError `ERR_NOT_IMPLEMENTED` for a container that asks for CDI devices */
export function refuseCdiDevices({
  CDIDevices: devices,
  annotations,
}: Pick<ContainerConfig, 'CDIDevices' | 'annotations'>): void {
  const names = [
    ...devices.map(({name}) => name),
    ...Object.entries(annotations).flatMap(([key, value]) =>
      key.startsWith(CDI_ANNOTATION) ? [value] : [],
    ),
  ];
  if (names.length === 0) return;
  throw notImplemented(
    `the container asks for CDI devices: ${names.join(', ')}`,
    'use devices of a device plugin that names device nodes, or run containerd on this node',
  );
}

/**
 * Refuses a label where it would be of use. Without SELinux on the host it is nothing, as CRI-O has
 * it. `selinux_relabel` of a mount is nothing anywhere: a kubelet asks for it with every pod, and
 * no container here is so confined that it would need it.
 *
 * @throws CodedError `ERR_NOT_IMPLEMENTED`
 */
export function refuseSelinuxLabel(
  options: SELinuxOption | undefined,
  {selinux}: {readonly selinux: boolean},
): void {
  if (!selinux || !options) return;
  const {user, role, type, level} = options;
  const label = Object.entries({user, role, type, level}).filter(([, value]) => value !== '');
  if (label.length === 0) return;
  throw notImplemented(
    `an SELinux label was asked for: ${label.map(([key, value]) => `${key} ${value}`).join(', ')}`,
    'leave seLinuxOptions out of the pod, or run containerd on this node',
  );
}

function notImplemented(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_NOT_IMPLEMENTED', message, {hint});
}
