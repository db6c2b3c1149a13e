import type {ByteString, NodeTime} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';

/** One header block as it stands, before extended headers change it (POSIX pax, GNU tar manual). */
export interface TarHeader {
  readonly path: ByteString;
  /** The type flag; NUL reads as `0`. */
  readonly type: string;
  /** Permission bits, with set-user-id, set-group-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Number of content bytes that follow. */
  readonly sizeBytes: number;
  readonly modified: NodeTime;
  /** Target of a link. */
  readonly linkPath: ByteString;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Archives are made of blocks of this many bytes. */
export const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
const SPACE = 0x20;

/**
 * Reads a header block: old, ustar (with prefix) and GNU format, numbers in octal or base 256.
 *
 * @returns undefined for a block of zeros, which ends an archive
 * @throws CodedError ERR_LAYER_INVALID
 */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  let sum = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) sum += block[at] ?? 0;
  if (sum === 0) return undefined;
  let inField = 0;
  for (let at = CHECKSUM_AT; at < CHECKSUM_AT + CHECKSUM_BYTES; at++) inField += block[at] ?? 0;
  const expected = sum - inField + CHECKSUM_BYTES * SPACE;
  if (numberAt(block, CHECKSUM_AT, CHECKSUM_BYTES) !== expected) {
    throw layerInvalid('the checksum of a header is wrong');
  }
  const magic = block.toString('latin1', 257, 265);
  const prefix = magic === 'ustar\x0000' ? textAt(block, 345, 155) : '';
  const name = textAt(block, 0, 100);
  const typeByte = block[156] ?? 0;
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type: typeByte === 0 ? '0' : String.fromCharCode(typeByte),
    mode: numberAt(block, 100, 8) & 0o7777,
    uid: ownerAt(block, 108),
    gid: ownerAt(block, 116),
    sizeBytes: sizeAt(block),
    modified: {seconds: numberAt(block, 136, 12), nanoseconds: 0},
    linkPath: textAt(block, 157, 100),
    deviceMajor: magic.startsWith('ustar') ? numberAt(block, 329, 8) : 0,
    deviceMinor: magic.startsWith('ustar') ? numberAt(block, 337, 8) : 0,
  };
}

function sizeAt(block: Buffer): number {
  const size = numberAt(block, 124, 12);
  if (size < 0) throw layerInvalid('an entry has a negative size');
  return size;
}

function ownerAt(block: Buffer, start: number): number {
  const owner = numberAt(block, start, 8);
  if (owner < 0 || owner > OWNER_MAX) throw layerInvalid(`${owner} is not a user or group id`);
  return owner;
}

/** 4294967295 means "leave it" to chown(2). */
export const OWNER_MAX = 0xffff_fffe;

/** Bytes up to the first NUL. */
function textAt(block: Buffer, start: number, length: number): ByteString {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return block.toString('latin1', start, end);
}

/** Octal digits between spaces and NULs; or, with the first bit set, two's complement base 256. */
function numberAt(block: Buffer, start: number, length: number): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) !== 0) return base256At(block, start, length);
  let at = start;
  const end = start + length;
  while (at < end && (block[at] === SPACE || block[at] === 0)) at++;
  let value = 0;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end; at++) {
    if (block[at] !== SPACE && block[at] !== 0) throw layerInvalid('a number is not octal');
  }
  return value;
}

function base256At(block: Buffer, start: number, length: number): number {
  const first = block[start] ?? 0;
  let value = BigInt((first & 0x40) === 0 ? first & 0x3f : (first & 0x7f) - 0x80);
  for (let at = start + 1; at < start + length; at++) {
    value = (value << 8n) | BigInt(block[at] ?? 0);
  }
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw layerInvalid('a number is out of range');
  return number;
}
