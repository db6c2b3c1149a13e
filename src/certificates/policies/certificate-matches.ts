import type {CertificateSpec} from '../apis/certificate.ts';
import {
  signingParameters,
  type SigningParameters,
} from '../controllers/certificates/signing-request.ts';
import type {DistinguishedName} from '../x509/distinguished-name.ts';
import type {GeneralName} from '../x509/general-names.ts';
import {commonNames, namesOfKind, sameSet, type NameKind} from './name-sets.ts';

/** What is compared of a certificate. */
export interface CertificateNames {
  readonly subject: DistinguishedName;
  readonly names: readonly GeneralName[];
}

/**
 * The fields in which a certificate cannot be what a specification asks for; used only where the
 * request that it came from is gone. Issuers move names about, so this is lenient: the common name
 * may have become an alternative name, or one of the alternative names the common name.
 */
export function certificateDifferences(
  spec: CertificateSpec,
  {subject, names}: CertificateNames,
): readonly string[] {
  const wanted = parametersOrNothing(spec);
  if (wanted === undefined) return [];
  const commons = new Set([...commonNames(wanted.subject), ...commonNames(subject)]);
  const differences = KINDS.flatMap(([field, kind]) => {
    const left = namesOfKind(wanted.names, kind).filter(name => !commons.has(name));
    const right = namesOfKind(names, kind).filter(name => !commons.has(name));
    return sameSet(left, right) ? [] : [field];
  });
  const everywhere = new Set([
    ...commonNames(subject),
    ...KINDS.flatMap(([, kind]) => namesOfKind(names, kind)),
  ]);
  const hasCommonName = commonNames(wanted.subject).every(name => everywhere.has(name));
  return hasCommonName ? differences : ['spec.commonName', ...differences];
}

const KINDS: readonly (readonly [field: string, kind: NameKind])[] = [
  ['spec.dnsNames', 'dns'],
  ['spec.emailAddresses', 'email'],
  ['spec.ipAddresses', 'ip'],
  ['spec.uris', 'uri'],
];

function parametersOrNothing(spec: CertificateSpec): SigningParameters | undefined {
  try {
    return signingParameters(spec);
  } catch {
    return undefined; // the problems of a state tell why
  }
}
