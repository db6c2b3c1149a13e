import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciCapabilities} from './oci-spec.ts';

/** Capability names by their bit (linux/capability.h, kernel 5.9 and later). */
export const CAPABILITIES: readonly string[] = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID',
  'SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW',
  'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT',
  'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD',
  'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG',
  'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
].map(name => `CAP_${name}`); // prettier-ignore

export interface CapabilityRequest {
  /** What a container has when nobody asks (configuration). */
  readonly defaults: readonly string[];
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly ambient: readonly string[];
  readonly privileged: boolean;
  /** Capabilities of the daemon, a bit each: no child can have more. */
  readonly held: bigint;
}

/**
 * The capability sets of a container's process. Names count with and without `CAP_`, in any case;
 * `ALL` is applied before single names, so "drop ALL, add X" leaves X, and a drop wins over an add
 * of the same name. What the daemon does not hold itself is left out, with a notice.
 * @throws CodedError ERR_REQUEST_INVALID for a name that no kernel knows.
 */
export function containerCapabilities(request: CapabilityRequest): {
  readonly capabilities: OciCapabilities;
  readonly notices: readonly string[];
} {
  const wanted = request.privileged ? new Set(CAPABILITIES) : wantedCapabilities(request);
  const ambient = normalized(request.ambient);
  for (const name of ambient) wanted.add(name);
  const held = new Set(heldCapabilities(request.held));
  const refused = [...wanted].filter(name => !held.has(name));
  const granted = CAPABILITIES.filter(name => wanted.has(name) && held.has(name));
  const grantedAmbient = granted.filter(name => ambient.has(name));
  return {
    capabilities: {
      bounding: granted,
      effective: granted,
      permitted: granted,
      // The kernel takes an ambient capability only from the inheritable set.
      inheritable: grantedAmbient,
      ambient: grantedAmbient,
    },
    notices: refused.map(
      name => `capability ${name} is left out of containers: the daemon does not hold it`,
    ),
  };
}

/** The names of a mask as the kernel prints it in /proc/PID/status. */
export function heldCapabilities(mask: bigint): readonly string[] {
  return CAPABILITIES.filter((_name, bit) => (mask & (1n << BigInt(bit))) !== 0n);
}

function wantedCapabilities({defaults, add, drop}: CapabilityRequest): Set<string> {
  const wanted = hasAll(add) ? new Set(CAPABILITIES) : normalized(defaults);
  if (hasAll(drop)) wanted.clear();
  for (const name of normalized(add)) wanted.add(name);
  for (const name of normalized(drop)) wanted.delete(name);
  return wanted;
}

function hasAll(names: readonly string[]): boolean {
  return names.some(name => name.toUpperCase() === 'ALL');
}

function normalized(names: readonly string[]): Set<string> {
  const result = new Set<string>();
  for (const name of names) {
    const upper = name.toUpperCase();
    if (upper === 'ALL') continue;
    const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!CAPABILITIES.includes(full)) {
      throw new CodedError<RuntimeErrorCode>(
        'ERR_REQUEST_INVALID',
        `unknown capability ${JSON.stringify(name)}`,
        {hint: 'use a name of capabilities(7), such as NET_ADMIN'},
      );
    }
    result.add(full);
  }
  return result;
}
