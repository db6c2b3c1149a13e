import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';

/** The tags that X.509 uses (X.690 §8.1.2); 0xa0 + n and 0x80 + n are context-specific. */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: its tag octet, the octets inside it, and all of its octets. */
export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  readonly encoded: Buffer;
}

/**
 * Reads the elements of one constructed value in order, strictly as DER (X.690 §10) has them:
 * definite lengths in the shortest form, low tag numbers, nothing beyond the end.
 *
 * The schema library takes 1.2 ms and more to parse a certificate; at 10,000 of them when the
 * controller starts that is the start. This reader takes what the caller names, so depth is the
 * caller's; it copies nothing, and never looks at an octet twice.
 * @throws CodedError `ERR_DER_INVALID` from every method
 */
export class DerReader {
  readonly #octets: Buffer;
  readonly #what: string;
  #offset = 0;

  /** @param what what the octets are, for messages: `the subject` */
  constructor(octets: Buffer, what: string) {
    this.#octets = octets;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#octets.length;
  }

  /** The next element, which must have this tag. */
  next(tag: number): DerElement {
    const element = this.any();
    if (element.tag !== tag) {
      throw derInvalid(this.#what, `has tag ${hex(element.tag)} where ${hex(tag)} is expected`);
    }
    return element;
  }

  /** The next element if it has this tag. */
  optional(tag: number): DerElement | undefined {
    return this.#octets[this.#offset] === tag ? this.any() : undefined;
  }

  /** The next element, whatever it is. */
  any(): DerElement {
    const start = this.#offset;
    const tag = this.#octet();
    if ((tag & 0x1f) === 0x1f) throw derInvalid(this.#what, 'has a tag of more than one octet');
    const length = this.#length();
    const contentStart = this.#offset;
    const end = contentStart + length;
    if (end > this.#octets.length) throw derInvalid(this.#what, 'ends in the middle of a value');
    this.#offset = end;
    return {
      tag,
      content: this.#octets.subarray(contentStart, end),
      encoded: this.#octets.subarray(start, end),
    };
  }

  /** Reads what is left with this tag in each element, at most `countMax` of them. */
  rest(tag: number, countMax: number): readonly DerElement[] {
    const elements: DerElement[] = [];
    while (!this.isAtEnd) {
      if (elements.length === countMax) {
        throw derInvalid(this.#what, `has more than ${String(countMax)} parts`);
      }
      elements.push(this.next(tag));
    }
    return elements;
  }

  /** Refuses what has not been read. */
  end(): void {
    if (!this.isAtEnd) {
      const left = this.#octets.length - this.#offset;
      throw derInvalid(this.#what, `has ${String(left)} octets after its end`);
    }
  }

  #octet(): number {
    const octet = this.#octets[this.#offset++];
    if (octet === undefined) throw derInvalid(this.#what, 'ends too early');
    return octet;
  }

  #length(): number {
    const first = this.#octet();
    if (first < 0x80) return first;
    const octetCount = first & 0x7f;
    if (octetCount === 0 || octetCount > 3) {
      throw derInvalid(this.#what, 'has a length that is indefinite or beyond 16 MiB');
    }
    let length = 0;
    for (let i = 0; i < octetCount; i++) length = length * 256 + this.#octet();
    if (length < 0x80 || length < 256 ** (octetCount - 1)) {
      throw derInvalid(this.#what, 'has a length that is not in its shortest form');
    }
    return length;
  }
}

/** A reader of the one sequence that the octets are. */
export function readSequence(octets: Buffer, what: string): DerReader {
  return new DerReader(readOne(octets, derTags.sequence, what).content, what);
}

/** The one element that the octets are, which must have this tag. */
export function readOne(octets: Buffer, tag: number, what: string): DerElement {
  const reader = new DerReader(octets, what);
  const element = reader.next(tag);
  reader.end();
  return element;
}

/** One element of this tag and contents, for what the schema library cannot write. */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, {byteLength}) => sum + byteLength, 0);
  return Buffer.concat([Buffer.from([tag]), encodeLength(length), ...contents]);
}

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Buffer.from([0x80 + octets.length, ...octets]);
}

/** The refusal of a value, in the words of this folder. */
export function derInvalid(what: string, found: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_DER_INVALID', `${what} ${found}`, {
    hint: 'have it made again; it is cut off, damaged, or not what its name says',
  });
}

function hex(octet: number): string {
  return `0x${octet.toString(16).padStart(2, '0')}`;
}
