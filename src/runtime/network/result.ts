import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {isRecord} from './configuration.ts';

/** What the last plugin of a chain answered; handed on as it is. */
export type CniResult = Readonly<Record<string, unknown>>;

/** Name of the pod's interface; Kubernetes knows no other. */
export const POD_INTERFACE = 'eth0';
const ADDRESSES_MAX = 64;

/**
 * The pod's addresses in the order of the result, without prefix lengths: those of the interface
 * `eth0`, or all where the result names no interfaces (before CNI 0.3).
 *
 * @throws CodedError `ERR_NETWORK_PLUGIN_FAILED` when there are none
 */
export function podAddresses(result: CniResult): readonly string[] {
  const listed = Array.isArray(result['ips']) ? (result['ips'] as readonly unknown[]) : [];
  const before030 = [result['ip4'], result['ip6']].map(ip => isRecord(ip) && ip['ip']);
  const interfaces = Array.isArray(result['interfaces'])
    ? (result['interfaces'] as readonly unknown[])
    : [];
  const addresses = listed
    .filter(ip => isOfPod(ip, interfaces))
    .map(ip => isRecord(ip) && ip['address'])
    .concat(before030)
    .filter(address => typeof address === 'string')
    .map(address => address.replace(/\/\d+$/, ''));
  if (addresses.length > 0) return addresses.slice(0, ADDRESSES_MAX);
  throw new CodedError<RuntimeErrorCode>(
    'ERR_NETWORK_PLUGIN_FAILED',
    `the network plugins gave the pod no address on ${POD_INTERFACE}`,
    {hint: 'look at the IPAM part of the network configuration'},
  );
}

function isOfPod(ip: unknown, interfaces: readonly unknown[]): boolean {
  if (!isRecord(ip)) return false;
  const index = ip['interface'];
  if (typeof index !== 'number' || interfaces.length === 0) return true;
  const owner = interfaces[index];
  return isRecord(owner) && owner['name'] === POD_INTERFACE && owner['sandbox'] !== '';
}
