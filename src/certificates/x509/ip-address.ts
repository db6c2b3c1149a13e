/**
 * The octets of an IP address: 4 or 16, undefined when the text is none. An IPv4 address written as
 * IPv6 (`::ffff:192.0.2.1`) gives 4, as in cert-manager. Zones (`%eth0`) and leading zeros are refused.
 */
export function parseIpAddress(text: string): Buffer | undefined {
  if (!text.includes(':')) return parseIpv4(text);
  const octets = parseIpv6(text);
  const isMapped = octets?.subarray(0, 12).equals(MAPPED_PREFIX) ?? false;
  return isMapped ? octets?.subarray(12) : octets;
}

const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** The octets of a CIDR range, address (masked) and then mask: 8 or 32; undefined when it is none. */
export function parseIpRange(text: string): Buffer | undefined {
  const [, address = '', bitsText = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const octets = address.includes(':') ? parseIpv6(address) : parseIpv4(address);
  const bits = Number(bitsText);
  if (bitsText === '' || octets === undefined || bits > octets.length * 8) return undefined;
  const mask = octets.map((_, i) => (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff);
  return Buffer.concat([octets.map((octet, i) => octet & (mask[i] ?? 0)), mask]);
}

/** The text of 4 or 16 octets, IPv6 as RFC 5952 has it; undefined for another length. */
export function formatIpAddress(octets: Buffer): string | undefined {
  if (octets.length === 4) return octets.join('.');
  return octets.length === 16 ? formatIpv6(octets) : undefined;
}

/** The CIDR text of 8 or 32 octets; undefined for another length or a mask with holes. */
export function formatIpRange(octets: Buffer): string | undefined {
  const half = octets.length / 2;
  const address = formatIpAddress(octets.subarray(0, half));
  const mask = [...octets.subarray(half)].map(octet => octet.toString(2).padStart(8, '0')).join('');
  if (address === undefined || octets.length % 2 !== 0 || !/^1*0*$/.test(mask)) return undefined;
  return `${address}/${String(mask.replaceAll('0', '').length)}`;
}

function parseIpv4(text: string): Buffer | undefined {
  const parts = text.split('.');
  const areOctets = parts.every(part => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return parts.length === 4 && areOctets ? Buffer.from(parts.map(Number)) : undefined;
}

function parseIpv6(text: string): Buffer | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  const [head, tail] = halves.map(half => (half === '' ? [] : half.split(':')));
  if (head === undefined || halves.length > 2) return undefined;
  const groups = [...head, ...(tail ?? [])];
  // Only the very last group may be an IPv4 address, which fills two groups.
  const last = groups.at(-1) ?? '';
  const embedded = last.includes('.') && !text.endsWith('::') ? parseIpv4(last) : undefined;
  const isEmbeddedInTail = embedded !== undefined && (tail === undefined || tail.length > 0);
  const hex = isEmbeddedInTail ? groups.slice(0, -1) : groups;
  if (!hex.every(group => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const octetCount = hex.length * 2 + (isEmbeddedInTail ? 4 : 0);
  if (tail === undefined ? octetCount !== 16 : octetCount > 14) return undefined;
  const before = octetsOfGroups(head.slice(0, Math.min(head.length, hex.length)));
  const after = octetsOfGroups(hex.slice(head.length));
  const zeros = Buffer.alloc(16 - octetCount);
  return Buffer.concat([before, zeros, after, ...(isEmbeddedInTail ? [embedded] : [])]);
}

function octetsOfGroups(groups: readonly string[]): Buffer {
  return Buffer.from(groups.map(group => group.padStart(4, '0')).join(''), 'hex');
}

function formatIpv6(octets: Buffer): string {
  const groups = Array.from({length: 8}, (_, i) => octets.readUInt16BE(i * 2).toString(16));
  // RFC 5952 §4.2: the longest run of two or more zeros is left out, the first of equals.
  const runs = [
    ...groups
      .map(group => (group === '0' ? '0' : 'x'))
      .join('')
      .matchAll(/00+/g),
  ];
  const longest = runs.reduce<{index: number; length: number}>(
    (best, run) => (run[0].length > best.length ? {index: run.index, length: run[0].length} : best),
    {index: 0, length: 0},
  );
  if (longest.length === 0) return groups.join(':');
  const {index, length} = longest;
  return `${groups.slice(0, index).join(':')}::${groups.slice(index + length).join(':')}`;
}
