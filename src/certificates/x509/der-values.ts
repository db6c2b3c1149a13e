import {type DerElement, derInvalid, derTags} from './der.ts';

/** Longer object identifiers do not occur; the longest in use have about 20 octets. */
const OID_OCTETS_MAX = 64;

/** An object identifier in dotted form (X.690 §8.19). @throws CodedError `ERR_DER_INVALID` */
export function readObjectIdentifier({content}: DerElement, what: string): string {
  const last = content[content.length - 1];
  if (last === undefined || last >= 0x80 || content.length > OID_OCTETS_MAX) {
    throw derInvalid(what, 'has an object identifier that is empty, cut off or too long');
  }
  const arcs: bigint[] = [];
  let arc = 0n; // arcs made of UUIDs (2.25.…) have 128 bits
  let isFirstOctet = true;
  for (const octet of content) {
    if (isFirstOctet && octet === 0x80) {
      throw derInvalid(what, 'has an object identifier that is not in its shortest form');
    }
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    isFirstOctet = octet < 0x80;
    if (!isFirstOctet) continue;
    arcs.push(...(arcs.length === 0 ? firstArcs(arc) : [arc]));
    arc = 0n;
  }
  return arcs.join('.');
}

/** The first two arcs share a subidentifier: 40 × X + Y, with X at most 2. */
function firstArcs(value: bigint): readonly bigint[] {
  const first = value < 80n ? value / 40n : 2n;
  return [first, value - 40n * first];
}

/** Any octet but zero is true: some software writes BER's 0x01. */
export function readBoolean({content}: DerElement, what: string): boolean {
  if (content.length !== 1) throw derInvalid(what, 'has a boolean that is not one octet');
  return content[0] !== 0;
}

/** A whole number of at most 31 bits, not negative. */
export function readSmallInteger({content}: DerElement, what: string): number {
  const isSmall = content.length > 0 && content.length <= 4 && (content[0] ?? 0x80) < 0x80;
  if (!isSmall) throw derInvalid(what, 'has a number that is negative or beyond 31 bits');
  return content.readUIntBE(0, content.length);
}

/** The octets of a BIT STRING that has whole octets only: signatures and keys. */
export function readBitOctets({content}: DerElement, what: string): Buffer {
  if (content[0] !== 0) throw derInvalid(what, 'has a bit string that is not of whole octets');
  return content.subarray(1);
}

/** The numbers of the bits that are set; bit 0 is the first (X.690 §8.6.2). At most 16 are read. */
export function readNamedBits({content}: DerElement, what: string): readonly number[] {
  const unused = content[0];
  if (unused === undefined || unused > 7 || (content.length === 1 && unused !== 0)) {
    throw derInvalid(what, 'has a bit string without a right count of unused bits');
  }
  const set: number[] = [];
  for (let bit = 0; bit < Math.min(16, (content.length - 1) * 8 - unused); bit++) {
    if (((content[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0) set.push(bit);
  }
  return set;
}

/**
 * An instant: UTCTime (years 1950 to 2049) or GeneralizedTime, both in the one form that RFC 5280
 * §4.1.2.5 allows: UTC, with seconds, without fractions.
 */
export function readTime({tag, content}: DerElement, what: string): Date {
  const text = content.toString('latin1');
  if (tag === derTags.utcTime && /^\d{12}Z$/.test(text)) {
    const century = Number(text.slice(0, 2)) >= 50 ? '19' : '20';
    return instantOf(century + text, what);
  }
  if (tag === derTags.generalizedTime && /^\d{14}Z$/.test(text)) return instantOf(text, what);
  throw derInvalid(what, 'has a time that is not in UTC with seconds');
}

function instantOf(digits: string, what: string): Date {
  const part = (start: number): string => digits.slice(start, start + 2);
  const iso = `${digits.slice(0, 4)}-${part(4)}-${part(6)}T${part(8)}:${part(10)}:${part(12)}Z`;
  const instant = new Date(iso);
  // JavaScript turns 30 February into 2 March; written back it differs.
  if (Number.isNaN(instant.getTime()) || instant.toISOString().slice(0, 19) !== iso.slice(0, 19)) {
    throw derInvalid(what, 'has a time that no calendar has');
  }
  return instant;
}

/** Text of an IA5String, implicitly tagged or not: ASCII. */
export function readAscii({content}: DerElement, what: string): string {
  if (content.some(octet => octet >= 0x80)) throw derInvalid(what, 'has text that is not ASCII');
  return content.toString('latin1');
}

const utf8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

/** Text of a UTF8String. */
export function readUtf8({content}: DerElement, what: string): string {
  try {
    return utf8.decode(content);
  } catch {
    throw derInvalid(what, 'has text that is not UTF-8');
  }
}
