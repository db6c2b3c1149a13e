import type {CertificateSpec} from '../apis/certificate.ts';
import {parseGoDuration} from '../apis/duration.ts';
import {issuerReference, type IssuerReference} from '../apis/issuer-reference.ts';
import {DEFAULT_USAGES} from '../apis/usages.ts';
import {
  signingParameters,
  type SigningParameters,
} from '../controllers/certificates/signing-request.ts';
import {formatIpRange, parseIpRange} from '../x509/ip-address.ts';
import type {OwnedRequest} from './certificate-state.ts';
import {
  formatSubject,
  namesOfKind,
  sameSet,
  subjectAttributes,
  type NameKind,
} from './name-sets.ts';

/**
 * The fields of a specification that a request was not made for, as `spec.dnsNames`; none when the
 * request still asks for what the specification wants.
 *
 * Names are compared as sets, usages and durations with their defaults filled in, so that requests
 * made by cert-manager match as well as ours.
 */
export function requestDifferences(
  spec: CertificateSpec,
  {object, signing}: Pick<OwnedRequest, 'object' | 'signing'>,
): readonly string[] {
  if (signing === undefined) return ['spec.request'];
  const wanted = parametersOrNothing(spec);
  if (wanted === undefined) return ['spec']; // what cannot be asked for was not asked for
  const literal = (spec.literalSubject ?? '') !== '';
  const {subject} = signing;
  const sameName = (id: 'commonName' | 'others'): boolean =>
    sameSet(subjectAttributes(wanted.subject, id), subjectAttributes(subject, id));
  const checks: readonly (readonly [field: string, same: boolean])[] = [
    ['spec.commonName', literal || sameName('commonName')],
    ['spec.subject', literal || sameName('others')],
    ['spec.literalSubject', !literal || formatSubject(wanted.subject) === formatSubject(subject)],
    ...NAME_FIELDS.map(([field, kind]) => {
      const same = sameSet(namesOfKind(wanted.names, kind), namesOfKind(signing.names, kind));
      return [field, same] as const;
    }),
    ['spec.usages', sameSet(withDefault(spec.usages), withDefault(object.spec.usages))],
    ['spec.isCA', (spec.isCA ?? false) === (object.spec.isCA ?? false)],
    ['spec.duration', lifetimeMs(spec.duration) === lifetimeMs(object.spec.duration)],
    ['spec.issuerRef', sameIssuer(spec.issuerRef, object.spec.issuerRef)],
    ['spec.nameConstraints', constraintsText(spec.nameConstraints) === constraintsText(signing.nameConstraints)], // prettier-ignore
  ];
  return checks.flatMap(([field, same]) => (same ? [] : [field]));
}

const NAME_FIELDS: readonly (readonly [field: string, kind: NameKind])[] = [
  ['spec.dnsNames', 'dns'],
  ['spec.emailAddresses', 'email'],
  ['spec.ipAddresses', 'ip'],
  ['spec.uris', 'uri'],
  ['spec.otherNames', 'other'],
];

function parametersOrNothing(spec: CertificateSpec): SigningParameters | undefined {
  try {
    return signingParameters(spec);
  } catch {
    return undefined; // the problems of a state tell why
  }
}

function withDefault(usages: readonly string[] = []): readonly string[] {
  const words = usages.length === 0 ? DEFAULT_USAGES : usages;
  return words.map(word => SAME_USAGES[word] ?? word);
}

/** Two words for one bit (cert-manager.io/v1 `KeyUsage`). */
const SAME_USAGES: Readonly<Record<string, string>> = {signing: 'digital signature'};

/** What cert-manager asks for when nothing is said: 90 days. */
const LIFETIME_MS_DEFAULT = 2_160 * 3_600_000;

function lifetimeMs(duration: string | undefined): number | undefined {
  if (duration === undefined || duration === '') return LIFETIME_MS_DEFAULT;
  try {
    return parseGoDuration(duration);
  } catch {
    return undefined;
  }
}

function sameIssuer(a: IssuerReference, b: IssuerReference): boolean {
  const left = issuerReference(a);
  const right = issuerReference(b);
  return left.name === right.name && left.kind === right.kind && left.group === right.group;
}

interface ConstraintSets {
  readonly dnsDomains?: readonly string[];
  readonly ipRanges?: readonly string[];
  readonly emailAddresses?: readonly string[];
  readonly uriDomains?: readonly string[];
}

interface Constraints {
  readonly critical?: boolean;
  readonly permitted?: ConstraintSets;
  readonly excluded?: ConstraintSets;
}

/** Lists in any order, empty ones as if they were not there, ranges without the bits they mask. */
function constraintsText(constraints: Constraints | undefined): string {
  const lists = [constraints?.permitted, constraints?.excluded].flatMap(sets => [
    sets?.dnsDomains ?? [],
    (sets?.ipRanges ?? []).map(canonicalRange),
    sets?.emailAddresses ?? [],
    sets?.uriDomains ?? [],
  ]);
  // Without any of them there is no extension that could be critical.
  const isCritical = lists.some(list => list.length > 0) && constraints?.critical === true;
  return JSON.stringify([isCritical, ...lists.map(list => [...new Set(list)].toSorted())]);
}

function canonicalRange(text: string): string {
  const octets = parseIpRange(text);
  return (octets === undefined ? undefined : formatIpRange(octets)) ?? text;
}
