import {issuerReference} from '../apis/issuer-reference.ts';
import {secretAnnotations} from '../apis/names.ts';
import {currentRequest, type CertificateState} from './certificate-state.ts';
import {certificateDifferences} from './certificate-matches.ts';
import {formatKey, sameKey, wantedKey} from './private-key.ts';
import {renewalTime, type Renewal} from './renewal.ts';
import {requestDifferences} from './request-matches.ts';
import type {Violation} from './violation.ts';

type Check = (state: CertificateState) => Violation | undefined;

/** Why a certificate has to be issued (again), if it has to: the first reason that applies. */
export function triggerViolation(state: CertificateState, now: Date): Violation | undefined {
  return firstViolation(state, [...pairChecks, ...matchChecks, renewalIsDue(now)]);
}

/** Why a certificate cannot be used as its Certificate wants it, if it cannot. */
export function readinessViolation(state: CertificateState, now: Date): Violation | undefined {
  return firstViolation(state, [...pairChecks, ...matchChecks, hasExpired(now)]);
}

/** Why a Secret would profit from a temporary certificate: it has no usable pair at all. */
export function temporaryViolation(state: CertificateState): Violation | undefined {
  return firstViolation(state, pairChecks);
}

/** When the present certificate is to be renewed; nothing when there is none. */
export function presentRenewal(state: CertificateState): Renewal {
  const leaf = state.secret?.keyPair.leaf;
  if (leaf === undefined) return {};
  const created = currentRequest(state)?.object.metadata.creationTimestamp;
  const requestedAt = created === undefined ? undefined : new Date(created);
  return renewalTime({...leaf, requestedAt}, state.certificate.spec);
}

function firstViolation(state: CertificateState, checks: readonly Check[]): Violation | undefined {
  for (const check of checks) {
    const violation = check(state);
    if (violation !== undefined) return violation;
  }
  return undefined;
}

const pairChecks: readonly Check[] = [secretExists, hasData, isKeyPair];
const matchChecks: readonly Check[] = [
  comesFromIssuer,
  isOfThisCertificate,
  keyIsAsWanted,
  keyIsOfRequest,
  matchesSpecification,
];

function secretExists({certificate, secret}: CertificateState): Violation | undefined {
  if (secret !== undefined) return undefined;
  const message = `Issuing certificate as Secret ${quote(certificate.spec.secretName)} does not exist`;
  return {reason: 'DoesNotExist', message};
}

function hasData({certificate, secret}: CertificateState): Violation | undefined {
  if (secret?.hasTlsKey === true && secret.hasTlsCrt) return undefined;
  const missing = secret?.hasTlsKey === true ? 'tls.crt' : 'tls.key';
  const message = `Issuing certificate as Secret ${quote(certificate.spec.secretName)} has no ${missing}`;
  return {reason: 'MissingData', message};
}

function isKeyPair({certificate, secret}: CertificateState): Violation | undefined {
  const kind = secret?.keyPair.kind;
  if (kind === 'good') return undefined;
  const where = `Issuing certificate as Secret ${quote(certificate.spec.secretName)}`;
  switch (kind) {
    case 'invalid-certificate':
      return {reason: 'InvalidCertificate', message: `${where} holds a tls.crt that cannot be read${because(secret)}`}; // prettier-ignore
    case 'mismatch':
      return {reason: 'InvalidKeyPair', message: `${where} holds a tls.crt for another key than its tls.key`}; // prettier-ignore
    default:
      return {reason: 'InvalidKeyPair', message: `${where} holds a tls.key that cannot be read${because(secret)}`}; // prettier-ignore
  }
}

function because(secret: CertificateState['secret']): string {
  const message = secret?.keyPair.message;
  return message === undefined ? '' : `: ${message}`;
}

function comesFromIssuer({certificate, secret}: CertificateState): Violation | undefined {
  const wanted = issuerReference(certificate.spec.issuerRef);
  const found = issuerReference({
    name: secret?.annotations[secretAnnotations.issuerName] ?? '',
    kind: secret?.annotations[secretAnnotations.issuerKind] ?? '',
    group: secret?.annotations[secretAnnotations.issuerGroup] ?? '',
  });
  const same = found.name === wanted.name && found.kind === wanted.kind && found.group === wanted.group; // prettier-ignore
  if (same) return undefined;
  const from = found.name === '' ? 'an unknown issuer' : `${found.kind}.${found.group} ${quote(found.name)}`; // prettier-ignore
  return {
    reason: 'IncorrectIssuer',
    message: `Issuing certificate as the Secret's was issued by ${from}, and not by ${wanted.kind}.${wanted.group} ${quote(wanted.name)}`,
  };
}

function isOfThisCertificate({certificate, secret}: CertificateState): Violation | undefined {
  const name = secret?.annotations[secretAnnotations.certificateName];
  if (name === undefined || name === certificate.metadata.name) return undefined;
  return {
    reason: 'IncorrectCertificate',
    message: `Secret ${quote(certificate.spec.secretName)} was issued for Certificate ${quote(name)}; if that one still exists, give one of the two another secretName`,
  };
}

function keyIsAsWanted({certificate, secret}: CertificateState): Violation | undefined {
  const wanted = wantedKey(certificate.spec);
  const found = secret?.keyPair.keyAlgorithm;
  if (sameKey(found, wanted)) return undefined;
  return {
    reason: 'SecretMismatch',
    message: `Issuing certificate as the Secret's private key is ${formatKey(found)}, and spec.privateKey asks for ${formatKey(wanted)}`,
  };
}

function keyIsOfRequest(state: CertificateState): Violation | undefined {
  const request = currentRequest(state);
  if (request === undefined) return undefined;
  const {secret} = state;
  const digest = request.signing?.publicKeyDigest;
  if (digest !== undefined && digest === secret?.keyPair.publicKeyDigest) return undefined;
  return {
    reason: 'SecretMismatch',
    message: `Issuing certificate as the Secret's private key is not the one that CertificateRequest ${quote(request.object.metadata.name)} was made with`,
  };
}

function matchesSpecification(state: CertificateState): Violation | undefined {
  const {certificate, secret} = state;
  const request = currentRequest(state);
  if (request === undefined) {
    const leaf = secret?.keyPair.leaf;
    const differences = leaf === undefined ? [] : certificateDifferences(certificate.spec, leaf);
    if (differences.length === 0) return undefined;
    const message = `Issuing certificate as the present one differs from the specification in ${differences.join(', ')}`; // prettier-ignore
    return {reason: 'SecretMismatch', message};
  }
  const differences = requestDifferences(certificate.spec, request);
  if (differences.length === 0) return undefined;
  const message = `Fields on existing CertificateRequest resource not up to date: [${differences.join(' ')}]`; // prettier-ignore
  return {reason: 'RequestChanged', message};
}

function renewalIsDue(now: Date): Check {
  return state => {
    const {at} = presentRenewal(state);
    if (at === undefined || now < at) return undefined;
    const notAfter = state.secret?.keyPair.leaf?.notAfter;
    const since = notAfter === undefined || now < notAfter ? '' : `; the certificate ended at ${formatDate(notAfter)}`; // prettier-ignore
    const message = `Renewing certificate as renewal was scheduled at ${formatDate(at)}${since}`;
    return {reason: 'Renewing', message};
  };
}

function hasExpired(now: Date): Check {
  return ({secret}) => {
    const notAfter = secret?.keyPair.leaf?.notAfter;
    if (notAfter === undefined || now < notAfter) return undefined;
    return {reason: 'Expired', message: `Certificate expired on ${formatDate(notAfter)}`};
  };
}

function formatDate(date: Date): string {
  return date.toISOString().replace('.000', '');
}

function quote(text: string): string {
  return JSON.stringify(text);
}
