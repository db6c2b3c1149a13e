import {AsnConvert} from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  Name,
  RelativeDistinguishedName,
} from '@peculiar/asn1-x509';
import {type DerElement, derInvalid, DerReader, derTags, encodeDer, readSequence} from './der.ts';
import {readAscii, readObjectIdentifier, readUtf8} from './der-values.ts';
import type {
  DistinguishedName,
  NameAttribute,
  RelativeName,
  StringType,
} from './distinguished-name.ts';
import {nameAttributes, nameInvalid} from './name-attributes.ts';

/** Names with more levels or attributes do not occur. */
const LEVELS_MAX = 100;
const ATTRIBUTES_MAX = 100;

/** Reads a name. @throws CodedError `ERR_DER_INVALID` */
export function decodeName(der: Buffer, what: string): DistinguishedName {
  return readSequence(der, what)
    .rest(derTags.set, LEVELS_MAX)
    .map(level => decodeLevel(level, what));
}

function decodeLevel({content}: DerElement, what: string): RelativeName {
  return new DerReader(content, what).rest(derTags.sequence, ATTRIBUTES_MAX).map(attribute => {
    const reader = new DerReader(attribute.content, what);
    const oid = readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
    const value = reader.any();
    reader.end();
    return attributeOfDer(oid, value);
  });
}

const stringTypes: Readonly<Record<number, Exclude<StringType, 'der'>>> = {
  [derTags.utf8String]: 'utf8',
  [derTags.printableString]: 'printable',
  [derTags.ia5String]: 'ia5',
  [derTags.teletexString]: 'teletex',
  [derTags.bmpString]: 'bmp',
  [derTags.universalString]: 'universal',
  [derTags.numericString]: 'numeric',
  [derTags.visibleString]: 'visible',
};

/** An attribute from the element that holds its value. @throws CodedError `ERR_DER_INVALID` */
export function attributeOfDer(oid: string, element: DerElement): NameAttribute {
  const what = `the value of ${oid}`;
  if ((element.tag & 0xc0) !== 0) throw derInvalid(what, 'has no universal tag');
  const stringType = stringTypes[element.tag];
  switch (stringType) {
    case 'utf8':
      return {oid, value: readUtf8(element, what), stringType};
    case 'printable':
    case 'ia5':
    case 'numeric':
    case 'visible':
      return {oid, value: readAscii(element, what), stringType};
    case 'teletex': // T.61 has code pages that nobody used; everybody reads Latin-1
      return {oid, value: element.content.toString('latin1'), stringType};
    case 'bmp':
    case 'universal':
      return readWide(oid, element, stringType);
    case undefined:
      return {oid, value: element.encoded.toString('hex'), stringType: 'der'};
    default:
      return stringType satisfies never;
  }
}

/** Big-endian units of 2 or 4 octets; what is not text stays as it is. */
function readWide(
  oid: string,
  {content, encoded}: DerElement,
  stringType: 'bmp' | 'universal',
): NameAttribute {
  const unit = stringType === 'bmp' ? 2 : 4;
  const raw = {oid, value: encoded.toString('hex'), stringType: 'der'} as const;
  if (content.length % unit !== 0) return raw;
  let value = '';
  for (let i = 0; i < content.length; i += unit) {
    const code = content.readUIntBE(i, unit);
    if (code > 0x10_ffff || (unit === 4 && code >= 0xd800 && code <= 0xdfff)) return raw;
    value += unit === 2 ? String.fromCharCode(code) : String.fromCodePoint(code);
  }
  return value.isWellFormed() ? {oid, value, stringType} : raw;
}

/** The name's DER. @throws CodedError `ERR_NAME_INVALID` for a text its attribute cannot hold */
export function encodeName(name: DistinguishedName): Buffer {
  return Buffer.from(AsnConvert.serialize(schemaName(name)));
}

/** The name as the schema library has it. @throws CodedError `ERR_NAME_INVALID` */
export function schemaName(name: DistinguishedName): Name {
  return new Name(name.map(level => new RelativeDistinguishedName(schemaLevel(level))));
}

/**
 * What was read, as the schema library has it, for writing it again octet for octet: a CA's own
 * name in what it issues, a value that is no text.
 *
 * @param type the library's class for it
 * @throws CodedError `ERR_NAME_INVALID` for what the library would write differently, or not at all
 */
export function schemaOfDer<T>(der: Buffer, type: new () => T, what: string): T {
  try {
    const value = AsnConvert.parse(der, type);
    if (Buffer.from(AsnConvert.serialize(value)).equals(der)) return value;
  } catch {
    // The library's reasons are about its own schemas, and say nothing to a person.
  }
  throw nameInvalid(`${what} is not encoded as DER has it`);
}

/** A SET OF is sorted by its encodings (X.690 §11.6), which the library leaves to its caller. */
function schemaLevel(level: RelativeName): AttributeTypeAndValue[] {
  return level
    .map(attribute => {
      const schema = new AttributeTypeAndValue({
        type: attribute.oid,
        value: schemaValue(attribute),
      });
      return {schema, der: Buffer.from(AsnConvert.serialize(schema))};
    })
    .toSorted((a, b) => Buffer.compare(a.der, b.der))
    .map(({schema}) => schema);
}

function schemaValue(attribute: NameAttribute): AttributeValue {
  const {value} = attribute;
  const stringType = attribute.stringType ?? chosenStringType(attribute);
  switch (stringType) {
    case 'utf8':
      return new AttributeValue({utf8String: value});
    case 'printable':
      return new AttributeValue({printableString: value});
    case 'ia5':
      return new AttributeValue({ia5String: value});
    case 'teletex':
      return new AttributeValue({teletexString: value});
    case 'bmp':
      return new AttributeValue({bmpString: value});
    case 'universal':
      return new AttributeValue({universalString: value});
    case 'numeric':
      return rawValue(encodeDer(derTags.numericString, Buffer.from(value)));
    case 'visible':
      return rawValue(encodeDer(derTags.visibleString, Buffer.from(value)));
    case 'der':
      return rawValue(Buffer.from(value, 'hex'));
    default:
      return stringType satisfies never;
  }
}

function rawValue(der: Buffer): AttributeValue {
  return schemaOfDer(der, AttributeValue, 'a value');
}

/** The characters of PrintableString (X.680 §41.4). */
const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
const ascii = /^[\0-\x7f]*$/;

/** As Go's x509, whose certificates ours replace: PrintableString where it can be, else UTF8String. */
function chosenStringType({oid, value}: NameAttribute): StringType {
  if (oid === nameAttributes.DC || oid === nameAttributes.EMAILADDRESS) {
    if (ascii.test(value)) return 'ia5';
    throw nameInvalid(`${JSON.stringify(value)} must be ASCII (DC and EMAILADDRESS are)`);
  }
  if (!value.isWellFormed()) throw nameInvalid('a value has half of a surrogate pair');
  return printable.test(value) ? 'printable' : 'utf8';
}
