import type {Certificate, CertificateStatus} from '../../apis/certificate.ts';
import {
  conditionIsTrue,
  findCondition,
  removeCondition,
  setCondition,
} from '../../apis/conditions.ts';
import {certificateReasons as reasons, conditionTypes} from '../../apis/names.ts';
import {formatTime} from '../../apis/time.ts';
import {nextAttemptAt, type BackoffLimits} from '../../policies/back-off.ts';
import {presentRenewal, readinessViolation} from '../../policies/certificate-checks.ts';
import {nextRevision, type CertificateState} from '../../policies/certificate-state.ts';
import {otherSecretOwner} from '../../policies/secret-owner.ts';
import type {Violation} from '../../policies/violation.ts';

/** Reason of Ready when the specification itself cannot be carried out; not one of cert-manager. */
export const INVALID_SPEC_REASON = 'InvalidSpec';

export interface StatusOptions {
  readonly now: Date;
  readonly limits: BackoffLimits;
  /** What is waited for, or in the way, as half a sentence; when that is worth telling. */
  readonly waitsFor?: string | undefined;
}

/** The status that follows from a state: readiness, and what the certificate itself says. */
export function presentStatus(state: CertificateState, options: StatusOptions): CertificateStatus {
  const {certificate} = state;
  const {status = {}, metadata} = certificate;
  const leaf = state.secret?.keyPair.leaf;
  const renewal = presentRenewal(state);
  const violation = presentViolation(state, options.now);
  const observedGeneration = metadata.generation;
  const {nextPrivateKeySecretName, ...kept} = status;
  const issuing = findCondition(status.conditions, conditionTypes.issuing);
  const conditions = setCondition(
    status.conditions,
    {
      type: conditionTypes.ready,
      status: violation === undefined ? 'True' : 'False',
      reason: violation?.reason ?? reasons.ready,
      message: sentence(violation?.message ?? UP_TO_DATE, outlook(state, options)),
      observedGeneration,
    },
    options.now,
  );
  const isHeldUp = issuing?.status === 'True' && options.waitsFor !== undefined;
  return withoutNothing({
    ...kept,
    conditions: isHeldUp
      ? setCondition(
          conditions,
          {...CONDITION_TEXT, ...issuing, message: options.waitsFor ?? '', observedGeneration},
          options.now,
        )
      : conditions,
    notBefore: timeOf(leaf?.notBefore),
    notAfter: timeOf(leaf?.notAfter),
    renewalTime: timeOf(renewal.at),
    nextPrivateKeySecretName: issuing?.status === 'True' ? nextPrivateKeySecretName : undefined,
  });
}

/** An issuance begins: its reason, and the name of the Secret for its key. */
export function beginningStatus(
  state: CertificateState,
  {violation, keySecretName}: {readonly violation: Violation; readonly keySecretName: string},
  options: StatusOptions,
): CertificateStatus {
  const {status = {}} = state.certificate;
  const conditions = withIssuing(state, {status: 'True', ...violation}, options.now);
  return statusAfter(
    state,
    {...status, conditions, nextPrivateKeySecretName: keySecretName},
    options,
  );
}

function withIssuing(
  {certificate}: CertificateState,
  issuing: Violation & {readonly status: 'True' | 'False'},
  now: Date,
): ReturnType<typeof setCondition> {
  const {status, metadata} = certificate;
  const observedGeneration = metadata.generation;
  const type = conditionTypes.issuing;
  return setCondition(status?.conditions, {type, ...issuing, observedGeneration}, now);
}

/** The key of the issuance under way lies in another Secret from now on. */
export function keyNamedStatus(
  state: CertificateState,
  keySecretName: string,
  options: StatusOptions,
): CertificateStatus {
  const {status = {}} = state.certificate;
  return statusAfter(state, {...status, nextPrivateKeySecretName: keySecretName}, options);
}

/** The certificate of the next revision is in its Secret. */
export function finishedStatus(state: CertificateState, options: StatusOptions): CertificateStatus {
  const {certificate} = state;
  const {
    lastFailureTime: _at,
    failedIssuanceAttempts: _count,
    ...status
  } = certificate.status ?? {};
  const conditions = removeCondition(status.conditions, conditionTypes.issuing);
  return statusAfter(state, {...status, conditions, revision: nextRevision(certificate)}, options);
}

/** The issuance under way has failed, for now. */
export function failedStatus(
  state: CertificateState,
  failure: Violation,
  options: StatusOptions,
): CertificateStatus {
  const {status = {}} = state.certificate;
  const conditions = withIssuing(state, {status: 'False', ...failure}, options.now);
  const failedIssuanceAttempts = (status.failedIssuanceAttempts ?? 0) + 1;
  const lastFailureTime = formatTime(options.now);
  const failed = {...status, conditions, failedIssuanceAttempts, lastFailureTime};
  return statusAfter(state, failed, options);
}

/** The issuance under way ends without a result, and without being a failure. */
export function abandonedStatus(
  state: CertificateState,
  options: StatusOptions,
): CertificateStatus {
  const {status = {}} = state.certificate;
  const conditions = removeCondition(status.conditions, conditionTypes.issuing);
  return statusAfter(state, {...status, conditions}, options);
}

/** Whether an issuance is under way. */
export function isIssuing({status}: Certificate): boolean {
  return conditionIsTrue(status?.conditions, conditionTypes.issuing);
}

const UP_TO_DATE = 'Certificate is up to date and has not expired';
const CONDITION_TEXT = {reason: '', message: ''} as const;

/** Readiness is always worked out from the state as it will be. */
function statusAfter(
  state: CertificateState,
  status: CertificateStatus,
  options: StatusOptions,
): CertificateStatus {
  return presentStatus({...state, certificate: {...state.certificate, status}}, options);
}

function presentViolation(state: CertificateState, now: Date): Violation | undefined {
  if (state.problems.length > 0) {
    return {reason: INVALID_SPEC_REASON, message: problemText(state)};
  }
  const owner = otherSecretOwner(state);
  if (owner !== undefined) {
    const secretName = JSON.stringify(state.certificate.spec.secretName);
    return {
      reason: reasons.incorrectCertificate,
      message: `Secret ${secretName} belongs to Certificate ${JSON.stringify(owner)}, which names it too; set another spec.secretName here, or delete that Certificate`,
    };
  }
  const violation = readinessViolation(state, now);
  if (violation !== undefined) return violation;
  const {windowProblem} = presentRenewal(state);
  if (windowProblem === undefined) return undefined;
  return {reason: reasons.windowError, message: windowProblem};
}

function problemText({problems}: CertificateState): string {
  const shown = problems.slice(0, PROBLEMS_MAX).join('; ');
  const more = problems.length - PROBLEMS_MAX;
  return `The specification cannot be carried out: ${shown}${more > 0 ? `; and ${more} more` : ''}`;
}

/** More sentences than this are not read. */
const PROBLEMS_MAX = 5;
/** The API takes 32 KiB; a message of a foreign issuer may be anything. */
const MESSAGE_LENGTH_MAX = 4_096;

/** What becomes of it: what an issuance waits for, or why the last one failed and what is next. */
function outlook(state: CertificateState, {limits, waitsFor}: StatusOptions): string | undefined {
  const {certificate} = state;
  const issuing = findCondition(certificate.status?.conditions, conditionTypes.issuing);
  if (issuing?.status === 'True' || waitsFor !== undefined) return waitsFor;
  if (issuing === undefined || certificate.status?.lastFailureTime === undefined) return undefined;
  const at = nextAttemptAt(state, limits);
  const next = at === undefined ? '' : `; the next attempt is at ${formatTime(at)}`;
  return `the last attempt failed (${issuing.reason ?? 'Failed'}): ${issuing.message ?? ''}${next}`;
}

function sentence(what: string, more: string | undefined): string {
  const text = more === undefined || more === '' ? what : `${what}; ${more}`;
  return text.length > MESSAGE_LENGTH_MAX ? `${text.slice(0, MESSAGE_LENGTH_MAX)}…` : text;
}

function timeOf(date: Date | undefined): string | undefined {
  return date === undefined || Number.isNaN(date.getTime()) ? undefined : formatTime(date);
}

function withoutNothing(status: {
  readonly [Field in keyof CertificateStatus]: CertificateStatus[Field] | undefined;
}): CertificateStatus {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}
