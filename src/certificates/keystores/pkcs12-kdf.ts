import {hash} from 'node:crypto';

/** What the derived octets are for: they differ for each of the three. */
export const kdfPurposes = {key: 1, iv: 2, mac: 3} as const;

export interface Pkcs12KdfInput {
  readonly digest: 'sha1' | 'sha256';
  readonly password: string;
  readonly salt: Buffer;
  readonly iterations: number;
  readonly purpose: keyof typeof kdfPurposes;
  readonly octets: number;
}

const BLOCK_OCTETS = 64; // of both digests

/**
 * The key derivation of PKCS#12 itself (RFC 7292 appendix B.2), which its own encryption schemes
 * and its password MAC use; Node has it only inside of OpenSSL's reader.
 */
export function derivePkcs12(input: Pkcs12KdfInput): Buffer {
  const {digest, password, salt, iterations, purpose, octets} = input;
  const diversifier = Buffer.alloc(BLOCK_OCTETS, kdfPurposes[purpose]);
  const text = Buffer.concat([filled(salt), filled(encodePassword(password))]);
  const parts: Buffer[] = [];
  for (let length = 0; length < octets; length += parts.at(-1)?.length ?? octets) {
    let part: Buffer = Buffer.concat([diversifier, text]);
    for (let i = 0; i < iterations; i++) part = hash(digest, part, 'buffer');
    parts.push(part);
    const addend = repeated(part, BLOCK_OCTETS);
    for (let start = 0; start < text.length; start += BLOCK_OCTETS) {
      addPlusOne(text.subarray(start, start + BLOCK_OCTETS), addend);
    }
  }
  return Buffer.concat(parts).subarray(0, octets);
}

/** UTF-16, big endian, with two zero octets at the end (RFC 7292 appendix B.1). */
function encodePassword(password: string): Buffer {
  return Buffer.from(`${password}\0`, 'utf16le').swap16();
}

/** Repeats to whole blocks. */
function filled(octets: Buffer): Buffer {
  return repeated(octets, Math.ceil(octets.length / BLOCK_OCTETS) * BLOCK_OCTETS);
}

function repeated(octets: Buffer, length: number): Buffer {
  return Buffer.alloc(length, octets);
}

/** block = block + addend + 1, as numbers of 512 bits that wrap around. */
function addPlusOne(block: Buffer, addend: Buffer): void {
  let carry = 1;
  for (let i = block.length - 1; i >= 0; i--) {
    const sum = (block[i] ?? 0) + (addend[i] ?? 0) + carry;
    block[i] = sum & 0xff;
    carry = sum >>> 8;
  }
}
