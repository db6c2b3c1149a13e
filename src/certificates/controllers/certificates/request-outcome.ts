import {createHash} from 'node:crypto';
import {messageOf} from '#shared/errors';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {findCondition} from '../../apis/conditions.ts';
import {certificateReasons as reasons, conditionTypes, requestReasons} from '../../apis/names.ts';
import {parseTime} from '../../apis/time.ts';
import type {OwnedRequest} from '../../policies/certificate-state.ts';
import type {Violation} from '../../policies/violation.ts';
import type {ParsedCertificate} from '../../x509/certificate.ts';
import {parseUnordered} from '../../x509/chain.ts';
import type {IssuedCertificate} from './step.ts';

export type RequestOutcome =
  | {readonly kind: 'pending'}
  | {readonly kind: 'failed'; readonly failure: Violation}
  | {
      readonly kind: 'issued';
      /** `chainDigest` is the sha256 in base64url of what goes into `tls.crt`. */
      readonly issued: IssuedCertificate & {readonly chainDigest: string};
    };

/**
 * What came of a request so far. A certificate counts only if the first of its chain is one for this
 * request; the rest of the chain is the issuer's affair, as with cert-manager.
 */
export function requestOutcome({object, signing}: OwnedRequest, now: Date): RequestOutcome {
  const refusal = refusalOf(object);
  if (refusal !== undefined) return {kind: 'failed', failure: refusal};
  const ready = findCondition(object.status?.conditions, conditionTypes.ready);
  const {certificate: chain = '', ca = ''} = object.status ?? {};
  if (ready?.reason !== requestReasons.issued && ready?.status !== 'True') return {kind: 'pending'};
  // As text and back: what is judged here is, octet for octet, what the Secret gets.
  const chainPem = Buffer.from(chain, 'base64').toString('utf8');
  const bytes = Buffer.from(chainPem);
  const problem = certificateProblem(bytes, {signing, now});
  if (problem !== undefined) {
    const message = `CertificateRequest ${JSON.stringify(object.metadata.name)} brought a certificate that cannot be used: ${problem}`;
    return {kind: 'failed', failure: {reason: reasons.invalidCertificate, message}};
  }
  return {
    kind: 'issued',
    issued: {
      chainPem,
      caPem: ca === '' ? undefined : Buffer.from(ca, 'base64').toString('utf8'),
      chainDigest: createHash('sha256').update(bytes).digest('base64url'),
    },
  };
}

/** When a request ended without a certificate; nothing while it may still bring one. */
export function failedAtOf(request: CertificateRequest): Date | undefined {
  const refused = refusingCondition(request);
  if (refused === undefined) return undefined;
  return parseTime(request.status?.failureTime) ?? parseTime(refused.lastTransitionTime);
}

function refusalOf(request: CertificateRequest): Violation | undefined {
  const refused = refusingCondition(request);
  if (refused === undefined) return undefined;
  const {type, reason = '', message = ''} = refused;
  const name = `CertificateRequest ${JSON.stringify(request.metadata.name)}`;
  switch (type) {
    case conditionTypes.denied:
      return {reason: reasons.denied, message: `${name} was denied: ${message}`};
    case conditionTypes.invalidRequest:
      return {reason: reasons.invalidRequest, message: `${name} is invalid: ${message}`};
    default:
      return {reason, message: `${name} has failed: ${message}`};
  }
}

/** The condition that ends a request, in the order in which they count. */
function refusingCondition({status}: CertificateRequest) {
  const [denied, invalid, ready] = [
    conditionTypes.denied,
    conditionTypes.invalidRequest,
    conditionTypes.ready,
  ].map(type => findCondition(status?.conditions, type));
  if (denied?.status === 'True') return denied;
  if (invalid?.status === 'True') return invalid;
  const isOver = ready?.reason === requestReasons.failed || ready?.reason === requestReasons.denied;
  return isOver ? ready : undefined;
}

function certificateProblem(
  chain: Buffer,
  {signing, now}: {readonly signing: OwnedRequest['signing']; readonly now: Date},
): string | undefined {
  try {
    const [leaf, ...others] = parseUnordered(chain);
    const isOfRequest = (certificate: ParsedCertificate): boolean =>
      certificate.publicKeyDigest === signing?.publicKeyDigest;
    if (leaf !== undefined && isOfRequest(leaf)) {
      return leaf.notAfter > now ? undefined : `it ended at ${leaf.notAfter.toISOString()}`;
    }
    if (!others.some(isOfRequest)) return 'it is for another private key';
    return 'the first of its chain is for another private key; the issuer has to put the leaf first';
  } catch (error) {
    return messageOf(error);
  }
}
