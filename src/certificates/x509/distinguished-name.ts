import {nameAttributes} from './name-attributes.ts';

/**
 * How an attribute's text is stored; `der` is a value that is no text: its DER in hexadecimal.
 * Absent when building: chosen by the attribute and the text (`name-encoding.ts`).
 */
export type StringType =
  | 'utf8' | 'printable' | 'ia5' | 'teletex' | 'bmp' | 'universal' | 'numeric' | 'visible' | 'der'; // prettier-ignore

export interface NameAttribute {
  /** Dotted object identifier. */
  readonly oid: string;
  readonly value: string;
  readonly stringType?: StringType;
}

/** One level of a name: usually one attribute, sometimes several (a set: order says nothing). */
export type RelativeName = readonly NameAttribute[];

/** A subject or issuer (RFC 5280 §4.1.2.4) in the order of its DER: the most general level first. */
export type DistinguishedName = readonly RelativeName[];

/** The fields of a Certificate's subject, in the order in which they are encoded. */
export interface SubjectFields {
  readonly countries?: readonly string[];
  readonly organizations?: readonly string[];
  readonly organizationalUnits?: readonly string[];
  readonly localities?: readonly string[];
  readonly provinces?: readonly string[];
  readonly streetAddresses?: readonly string[];
  readonly postalCodes?: readonly string[];
  readonly commonName?: string;
  readonly serialNumber?: string;
}

/**
 * The name that a Certificate's fields make. Several values of one field are one level with several
 * attributes, as cert-manager and Go's x509 have it; empty fields are left out.
 */
export function subjectName(fields: SubjectFields): DistinguishedName {
  const levels: readonly (readonly [string, readonly string[] | undefined])[] = [
    [nameAttributes.C, fields.countries],
    [nameAttributes.O, fields.organizations],
    [nameAttributes.OU, fields.organizationalUnits],
    [nameAttributes.L, fields.localities],
    [nameAttributes.ST, fields.provinces],
    [nameAttributes.STREET, fields.streetAddresses],
    [nameAttributes.POSTALCODE, fields.postalCodes],
    [nameAttributes.CN, fields.commonName ? [fields.commonName] : []],
    [nameAttributes.SERIALNUMBER, fields.serialNumber ? [fields.serialNumber] : []],
  ];
  return levels
    .filter(([, values]) => values !== undefined && values.length > 0)
    .map(([oid, values = []]) => values.map(value => ({oid, value})));
}

/** The values of one attribute anywhere in the name, e.g. of `nameAttributes.CN`. */
export function nameValues(name: DistinguishedName, oid: string): readonly string[] {
  return name.flat().flatMap(attribute => (attribute.oid === oid ? [attribute.value] : []));
}
