import {stableJson} from '#shared/digest';
import {findCondition} from '../../apis/conditions.ts';
import {
  certificateEvents,
  certificateReasons,
  conditionTypes,
  secretAnnotations,
} from '../../apis/names.ts';
import {formatTime} from '../../apis/time.ts';
import {nextAttemptAt, type BackoffLimits} from '../../policies/back-off.ts';
import {presentRenewal, triggerViolation} from '../../policies/certificate-checks.ts';
import type {CertificateState, OwnedRequest} from '../../policies/certificate-state.ts';
import {postIssuanceViolation} from '../../policies/post-issuance.ts';
import {otherSecretOwner} from '../../policies/secret-owner.ts';
import type {Violation} from '../../policies/violation.ts';
import {isIssuing, presentStatus} from './certificate-status.ts';
import {decideIssuance} from './decide-issuance.ts';
import type {Pause, Step} from './step.ts';

export interface DecideSettings extends BackoffLimits {
  /** Whether a target Secret goes with its Certificate. */
  readonly certificateOwnerRef: boolean;
}

/** A Certificate whose Secret is another's is looked at again, whatever the watches say. */
const OWNER_RECHECK_MS = 3 * 60_000;
/** cert-manager.io/v1 `spec.revisionHistoryLimit`. */
const REVISIONS_DEFAULT = 1;

/**
 * The next step for a Certificate: the first that its state calls for. Pure, so the same state
 * always leads to the same step.
 *
 * The status is brought up to date when there is nothing else to do; steps that write the status
 * bring it along, so that it is written once per step.
 */
export function decide(state: CertificateState, now: Date, settings: DecideSettings): Step {
  if (state.certificate.metadata.deletionTimestamp !== undefined) return {kind: 'idle'};
  const next = nextStep(state, now, settings);
  if (next.kind !== 'pause') return next;
  const status = presentStatus(state, {now, limits: settings, waitsFor: next.waitsFor});
  const before = state.certificate.status;
  if (stableJson(status) !== stableJson(before ?? {})) {
    const warning = newWarning(state, next, status.conditions);
    return {kind: 'update-readiness', status, warning};
  }
  return {kind: 'wait', until: earliest([next.until, ...changesAhead(state, now)])};
}

function nextStep(state: CertificateState, now: Date, settings: DecideSettings): Step | Pause {
  const issuing = isIssuing(state.certificate);
  if (state.problems.length > 0) {
    return {kind: 'pause', waitsFor: 'the specification cannot be carried out, see Ready'};
  }
  if (otherSecretOwner(state) !== undefined) {
    if (issuing) return {kind: 'abandon'};
    const until = new Date(now.getTime() + OWNER_RECHECK_MS);
    return deleteKeys(state) ?? {kind: 'pause', until};
  }
  if (issuing) return decideIssuance(state, now);
  return deleteKeys(state) ?? issueAgain(state, now, settings);
}

/** No key outlives its issuance. */
function deleteKeys({keySecrets}: CertificateState): Step | undefined {
  return keySecrets.length === 0 ? undefined : {kind: 'delete-keys', secrets: keySecrets};
}

function issueAgain(state: CertificateState, now: Date, settings: DecideSettings): Step | Pause {
  const violation = triggerViolation(state, now);
  const attemptAt = violation === undefined ? undefined : nextAttemptAt(state, settings);
  if (violation !== undefined && (attemptAt === undefined || attemptAt <= now)) {
    return holdIssuing(state, violation, now) ?? {kind: 'begin-issuing', violation};
  }
  return (
    repairSecret(state, now, settings) ??
    (violation === undefined ? pruneRequests(state) : undefined) ?? {
      kind: 'pause',
      until: attemptAt,
    }
  );
}

/** What is in the Secret beside the certificate is kept as the specification has it. */
function repairSecret(
  {certificate, secret, passwordProblem, held}: CertificateState,
  now: Date,
  {certificateOwnerRef}: DecideSettings,
): Step | Pause | undefined {
  if (secret?.keyPair.kind !== 'good') return undefined;
  const issuedFor = secret.annotations[secretAnnotations.certificateName];
  if (issuedFor !== certificate.metadata.name) return undefined;
  const violation = postIssuanceViolation({
    certificate,
    secret,
    ownerReference: certificateOwnerRef,
  });
  if (violation === undefined) return undefined;
  if (passwordProblem !== undefined) {
    const reason = certificateEvents.keystorePasswordSecretNotFound;
    const warning = {reason, message: passwordProblem};
    return {kind: 'pause', waitsFor: passwordProblem, warning};
  }
  if (held?.repair !== undefined && held.repair > now) {
    const waitsFor = `somebody changes the Secret again and again; it is put right again at ${formatTime(held.repair)}: ${violation.message}`;
    return {kind: 'pause', until: held.repair, waitsFor};
  }
  return {kind: 'repair-secret', secret, violation};
}

/** A Secret that is spoilt as soon as it is written is not a reason to issue without end. */
function holdIssuing(
  {held}: CertificateState,
  {reason, message}: Violation,
  now: Date,
): Pause | undefined {
  if (held?.issuing === undefined || held.issuing <= now) return undefined;
  if (reason === certificateReasons.renewing) return undefined;
  const waitsFor = `it was issued too often lately, so find out who changes its Secret; the next attempt is at ${formatTime(held.issuing)}: ${message}`;
  return {kind: 'pause', until: held.issuing, waitsFor};
}

/** Of the requests that led to certificates, so many are kept; those of failures remain. */
function pruneRequests({certificate, requests}: CertificateState): Step | undefined {
  const {spec, status} = certificate;
  const kept = Math.max(spec.revisionHistoryLimit ?? REVISIONS_DEFAULT, 1);
  const present = status?.revision ?? 0;
  const old = requests
    .filter(({revision}) => revision !== undefined && revision <= present)
    .toSorted((a, b) => (b.revision ?? 0) - (a.revision ?? 0))
    .slice(kept)
    .filter(isHere);
  return old.length === 0 ? undefined : {kind: 'prune-requests', requests: old};
}

function isHere({object}: OwnedRequest): boolean {
  return object.metadata.deletionTimestamp === undefined;
}

/** A warning is told when the conditions come to tell something else than before. */
function newWarning(
  {certificate}: CertificateState,
  {warning}: Pause,
  conditions: ReturnType<typeof presentStatus>['conditions'],
): Pause['warning'] {
  if (warning === undefined) return undefined;
  const messages = [certificate.status?.conditions, conditions].map(list =>
    stableJson([
      findCondition(list, conditionTypes.ready)?.message,
      findCondition(list, conditionTypes.issuing)?.message,
    ]),
  );
  return messages[0] === messages[1] ? undefined : warning;
}

/** The instants at which the passing of time alone changes something. */
function changesAhead(state: CertificateState, now: Date): readonly Date[] {
  const {notAfter} = state.secret?.keyPair.leaf ?? {};
  const {at} = presentRenewal(state);
  return [notAfter, at].flatMap(date => (date !== undefined && date > now ? [date] : []));
}

function earliest(dates: readonly (Date | undefined)[]): Date | undefined {
  return dates.reduce(
    (first, date) => (first === undefined || (date !== undefined && date < first) ? date : first),
    undefined,
  );
}
