import {AsnConvert} from '@peculiar/asn1-schema';
import {
  GeneralName as SchemaGeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  NameConstraints as SchemaNameConstraints,
} from '@peculiar/asn1-x509';
import {type DerElement, derInvalid, DerReader, derTags, readSequence} from './der.ts';
import {readAscii} from './der-values.ts';
import {formatIpRange, parseIpRange} from './ip-address.ts';
import {nameInvalid} from './name-attributes.ts';

/** Names below which a CA may or may not issue, as in a Certificate's `spec.nameConstraints`. */
export interface NameConstraintItem {
  readonly dnsDomains?: readonly string[];
  /** CIDR */
  readonly ipRanges?: readonly string[];
  readonly emailAddresses?: readonly string[];
  readonly uriDomains?: readonly string[];
}

export interface NameConstraints {
  readonly critical?: boolean;
  readonly permitted?: NameConstraintItem;
  readonly excluded?: NameConstraintItem;
  /** Read only: there are names of another kind beside these (directory names, other names). */
  readonly hasUnknown?: true;
}

const ITEMS_MAX = 4_000;
const tags = {email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87};

/**
 * Reads NameConstraints (RFC 5280 §4.2.1.10). Names of another kind are only noted, as Go does it:
 * whether that matters depends on what is done with the rest.
 *
 * @throws CodedError `ERR_DER_INVALID`
 */
export function decodeNameConstraints(der: Buffer, critical: boolean): NameConstraints {
  const what = 'the name constraints';
  const reader = readSequence(der, what);
  const permitted = reader.optional(0xa0);
  const excluded = reader.optional(0xa1);
  reader.end();
  const items = {
    ...(permitted && {permitted: decodeItem(permitted, what)}),
    ...(excluded && {excluded: decodeItem(excluded, what)}),
  };
  const hasUnknown = Object.values(items).some(item => item.hasUnknown);
  return {
    critical,
    ...(items.permitted && {permitted: items.permitted.item}),
    ...(items.excluded && {excluded: items.excluded.item}),
    ...(hasUnknown && {hasUnknown}),
  };
}

function decodeItem(
  {content}: DerElement,
  what: string,
): {readonly item: NameConstraintItem; readonly hasUnknown: boolean} {
  const lists = {
    dnsDomains: [] as string[],
    ipRanges: [] as string[],
    emailAddresses: [] as string[],
    uriDomains: [] as string[],
  };
  let hasUnknown = false;
  for (const subtree of new DerReader(content, what).rest(derTags.sequence, ITEMS_MAX)) {
    // minimum and maximum follow the base; RFC 5280 has them always 0 and absent.
    const base = new DerReader(subtree.content, what).any();
    switch (base.tag) {
      case tags.dns:
        lists.dnsDomains.push(readAscii(base, what));
        break;
      case tags.ip:
        lists.ipRanges.push(readRange(base, what));
        break;
      case tags.email:
        lists.emailAddresses.push(readAscii(base, what));
        break;
      case tags.uri:
        lists.uriDomains.push(readAscii(base, what));
        break;
      default:
        hasUnknown = true;
    }
  }
  const item = Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0));
  return {item, hasUnknown};
}

function readRange({content}: DerElement, what: string): string {
  const text = formatIpRange(content);
  if (text === undefined) throw derInvalid(what, 'have an IP range that is not address and mask');
  return text;
}

/** The DER of the extension's content. @throws CodedError `ERR_NAME_INVALID` */
export function encodeNameConstraints({permitted, excluded}: NameConstraints): Buffer {
  const permittedSubtrees = schemaSubtrees(permitted);
  const excludedSubtrees = schemaSubtrees(excluded);
  return Buffer.from(
    AsnConvert.serialize(
      new SchemaNameConstraints({
        ...(permittedSubtrees && {permittedSubtrees}),
        ...(excludedSubtrees && {excludedSubtrees}),
      }),
    ),
  );
}

function schemaSubtrees(item: NameConstraintItem = {}): GeneralSubtrees | undefined {
  const {dnsDomains = [], ipRanges = [], emailAddresses = [], uriDomains = []} = item;
  const bases = [
    ...dnsDomains.map(dNSName => new SchemaGeneralName({dNSName: ascii(dNSName)})),
    ...ipRanges.map(range => new SchemaGeneralName({iPAddress: canonicalRange(range)})),
    ...emailAddresses.map(rfc822Name => new SchemaGeneralName({rfc822Name: ascii(rfc822Name)})),
    ...uriDomains.map(uri => new SchemaGeneralName({uniformResourceIdentifier: ascii(uri)})),
  ];
  if (bases.length === 0) return undefined;
  return new GeneralSubtrees(bases.map(base => new GeneralSubtree({base})));
}

/** An empty DNS domain is right: it is every domain. */
function ascii(value: string): string {
  if (/^[\x21-\x7e]*$/.test(value)) return value;
  throw nameInvalid(`the name constraint ${JSON.stringify(value.slice(0, 100))} is not ASCII`);
}

function canonicalRange(range: string): string {
  const octets = parseIpRange(range);
  const text = octets && formatIpRange(octets);
  if (text === undefined) throw nameInvalid(`${JSON.stringify(range)} is not an IP range (CIDR)`);
  return text;
}
