import {isCoded} from '#shared/errors';
import {nearest} from '#shared/nearest';
import {DerReader} from './der.ts';
import type {DistinguishedName, NameAttribute, RelativeName} from './distinguished-name.ts';
import {nameAttributes, nameInvalid} from './name-attributes.ts';
import {attributeOfDer} from './name-encoding.ts';
import {isObjectIdentifier} from './object-identifier.ts';

/** Longer subjects would not fit a certificate's limits together with its key and extensions. */
const TEXT_LENGTH_MAX = 8_192;
/** Characters that RFC 4514 §2.4 lets a backslash precede. */
const ESCAPABLE = ' "#+,;<=>\\';

/**
 * Reads a literal subject: RFC 4514, which is written with the most specific level first, so the
 * levels are turned round. Keys are cert-manager's (C, O, OU, CN, SERIALNUMBER, L, ST, STREET, DC,
 * UID), POSTALCODE, EMAILADDRESS, or a dotted object identifier, in any case.
 *
 * @throws CodedError `ERR_NAME_INVALID`, with the position of what is wrong
 */
export function parseLiteralSubject(text: string): DistinguishedName {
  return parseLevels(text).toReversed();
}

/** The name as RFC 4514 writes it; `parseLiteralSubject` reads it back. Empty for an empty name. */
export function formatName(name: DistinguishedName): string {
  return name.toReversed().map(formatLevel).join(',');
}

/** The levels in the order in which they stand in the text. */
function parseLevels(text: string): readonly RelativeName[] {
  if (text.trim() === '') throw nameInvalid('it is empty');
  if (!text.isWellFormed()) throw nameInvalid('it has half of a surrogate pair');
  if (text.length > TEXT_LENGTH_MAX) {
    throw nameInvalid(
      `it has ${String(text.length)} characters, more than ${String(TEXT_LENGTH_MAX)}`,
    );
  }
  const levels: RelativeName[] = [];
  let level: NameAttribute[] = [];
  let position = 0;
  for (;;) {
    const {attribute, end} = parseAttribute(text, position);
    level.push(attribute);
    const separator = text[end];
    if (separator !== '+') {
      levels.push(level);
      level = [];
    }
    if (separator === undefined) return levels;
    position = end + 1;
  }
}

interface Parsed {
  readonly attribute: NameAttribute;
  /** Where the separator is, or the length of the text. */
  readonly end: number;
}

function parseAttribute(text: string, start: number): Parsed {
  const equals = text.indexOf('=', start);
  const key = equals === -1 ? undefined : text.slice(start, equals).trim();
  if (key === undefined || /[,+;]/.test(key)) {
    throw nameInvalid(`at character ${String(start + 1)} there is no KEY=VALUE`);
  }
  const oid = attributeOid(key, start);
  const valueStart = equals + 1 + leadingSpaces(text, equals + 1);
  if (text[valueStart] === '#') return parseHexValue(text, oid, valueStart);
  const {value, end} = parseText(text, valueStart);
  return {attribute: {oid, value}, end};
}

function attributeOid(key: string, start: number): string {
  const upper = key.toUpperCase();
  if (Object.hasOwn(nameAttributes, upper))
    return nameAttributes[upper as keyof typeof nameAttributes];
  const dotted = upper.startsWith('OID.') ? key.slice(4) : key;
  if (isObjectIdentifier(dotted)) return dotted;
  const near = nearest(upper, Object.keys(nameAttributes));
  throw nameInvalid(
    `at character ${String(start + 1)} the key ${JSON.stringify(key)} is not known` +
      (near === undefined ? '' : `; did you mean ${near}?`),
  );
}

/** `#` and the DER of the value in hexadecimal (RFC 4514 §2.4), up to the next separator. */
function parseHexValue(text: string, oid: string, start: number): Parsed {
  const [found = ''] = /^#[^,+;]*/.exec(text.slice(start)) ?? [];
  const digits = found.slice(1).trim();
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(digits)) {
    throw nameInvalid(`at character ${String(start + 1)} a value is not # and pairs of hex digits`);
  }
  try {
    const reader = new DerReader(Buffer.from(digits, 'hex'), 'the value');
    const element = reader.any();
    reader.end();
    return {attribute: attributeOfDer(oid, element), end: start + found.length};
  } catch (error) {
    if (!isCoded(error)) throw error;
    throw nameInvalid(`at character ${String(start + 1)}: ${error.message}`);
  }
}

/** Text with its escapes, without the spaces around it that are not escaped. */
function parseText(text: string, start: number): {readonly value: string; readonly end: number} {
  const octets: Buffer[] = [];
  let endOfKept = 0; // parts up to here stay; those after it are trailing spaces so far
  let position = start;
  while (position < text.length && !isSeparator(text, position)) {
    const {octets: part, length, isSpace} = textPart(text, position);
    octets.push(part);
    position += length;
    if (!isSpace) endOfKept = octets.length;
  }
  try {
    const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});
    return {value: decoder.decode(Buffer.concat(octets.slice(0, endOfKept))), end: position};
  } catch {
    throw nameInvalid(`at character ${String(start + 1)} a value is not UTF-8`);
  }
}

function textPart(
  text: string,
  position: number,
): {readonly octets: Buffer; readonly length: number; readonly isSpace: boolean} {
  const character = String.fromCodePoint(text.codePointAt(position) ?? 0);
  const next = text[position + 1] ?? '';
  const pair = text.slice(position + 1, position + 3);
  if (character !== '\\') {
    if (character === '"' || character === '<' || character === '>' || character === '\0') {
      throw nameInvalid(
        `at character ${String(position + 1)} a ${JSON.stringify(character)} needs a backslash`,
      );
    }
    const isSpace = character === ' ';
    return {octets: Buffer.from(character), length: character.length, isSpace};
  }
  if (next !== '' && ESCAPABLE.includes(next))
    return {octets: Buffer.from(next), length: 2, isSpace: false};
  if (/^[0-9a-fA-F]{2}$/.test(pair))
    return {octets: Buffer.from(pair, 'hex'), length: 3, isSpace: false};
  throw nameInvalid(`at character ${String(position + 1)} a backslash escapes nothing that can be`);
}

/** go-ldap, which cert-manager reads these texts with, takes RFC 2253's semicolon too. */
function isSeparator(text: string, position: number): boolean {
  const character = text[position];
  return character === ',' || character === '+' || character === ';';
}

function leadingSpaces(text: string, start: number): number {
  let count = 0;
  while (text[start + count] === ' ') count++;
  return count;
}

/** One level as RFC 4514 §2.2 to §2.4 write it. */
function formatLevel(level: RelativeName): string {
  return level.map(formatAttribute).join('+');
}

function formatAttribute({oid, value, stringType}: NameAttribute): string {
  const [key = oid] = Object.entries(nameAttributes).find(([, known]) => known === oid) ?? [];
  return `${key}=${stringType === 'der' ? `#${value}` : escapeText(value)}`;
}

function escapeText(value: string): string {
  const inner = value.replaceAll(/["+,;<>\\]/g, '\\$&').replaceAll('\0', '\\00');
  const trailing = value.length > 1 && value.endsWith(' ') ? `${inner.slice(0, -1)}\\ ` : inner;
  return /^[ #]/.test(value) ? `\\${trailing}` : trailing;
}
