import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {PreparedDevice} from './input.ts';
import type {OciDevice, OciDeviceRule} from './oci-spec.ts';

export interface DevicesRequest {
  readonly devices: readonly PreparedDevice[];
  readonly hostDevices: readonly OciDevice[];
  readonly privileged: boolean;
}

/**
 * Device nodes of a container and the rules of its devices cgroup: all is refused but what is
 * listed and what the OCI runtime always allows (null, zero, full, random, urandom, tty, ptmx,
 * pts). A privileged container gets every device of the host and no refusal.
 * @throws CodedError ERR_REQUEST_INVALID for permissions that the kernel does not know.
 */
export function containerDevices({devices, hostDevices, privileged}: DevicesRequest): {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
} {
  const asked = devices.map(checkedDevice);
  const nodes = new Map<string, OciDevice>();
  for (const device of [...(privileged ? hostDevices : []), ...asked.map(({node}) => node)]) {
    nodes.set(device.path, device);
  }
  return {
    devices: [...nodes.values()],
    rules: privileged
      ? [{allow: true, access: 'rwm'}]
      : [{allow: false, access: 'rwm'}, ...asked.map(({rule}) => rule)],
  };
}

function checkedDevice({permissions, ...node}: PreparedDevice): {
  readonly node: OciDevice;
  readonly rule: OciDeviceRule;
} {
  if (!/^[rwm]{1,3}$/.test(permissions) || !node.path.startsWith('/')) {
    throw new CodedError<RuntimeErrorCode>(
      'ERR_REQUEST_INVALID',
      `device ${JSON.stringify(node.path)} with permissions ${JSON.stringify(permissions)}`,
      {hint: 'give an absolute path and any of r (read), w (write) and m (mknod)'},
    );
  }
  const {type, major, minor} = node;
  return {
    node,
    rule: {allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access: permissions},
  };
}
