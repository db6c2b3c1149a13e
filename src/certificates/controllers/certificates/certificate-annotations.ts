import {secretAnnotations} from '../../apis/names.ts';
import {nameValues, type DistinguishedName} from '../../x509/distinguished-name.ts';
import {nameAttributes} from '../../x509/name-attributes.ts';
import type {GeneralName} from '../../x509/general-names.ts';

/** Of a certificate, what its Secret's annotations tell. */
export interface CertificateDetails {
  readonly subject: DistinguishedName;
  readonly names: readonly GeneralName[];
}

/**
 * The annotations that describe the certificate in a Secret (certificates.md §1.6).
 *
 * The common name and the three lists of DNS names, addresses and URIs are always there, if empty;
 * the others only when they say something. Lists are one line of CSV in the order of the
 * certificate.
 */
export function certificateAnnotations({
  subject,
  names,
}: CertificateDetails): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = {
    [secretAnnotations.commonName]: nameValues(subject, nameAttributes.CN).at(-1) ?? '',
  };
  const add = (annotation: string, values: readonly string[], {always = false} = {}): void => {
    // A line feed after a carriage return would not be read back as it was: better no annotation.
    if (values.some(value => value.includes('\r\n'))) return;
    if (values.length > 0 || always) annotations[annotation] = formatCsvLine(values);
  };
  const serialNumber = nameValues(subject, nameAttributes.SERIALNUMBER).at(-1) ?? '';
  if (serialNumber !== '') annotations[secretAnnotations.subjectSerialNumber] = serialNumber;
  for (const [oid, annotation] of subjectLists) add(annotation, nameValues(subject, oid));
  add(secretAnnotations.emailSans, valuesOf(names, 'email'));
  add(secretAnnotations.altNames, valuesOf(names, 'dns'), {always: true});
  add(secretAnnotations.ipSans, valuesOf(names, 'ip'), {always: true});
  add(secretAnnotations.uriSans, valuesOf(names, 'uri'), {always: true});
  return annotations;
}

const subjectLists: readonly (readonly [oid: string, annotation: string])[] = [
  [nameAttributes.O, secretAnnotations.subjectOrganizations],
  [nameAttributes.OU, secretAnnotations.subjectOrganizationalUnits],
  [nameAttributes.C, secretAnnotations.subjectCountries],
  [nameAttributes.ST, secretAnnotations.subjectProvinces],
  [nameAttributes.L, secretAnnotations.subjectLocalities],
  [nameAttributes.POSTALCODE, secretAnnotations.subjectPostalCodes],
  [nameAttributes.STREET, secretAnnotations.subjectStreetAddresses],
];

function valuesOf(
  names: readonly GeneralName[],
  kind: 'dns' | 'email' | 'ip' | 'uri',
): readonly string[] {
  return names.flatMap(name => (name.kind === kind ? [name.value] : []));
}

/** RFC 4180: a field is quoted when it must be, or when it begins with a space. */
export function formatCsvLine(fields: readonly string[]): string {
  return fields.map(field => (needsQuotes.test(field) ? quoted(field) : field)).join(',');
}

const needsQuotes = /[",\r\n]|^\s|^\\\.$/u;

const quoted = (field: string): string => `"${field.replaceAll('"', '""')}"`;
