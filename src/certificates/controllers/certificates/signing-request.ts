import type {KeyObject} from 'node:crypto';
import type {CertificateSpec} from '../../apis/certificate.ts';
import {DEFAULT_USAGES} from '../../apis/usages.ts';
import {createSigningRequest} from '../../x509/certificate-request.ts';
import {subjectName, type DistinguishedName} from '../../x509/distinguished-name.ts';
import type {GeneralName} from '../../x509/general-names.ts';
import {parseLiteralSubject} from '../../x509/literal-subject.ts';

/** What a specification says about the certificate itself, in the terms of X.509. */
export interface SigningParameters {
  readonly subject: DistinguishedName;
  /** Subject alternative names: DNS names, e-mail and IP addresses, URIs, other names. */
  readonly names: readonly GeneralName[];
  /** Never empty. */
  readonly usages: readonly string[];
}

/**
 * The signing request (PEM) for a specification, signed with its private key.
 *
 * Usages go in unless `encodeUsagesInRequest` is false. Basic constraints do not: whether this is
 * to be a CA is said by the CertificateRequest, as cert-manager does it.
 *
 * @throws CodedError ERR_NAME_INVALID for a subject or name that cannot be encoded,
 *   ERR_REQUEST_INVALID
 */
export function signingRequestFor(spec: CertificateSpec, key: KeyObject): string {
  const {subject, names, usages} = signingParameters(spec);
  const {nameConstraints, signatureAlgorithm} = spec;
  return createSigningRequest({
    subject,
    names,
    key,
    ...(spec.encodeUsagesInRequest === false ? {} : {usages}),
    ...(nameConstraints === undefined ? {} : {nameConstraints}),
    ...(signatureAlgorithm === undefined ? {} : {signatureAlgorithm}),
  });
}

/**
 * Subject, names and usages of a specification.
 *
 * @throws CodedError ERR_NAME_INVALID
 */
export function signingParameters(spec: CertificateSpec): SigningParameters {
  return {subject: subjectOf(spec), names: namesOf(spec), usages: usagesOf(spec)};
}

function subjectOf({literalSubject, commonName, subject}: CertificateSpec): DistinguishedName {
  if (literalSubject !== undefined && literalSubject !== '') {
    return parseLiteralSubject(literalSubject);
  }
  return subjectName({...subject, ...(isGiven(commonName) ? {commonName} : {})});
}

function namesOf(spec: CertificateSpec): readonly GeneralName[] {
  return [
    ...(spec.dnsNames ?? []).map(value => ({kind: 'dns', value}) as const),
    ...(spec.emailAddresses ?? []).map(value => ({kind: 'email', value}) as const),
    ...(spec.ipAddresses ?? []).map(value => ({kind: 'ip', value}) as const),
    ...(spec.uris ?? []).map(value => ({kind: 'uri', value}) as const),
    ...(spec.otherNames ?? []).map(
      ({oid = '', utf8Value = ''}) => ({kind: 'other', oid, value: utf8Value}) as const,
    ),
  ];
}

function usagesOf({usages = [], isCA = false}: CertificateSpec): readonly string[] {
  const asked = usages.length === 0 ? DEFAULT_USAGES : usages;
  return isCA && !asked.includes('cert sign') ? [...asked, 'cert sign'] : asked;
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}
