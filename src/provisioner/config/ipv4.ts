/** A block of IPv4 addresses in CIDR notation; `first` and `last` are unsigned 32-bit numbers. */
export interface Cidr {
  readonly text: string;
  readonly first: number;
  readonly last: number;
  readonly prefixLength: number;
}

const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';

/** Dotted decimal without leading zeros, which some resolvers read as octal. */
export const IPV4_PATTERN = `${OCTET}(?:\\.${OCTET}){3}`;

const ipv4Regexp = new RegExp(`^${IPV4_PATTERN}$`);

/** The address as an unsigned 32-bit number, or undefined if the text is not an IPv4 address. */
export function parseIpv4(text: string): number | undefined {
  if (!ipv4Regexp.test(text)) return undefined;
  return text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** @param address an unsigned 32-bit number */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map(shift => (address >>> shift) & 255).join('.');
}

/**
 * The block written as `ADDRESS/LENGTH`. Host bits are dropped, so `text` of the result differs
 * from the given text when that names an address inside the block instead of the block.
 *
 * @returns undefined if the text is not a CIDR
 */
export function parseCidr(text: string): Cidr | undefined {
  const [addressText, lengthText, ...rest] = text.split('/');
  const address = parseIpv4(addressText ?? '');
  if (address === undefined || rest.length > 0) return undefined;
  if (lengthText === undefined || !/^(?:[12]?[0-9]|3[0-2])$/.test(lengthText)) return undefined;
  const prefixLength = Number(lengthText);
  const size = 2 ** (32 - prefixLength);
  const first = Math.floor(address / size) * size;
  return {
    text: `${formatIpv4(first)}/${prefixLength}`,
    first,
    last: first + size - 1,
    prefixLength,
  };
}

/** True when the two blocks share an address. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** @param address an unsigned 32-bit number */
export function contains(block: Cidr, address: number): boolean {
  return block.first <= address && address <= block.last;
}

/** @param text an address of either family */
export const isLoopback = (text: string): boolean => /^(127\.|::1$)/.test(text);

/** Why an address can't be one by which other hosts reach a host; undefined if it can. */
export function specialUseOf(address: number): string | undefined {
  return specialUses.find(({block}) => contains(block, address))?.use;
}

// IANA IPv4 Special-Purpose Address Registry, and RFC 5771 for multicast.
const specialUses = [
  {text: '0.0.0.0/8', use: 'means "this network"'},
  {text: '127.0.0.0/8', use: 'is a loopback address'},
  {text: '169.254.0.0/16', use: 'is a link-local address'},
  {text: '224.0.0.0/4', use: 'is a multicast address'},
  {text: '240.0.0.0/4', use: 'is reserved'},
].flatMap(({text, use}) => {
  const block = parseCidr(text);
  return block === undefined ? [] : [{block, use}];
});
