import {CodedError} from '#shared/errors';
import type {LabErrorCode} from './errors.ts';

/** The lab's private network: `10.89.0.0/24`, which no interface outside the lab may hold. */
export const LAB_NETWORK_PREFIX = '10.89.0.';
/** The machine's own address on that network. */
export const MACHINE_ADDRESS = `${LAB_NETWORK_PREFIX}1`;
/** Where the site's registry and package repository answer. */
export const SITE_ADDRESS = `${LAB_NETWORK_PREFIX}2`;
/** Room for the addresses of proofs and load balancers above; 24 GB carry about a dozen nodes. */
export const HOST_COUNT_MAX = 64;

const HOST_ADDRESS_BASE = 10; // h1 is .11
/** Locally administered (second bit of the first byte), then "SLW" and the last byte of the address. */
const MAC_PREFIX = '02:53:4c:57:00:';

/** Everything about a host that follows from its number. */
export interface HostIdentity {
  /** `h1`, `h2`, … */
  readonly name: string;
  /** e.g. `10.89.0.11` */
  readonly address: string;
  readonly mac: string;
}

/** @param number from 1 to {@link HOST_COUNT_MAX} */
export function hostIdentity(number: number): HostIdentity {
  const last = HOST_ADDRESS_BASE + number;
  return {
    name: `h${number}`,
    address: `${LAB_NETWORK_PREFIX}${last}`,
    mac: `${MAC_PREFIX}${last.toString(16).padStart(2, '0')}`,
  };
}

/** `h3` is 3; undefined for anything that is not a host's name. */
export function hostNumber(name: string): number | undefined {
  const digits = /^h([1-9]\d{0,2})$/.exec(name)?.[1];
  const number = Number(digits);
  return digits !== undefined && number <= HOST_COUNT_MAX ? number : undefined;
}

/** The identities of `h1` … `hN`. */
export function hostIdentities(count: number): readonly HostIdentity[] {
  return Array.from({length: count}, (_, index) => hostIdentity(index + 1));
}

export interface InterfaceAddress {
  readonly interfaceName: string;
  readonly address: string;
}

/**
 * Refuses a machine that already uses the lab's network for something else.
 *
 * @throws CodedError `ERR_LAB_ADDRESS_IN_USE`
 */
export function refuseForeignAddresses(
  addresses: readonly InterfaceAddress[],
  ownInterface: string,
): void {
  const foreign = addresses.find(
    ({interfaceName, address}) =>
      interfaceName !== ownInterface && address.startsWith(LAB_NETWORK_PREFIX),
  );
  if (foreign === undefined) return;
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_ADDRESS_IN_USE',
    `the lab's network ${LAB_NETWORK_PREFIX}0/24 is in use: ${foreign.interfaceName} has ${foreign.address}`,
    {
      hint: `remove that interface (podman and docker make such networks: "podman network ls"), then try again`,
    },
  );
}
