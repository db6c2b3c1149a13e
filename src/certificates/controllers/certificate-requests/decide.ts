import {messageOf} from '#shared/errors';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {conditionIsTrue, findCondition} from '../../apis/conditions.ts';
import {formatGoDuration, parseGoDuration} from '../../apis/duration.ts';
import {issuerReference, isOurs} from '../../apis/issuer-reference.ts';
import type {Issuer} from '../../apis/issuer.ts';
import {
  conditionTypes,
  requestAnnotations,
  requestEvents,
  requestReasons,
} from '../../apis/names.ts';
import {issuerReferenceProblems} from '../../apis/validation.ts';
import type {IssuerType, SigningInput} from '../../issuers/issuer-type.ts';
import type {IssuerTypes} from '../../issuers/registry.ts';
import {readSigningInput} from '../../issuers/signing-input.ts';
import {issuerReadiness} from '../issuers/readiness.ts';

/** Everything that the next step of a request depends on. */
export interface RequestState {
  readonly request: CertificateRequest;
  /** The issuer that it names; undefined where there is none. */
  readonly issuer: Issuer | undefined;
  readonly issuerTypes: IssuerTypes;
  /** Names of the controllers that run. */
  readonly controllers: readonly string[];
}

/**
 * What is to be done with a request. `approve` comes with other steps, as the approval is written
 * together with what follows from it.
 *
 *   Denied ─▶ deny      invalid ─▶ refuse      not approved ─▶ (approve) or wait
 *   approved ─▶ issuer missing, not ready ─▶ pend      else ─▶ sign
 */
export type RequestStep =
  /** Not ours, or done: Issued, Failed and Denied are for ever. */
  | {readonly kind: 'leave'}
  | {readonly kind: 'deny'; readonly message: string}
  | {readonly kind: 'refuse'; readonly message: string}
  | {readonly kind: 'wait-for-approval'}
  | {
      readonly kind: 'pend';
      readonly approve: boolean;
      readonly reason: string;
      readonly message: string;
    }
  /** Somebody else signs for this issuer: its signer is switched off here. */
  | {readonly kind: 'only-approve'}
  | {
      readonly kind: 'sign';
      readonly approve: boolean;
      readonly issuer: Issuer;
      readonly type: IssuerType;
      readonly input: SigningInput;
    };

/** The rules of certificates.md §3.10 in their order; the first that applies decides. */
export function decideRequest(state: RequestState): RequestStep {
  const {request} = state;
  const conditions = request.status?.conditions;
  const isDone = isTerminal(findCondition(conditions, conditionTypes.ready)?.reason);
  if (!isOurs(request.spec.issuerRef) || isDone) return {kind: 'leave'};
  if (request.metadata.deletionTimestamp !== undefined) return {kind: 'leave'};
  const denied = findCondition(conditions, conditionTypes.denied);
  if (denied?.status === 'True') {
    return {kind: 'deny', message: `the request was denied: ${denied.message ?? 'no message'}`};
  }
  const invalid = findCondition(conditions, conditionTypes.invalidRequest);
  if (invalid?.status === 'True') {
    return {kind: 'refuse', message: invalid.message ?? 'the request was called invalid'};
  }
  const input = readInput(request);
  if (input.kind === 'invalid') return {kind: 'refuse', message: input.message};

  const isApproved = conditionIsTrue(conditions, conditionTypes.approved);
  const approve = !isApproved && state.controllers.includes('certificaterequests-approver');
  if (!isApproved && !approve) return {kind: 'wait-for-approval'};
  return decideApproved(state, input.input, approve);
}

function decideApproved(state: RequestState, input: SigningInput, approve: boolean): RequestStep {
  const {request, issuer, issuerTypes, controllers} = state;
  const {kind, name} = issuerReference(request.spec.issuerRef);
  if (issuer === undefined) {
    const where =
      kind === 'ClusterIssuer' ? '' : ` in namespace ${request.metadata.namespace ?? ''}`;
    return {
      kind: 'pend',
      approve,
      reason: requestEvents.issuerNotFound,
      message: `there is no ${kind} ${name}${where}; create it, and this request goes on`,
    };
  }
  const found = issuerTypes.of(issuer.spec);
  if (found.kind === 'known' && !controllers.includes(signerName(found.type))) {
    return approve ? {kind: 'only-approve'} : {kind: 'leave'};
  }
  const readiness = issuerReadiness(issuer);
  if (found.kind === 'unknown' || !readiness.ready) {
    return {
      kind: 'pend',
      approve,
      reason: requestEvents.issuerNotReady,
      message: `${kind} ${name} is not ready: ${found.kind === 'unknown' ? found.message : readiness.message}`,
    };
  }
  return {kind: 'sign', approve, issuer, type: found.type, input};
}

/** cert-manager's name of the part that signs. */
function signerName({kind}: IssuerType): string {
  return `certificaterequests-issuer-${kind.toLowerCase()}`;
}

function isTerminal(readyReason: string | undefined): boolean {
  return (
    readyReason === requestReasons.issued ||
    readyReason === requestReasons.failed ||
    readyReason === requestReasons.denied
  );
}

/** cert-manager.io/v1: without a duration a certificate lasts 90 days. */
const DURATION_MS_DEFAULT = 90 * 24 * 3_600_000;
/** X.509 counts seconds; a certificate that has none was never valid. */
const DURATION_MS_MIN = 1_000;

function readInput(request: CertificateRequest): ReturnType<typeof readSigningInput> {
  const {spec, metadata} = request;
  const [problem] = issuerReferenceProblems(spec.issuerRef);
  if (problem !== undefined) return {kind: 'invalid', message: problem};
  const durationMs = readDuration(spec.duration);
  if (typeof durationMs === 'string') return {kind: 'invalid', message: durationMs};
  const secretName = metadata.annotations?.[requestAnnotations.privateKeySecretName];
  return readSigningInput({
    request: spec.request,
    durationMs,
    isCa: spec.isCA ?? false,
    usages: spec.usages,
    ...(secretName === undefined || secretName === ''
      ? {}
      : {privateKeySecret: {namespace: metadata.namespace ?? '', name: secretName}}),
  });
}

/** Milliseconds, or what is wrong with the duration. */
function readDuration(text: string | undefined): number | string {
  if (text === undefined) return DURATION_MS_DEFAULT;
  try {
    const durationMs = parseGoDuration(text);
    if (durationMs >= DURATION_MS_MIN) return durationMs;
    return `spec.duration is ${formatGoDuration(durationMs)}; it must be at least ${formatGoDuration(DURATION_MS_MIN)}`;
  } catch (error) {
    return `spec.duration: ${messageOf(error)}`;
  }
}
