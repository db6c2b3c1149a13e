import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** What is kept by namespace, and by which (Kubernetes, "Using sysctls in a cluster"). */
const IPC_SYSCTL = /^(kernel\.(shm|msg)[a-z_]*|kernel\.sem|fs\.mqueue\.[a-z_]+)$/;
const NETWORK_SYSCTL = /^net\.[a-zA-Z0-9_.\-/@:]+$/;

/** Far above any in use; each costs a file write while the namespaces are made. */
const SYSCTL_COUNT_MAX = 256;
const VALUE_LENGTH_MAX = 4096;

export interface SysctlsRequest {
  readonly requested: Readonly<Record<string, string>>;
  /** The daemon's own (configuration): the request wins, a host namespace drops them. */
  readonly defaults: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
  readonly hostIpc: boolean;
}

/**
 * The sysctls to write while a sandbox's namespaces are made, names in dotted form.
 * @throws CodedError ERR_SYSCTL_REFUSED for one that is not namespaced, or whose namespace is the
 *   host's: writing it would change the machine.
 */
export function sandboxSysctls(request: SysctlsRequest): Readonly<Record<string, string>> {
  const names = Object.keys(request.requested);
  if (names.length > SYSCTL_COUNT_MAX) {
    throw refused(`${names.length} sysctls`, `ask for at most ${SYSCTL_COUNT_MAX}`);
  }
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.defaults)) {
    const dotted = dottedName(name);
    if (hostNamespaceOf(dotted, request) === undefined) result[dotted] = value;
  }
  for (const [name, value] of Object.entries(request.requested)) {
    const dotted = dottedName(name);
    const host = hostNamespaceOf(dotted, request);
    if (host !== undefined) {
      throw refused(
        `sysctl ${name} in the host's ${host} namespace`,
        `remove it, or give the pod its own ${host} namespace`,
      );
    }
    result[dotted] = checkedValue(dotted, value);
  }
  return result;
}

/** The host's namespace that a sysctl would reach; undefined when the sandbox has its own. */
function hostNamespaceOf(
  name: string,
  {hostNetwork, hostIpc}: SysctlsRequest,
): 'network' | 'IPC' | undefined {
  if (IPC_SYSCTL.test(name)) return hostIpc ? 'IPC' : undefined;
  if (isNetworkSysctl(name)) return hostNetwork ? 'network' : undefined;
  throw refused(
    `sysctl ${JSON.stringify(name)} is not kept by namespace`,
    'use kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*; others belong to the node',
  );
}

function isNetworkSysctl(name: string): boolean {
  return NETWORK_SYSCTL.test(name) && name.split(/[./]/).every(part => part !== '');
}

/**
 * sysctl.d(5): when the first separator is a slash, slashes separate and dots belong to names
 * (`net/ipv4/conf/eth0.1/forwarding`); in dotted form they change places.
 */
function dottedName(name: string): string {
  const [first] = /[./]/.exec(name) ?? [];
  if (first !== '/') return name;
  return name.replaceAll(/[./]/g, separator => (separator === '/' ? '.' : '/'));
}

function checkedValue(name: string, value: string): string {
  if (value.length > VALUE_LENGTH_MAX || /[\0\n]/.test(value)) {
    throw refused(`the value of sysctl ${name}`, 'write it on one line');
  }
  if (name === 'net.ipv4.ping_group_range') checkGroupRange(name, value);
  return value;
}

/** The kernel answers a bad range with EINVAL, after the namespaces exist. */
function checkGroupRange(name: string, value: string): void {
  const [low, high, ...rest] = value.trim().split(/\s+/).map(Number);
  const fits = (id: number | undefined): id is number =>
    id !== undefined && Number.isInteger(id) && id >= 0 && id < 2 ** 32 - 1;
  if (rest.length === 0 && fits(low) && fits(high)) return;
  throw refused(`sysctl ${name}=${JSON.stringify(value)}`, 'write two group ids: "0 2147483647"');
}

function refused(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_SYSCTL_REFUSED', `refused: ${message}`, {hint});
}
