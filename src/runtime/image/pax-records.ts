import type {ByteString, NodeTime} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';
import {OWNER_MAX} from './tar-header.ts';

/** What an extended header says about entries; absent members are left as the header has them. */
export interface PaxRecords {
  readonly path?: ByteString;
  readonly linkPath?: ByteString;
  readonly sizeBytes?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modified?: NodeTime;
  readonly attributes?: readonly ExtendedAttribute[];
}

export interface ExtendedAttribute {
  /** With its namespace, e.g. `security.capability`. */
  readonly name: ByteString;
  readonly value: Buffer;
}

const ATTRIBUTE_PREFIX = 'SCHILY.xattr.';
const ATTRIBUTE_NAME_BYTES_MAX = 255; // XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h
const ATTRIBUTE_BYTES_MAX = 65_536;
const LENGTH_DIGITS_MAX = 10;
const LINE_END = 0x0a;
const SPACE = 0x20;
const EQUALS = 0x3d;

/**
 * Reads the body of an extended header: `LENGTH KEY=VALUE\n`, LENGTH counting the whole record
 * (POSIX.1-2017, pax, "pax Extended Header").
 *
 * @throws CodedError ERR_LAYER_INVALID; also for sparse files, which no builder of images writes
 */
export function parsePaxRecords(body: Buffer): PaxRecords {
  const attributes: ExtendedAttribute[] = [];
  let records: PaxRecords = {};
  for (let at = 0; at < body.length;) {
    const {key, value, end} = recordAt(body, at);
    at = end;
    if (key.startsWith(ATTRIBUTE_PREFIX)) {
      attributes.push(attributeOf(key.slice(ATTRIBUTE_PREFIX.length), value));
    } else {
      records = {...records, ...knownRecord(key, value)};
    }
  }
  return attributes.length === 0 ? records : {...records, attributes};
}

function recordAt(
  body: Buffer,
  start: number,
): {readonly key: ByteString; readonly value: Buffer; readonly end: number} {
  const space = body.indexOf(SPACE, start);
  const digits = space === -1 ? '' : body.toString('latin1', start, space);
  if (digits.length > LENGTH_DIGITS_MAX || !/^[0-9]+$/.test(digits)) throw broken();
  const end = start + Number(digits);
  const equals = body.indexOf(EQUALS, space + 1);
  if (end > body.length || body[end - 1] !== LINE_END || equals === -1 || equals >= end) {
    throw broken();
  }
  const key = body.toString('latin1', space + 1, equals);
  return {key, value: body.subarray(equals + 1, end - 1), end};
}

function knownRecord(key: ByteString, value: Buffer): PaxRecords {
  switch (key) {
    case 'path':
      return {path: textOf(value)};
    case 'linkpath':
      return {linkPath: textOf(value)};
    case 'size':
      return {sizeBytes: integerOf(value, Number.MAX_SAFE_INTEGER)};
    case 'uid':
      return {uid: integerOf(value, OWNER_MAX)};
    case 'gid':
      return {gid: integerOf(value, OWNER_MAX)};
    case 'mtime':
      return {modified: timeOf(value)};
    default:
      if (key.startsWith('GNU.sparse.')) throw layerInvalid('it has sparse files');
      return {}; // atime, comment and the like change nothing that we keep
  }
}

function attributeOf(name: ByteString, value: Buffer): ExtendedAttribute {
  const isNamed = name.length > 0 && name.length <= ATTRIBUTE_NAME_BYTES_MAX;
  if (!isNamed || name.includes('\0'))
    throw layerInvalid('an extended attribute has no valid name');
  if (value.length > ATTRIBUTE_BYTES_MAX) {
    throw layerInvalid(`an extended attribute is ${value.length} bytes long`);
  }
  return {name, value: Buffer.from(value)};
}

function textOf(value: Buffer): ByteString {
  const text = value.toString('latin1');
  if (text.includes('\0')) throw layerInvalid('a path has a NUL byte');
  return text;
}

function integerOf(value: Buffer, max: number): number {
  const text = value.toString('latin1');
  const number = Number(text);
  if (!/^[0-9]{1,16}$/.test(text) || number > max) throw broken();
  return number;
}

/** Decimal seconds with a fraction, negative before 1970: -1.25 is 750,000,000 ns after -2. */
function timeOf(value: Buffer): NodeTime {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value.toString('latin1'));
  if (match === null) throw broken();
  const whole = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return {seconds: whole, nanoseconds};
  if (nanoseconds === 0) return {seconds: -whole, nanoseconds: 0};
  return {seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds};
}

function broken(): Error {
  return layerInvalid('an extended header is not valid');
}
