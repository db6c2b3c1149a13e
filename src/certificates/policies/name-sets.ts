import type {DistinguishedName} from '../x509/distinguished-name.ts';
import type {GeneralName} from '../x509/general-names.ts';
import {formatIpAddress, parseIpAddress} from '../x509/ip-address.ts';

/** Kinds of names that a Certificate can ask for. */
export type NameKind = 'dns' | 'email' | 'ip' | 'uri' | 'other';

/** X.520 §6.2.2. */
const COMMON_NAME_OID = '2.5.4.3';

/** The values of one kind of names, spelt one way each. */
export function namesOfKind(names: readonly GeneralName[], kind: NameKind): readonly string[] {
  return names.flatMap(name => {
    if (name.kind !== kind) return [];
    switch (name.kind) {
      case 'ip':
        return [canonicalAddress(name.value)];
      case 'uri':
        return [canonicalUri(name.value)];
      case 'other':
        return [`${name.oid}=${name.value}`];
      default:
        return 'value' in name ? [name.value] : [];
    }
  });
}

/** The common names of a subject, or all its other attributes, as `oid=value`. */
export function subjectAttributes(
  subject: DistinguishedName,
  which: 'commonName' | 'others',
): readonly string[] {
  return subject.flatMap(attributes =>
    attributes
      .filter(({oid}) => (oid === COMMON_NAME_OID) === (which === 'commonName'))
      .map(({oid, value}) => `${oid}=${value}`),
  );
}

/** The values of the common names of a subject. */
export function commonNames(subject: DistinguishedName): readonly string[] {
  return subject.flatMap(attributes =>
    attributes.filter(({oid}) => oid === COMMON_NAME_OID).map(({value}) => value),
  );
}

/** A subject in its own order; inside one RDN the order means nothing. */
export function formatSubject(subject: DistinguishedName): string {
  return JSON.stringify(
    subject.map(attributes => attributes.map(({oid, value}) => `${oid}=${value}`).toSorted()),
  );
}

export function sameSet(a: readonly string[], b: readonly string[]): boolean {
  const left = new Set(a);
  const right = new Set(b);
  return left.size === right.size && left.isSubsetOf(right);
}

/** IPv6 has many spellings, and an address mapped from IPv4 is encoded as IPv4. */
function canonicalAddress(text: string): string {
  const octets = parseIpAddress(text);
  return (octets === undefined ? undefined : formatIpAddress(octets)) ?? text;
}

/** A parser may have escaped a character or lowered the host. */
function canonicalUri(text: string): string {
  return URL.parse(text)?.href ?? text;
}
