import type {Certificate} from '../apis/certificate.ts';
import type {CertificateRequest} from '../apis/certificate-request.ts';
import type {SecretFacts} from '../controllers/certificates/secret-facts.ts';
import type {SigningRequest} from '../x509/certificate-request.ts';

/**
 * Everything that decides what happens to one Certificate, read at one instant.
 *
 * A value: policies read it, nobody changes it.
 */
export interface CertificateState {
  readonly certificate: Certificate;
  /** The Secret that `spec.secretName` names. */
  readonly secret?: SecretFacts | undefined;
  /** Temporary Secrets with a private key that this Certificate controls. */
  readonly keySecrets: readonly SecretFacts[];
  /** Requests that this Certificate controls. */
  readonly requests: readonly OwnedRequest[];
  /** Other Certificates of the namespace with the same `spec.secretName`. */
  readonly rivals: readonly Certificate[];
  /** What keeps the specification from being carried out; see {@link certificateProblems}. */
  readonly problems: readonly string[];
  /** Which keystore password cannot be read, if one cannot. */
  readonly passwordProblem?: string | undefined;
  /** Until when to hold back, because it was done too often lately. */
  readonly held?: {readonly issuing?: Date | undefined; readonly repair?: Date | undefined};
}

/** A request that a Certificate controls. */
export interface OwnedRequest {
  readonly object: CertificateRequest;
  /** From its annotation; none for a request that somebody else made by hand. */
  readonly revision?: number | undefined;
  /** Decoded for the present and the next revision only; none where it cannot be. */
  readonly signing?: SigningRequest | undefined;
}

/** The revision that the next issuance will have. */
export function nextRevision({status}: Certificate): number {
  return (status?.revision ?? 0) + 1;
}

/** The request that the present certificate came from, if it was kept. */
export function currentRequest({
  certificate,
  requests,
}: CertificateState): OwnedRequest | undefined {
  const revision = certificate.status?.revision;
  return revision === undefined ? undefined : ofRevision(requests, revision)[0];
}

/** The requests of the issuance under way (or of the one that failed), the best first. */
export function nextRequests({certificate, requests}: CertificateState): readonly OwnedRequest[] {
  return ofRevision(requests, nextRevision(certificate));
}

/** Two of one revision come only from controllers that let the API choose names. */
function ofRevision(requests: readonly OwnedRequest[], revision: number): readonly OwnedRequest[] {
  return requests.filter(request => request.revision === revision).toSorted(byWorth);
}

/** What was issued first, then the older one, then by name. */
function byWorth(a: OwnedRequest, b: OwnedRequest): number {
  return (
    Number(hasCertificate(b)) - Number(hasCertificate(a)) ||
    compareText(
      a.object.metadata.creationTimestamp ?? '',
      b.object.metadata.creationTimestamp ?? '',
    ) || // prettier-ignore
    compareText(a.object.metadata.name, b.object.metadata.name)
  );
}

function hasCertificate({object}: OwnedRequest): boolean {
  return (object.status?.certificate ?? '') !== '';
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
