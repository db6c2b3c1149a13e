import {AsnConvert} from '@peculiar/asn1-schema';
import {GeneralName as SchemaGeneralName, GeneralNames, OtherName} from '@peculiar/asn1-x509';
import {type DerElement, derInvalid, DerReader, derTags, encodeDer, readSequence} from './der.ts';
import {readAscii, readObjectIdentifier, readUtf8} from './der-values.ts';
import type {DistinguishedName} from './distinguished-name.ts';
import {formatIpAddress, parseIpAddress} from './ip-address.ts';
import {nameInvalid} from './name-attributes.ts';
import {decodeName, schemaName, schemaOfDer} from './name-encoding.ts';
import {isObjectIdentifier} from './object-identifier.ts';

/** A name of a subject beside its distinguished name (RFC 5280 §4.2.1.6). */
export type GeneralName =
  | {readonly kind: 'dns' | 'email' | 'uri'; readonly value: string}
  /** In canonical form when read: IPv4 dotted, IPv6 as RFC 5952 writes it. */
  | {readonly kind: 'ip'; readonly value: string}
  /** `value` is the text of a UTF8String, as Certificates have it. */
  | {readonly kind: 'other'; readonly oid: string; readonly value: string}
  | {readonly kind: 'directory'; readonly name: DistinguishedName}
  | {readonly kind: 'registeredId'; readonly value: string}
  /** What others' requests may hold and ours never do: kept as DER in hexadecimal. */
  | {readonly kind: 'opaque'; readonly der: string};

/** More names than fit a certificate within its size limit. */
const NAMES_MAX = 4_000;
const OPAQUE_HINT = 'names of the kinds x400Address and ediPartyName are not issued';

/** Context-specific tags of GeneralName. */
const tags = {other: 0xa0, email: 0x81, dns: 0x82, directory: 0xa4, uri: 0x86, ip: 0x87, id: 0x88};

/** Reads a SubjectAltName's content. @throws CodedError `ERR_DER_INVALID` */
export function decodeGeneralNames(der: Buffer, what: string): readonly GeneralName[] {
  const reader = readSequence(der, what);
  const names: GeneralName[] = [];
  while (!reader.isAtEnd) {
    if (names.length === NAMES_MAX)
      throw derInvalid(what, `has more than ${String(NAMES_MAX)} names`);
    names.push(decodeGeneralName(reader.any(), what));
  }
  return names;
}

/** Reads one name. @throws CodedError `ERR_DER_INVALID` */
export function decodeGeneralName(element: DerElement, what: string): GeneralName {
  switch (element.tag) {
    case tags.dns:
      return {kind: 'dns', value: readAscii(element, what)};
    case tags.email:
      return {kind: 'email', value: readAscii(element, what)};
    case tags.uri:
      return {kind: 'uri', value: readAscii(element, what)};
    case tags.ip:
      return {kind: 'ip', value: readIp(element, what)};
    case tags.directory: // a CHOICE is tagged explicitly: the name is inside
      return {kind: 'directory', name: decodeName(element.content, what)};
    case tags.id:
      return {kind: 'registeredId', value: readObjectIdentifier(element, what)};
    case tags.other:
      return readOther(element, what);
    case 0xa3:
    case 0xa5:
      return {kind: 'opaque', der: element.encoded.toString('hex')};
    default:
      throw derInvalid(what, 'has a name of a kind that does not exist');
  }
}

function readIp({content}: DerElement, what: string): string {
  const text = formatIpAddress(content);
  if (text === undefined) throw derInvalid(what, 'has an IP address that is not 4 or 16 octets');
  return text;
}

function readOther({content, encoded}: DerElement, what: string): GeneralName {
  const reader = new DerReader(content, what);
  const oid = readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
  const wrapped = new DerReader(reader.next(0xa0).content, what);
  const value = wrapped.any();
  wrapped.end();
  reader.end();
  return value.tag === derTags.utf8String
    ? {kind: 'other', oid, value: readUtf8(value, what)}
    : {kind: 'opaque', der: encoded.toString('hex')};
}

/** The DER of a SubjectAltName. @throws CodedError `ERR_NAME_INVALID` */
export function encodeGeneralNames(names: readonly GeneralName[]): Buffer {
  return Buffer.from(AsnConvert.serialize(new GeneralNames(names.map(schemaGeneralName))));
}

/** A name as the schema library has it. @throws CodedError `ERR_NAME_INVALID` */
export function schemaGeneralName(name: GeneralName): SchemaGeneralName {
  switch (name.kind) {
    case 'dns':
      return new SchemaGeneralName({dNSName: visibleAscii(name.value, 'DNS name')});
    case 'email':
      return new SchemaGeneralName({rfc822Name: visibleAscii(name.value, 'e-mail address')});
    case 'uri':
      return new SchemaGeneralName({
        uniformResourceIdentifier: visibleAscii(name.value, 'URI'),
      });
    case 'ip':
      return new SchemaGeneralName({iPAddress: canonicalIp(name.value)});
    case 'other':
      return new SchemaGeneralName({otherName: schemaOtherName(name)});
    case 'directory':
      return new SchemaGeneralName({directoryName: schemaName(name.name)});
    case 'registeredId':
      return new SchemaGeneralName({registeredID: knownOid(name.value)});
    case 'opaque':
      return schemaOpaque(Buffer.from(name.der, 'hex'));
    default:
      return name satisfies never;
  }
}

/** IA5String by the standard; what a person cannot see is a mistake that nobody would find. */
function visibleAscii(value: string, what: string): string {
  if (/^[\x21-\x7e]+$/.test(value)) return value;
  throw nameInvalid(
    `the ${what} ${JSON.stringify(value.slice(0, 100))} is empty or has other characters than ` +
      'visible ASCII; international domain names are written in punycode, xn--…',
  );
}

function canonicalIp(value: string): string {
  const octets = parseIpAddress(value);
  const text = octets && formatIpAddress(octets);
  if (text === undefined) throw nameInvalid(`${JSON.stringify(value)} is not an IP address`);
  return text;
}

function schemaOtherName({oid, value}: {readonly oid: string; readonly value: string}): OtherName {
  if (!value.isWellFormed()) throw nameInvalid('an other name has half of a surrogate pair');
  const text = encodeDer(derTags.utf8String, Buffer.from(value));
  return new OtherName({typeId: knownOid(oid), value: new Uint8Array(text).buffer});
}

function knownOid(oid: string): string {
  if (isObjectIdentifier(oid)) return oid;
  throw nameInvalid(`${JSON.stringify(oid)} is not an object identifier`);
}

/** Other names with any value go through as they are. */
function schemaOpaque(der: Buffer): SchemaGeneralName {
  if (der[0] === tags.other) return schemaOfDer(der, SchemaGeneralName, 'an other name');
  throw nameInvalid(OPAQUE_HINT);
}
