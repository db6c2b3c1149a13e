// DER (X.690 §10) of the few types that keystores are made of. Writing it by hand keeps every octet
// in our control: order, default values left out, which string type.
import {encodeDer} from '../x509/der.ts';

export const sequence = (...contents: readonly Uint8Array[]): Buffer =>
  encodeDer(0x30, ...contents);

export const octetString = (content: Uint8Array): Buffer => encodeDer(0x04, content);

/** Context-specific and constructed: what EXPLICIT tags are. */
export const explicit = (number: number, content: Uint8Array): Buffer =>
  encodeDer(0xa0 + number, content);

export const nullValue: Buffer = encodeDer(0x05);

/** X.690 §11.6: the elements in ascending order of their octets. */
export function setOf(...elements: readonly Buffer[]): Buffer {
  return encodeDer(0x31, ...elements.toSorted((a, b) => Buffer.compare(a, b)));
}

/** A whole number of 0 to 2^31 - 1. */
export function integer(value: number): Buffer {
  const octets = [value & 0xff];
  for (let rest = value >>> 8; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  if ((octets[0] ?? 0) >= 0x80) octets.unshift(0); // else it were negative
  return encodeDer(0x02, Buffer.from(octets));
}

/** UTF-16, big endian; characters beyond the basic plane as two surrogates, as OpenSSL does. */
export function bmpString(text: string): Buffer {
  return encodeDer(0x1e, Buffer.from(text, 'utf16le').swap16());
}

export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return encodeDer(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** AlgorithmIdentifier (RFC 5280 §4.1.1.2). */
export function algorithm(oid: string, ...parameters: readonly Uint8Array[]): Buffer {
  return sequence(objectIdentifier(oid), ...parameters);
}

function base128(arc: number): readonly number[] {
  const octets = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    octets.unshift(128 + (rest % 128));
  }
  return octets;
}
