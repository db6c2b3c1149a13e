import {ApiRefusedError} from '#shared/kube/errors';
import type {LogFields} from '#shared/log';
import type {Certificate, CertificateStatus} from '../../apis/certificate.ts';
import {findCondition} from '../../apis/conditions.ts';
import {certificateEvents, certificateReasons, conditionTypes} from '../../apis/names.ts';
import {certificates} from '../../apis/resources.ts';
import {formatTime} from '../../apis/time.ts';
import {nextAttemptAt} from '../../policies/back-off.ts';
import {nextRequests, type CertificateState} from '../../policies/certificate-state.ts';
import type {Violation} from '../../policies/violation.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {issuerKey, itemOf} from '../views.ts';
import {failedStatus, type StatusOptions} from './certificate-status.ts';
import type {IssuanceKeys} from './issuance-keys.ts';

/** What one step of one Certificate is taken with. */
export interface Deed extends ReconcilerDependencies {
  readonly state: CertificateState;
  readonly keys: IssuanceKeys;
  readonly signal: AbortSignal;
}

/** Who writes which part, as cert-manager names its controllers. */
export const fieldManagers = {
  trigger: 'cert-manager-certificates-trigger',
  key: 'cert-manager-certificates-key-manager',
  request: 'cert-manager-certificates-request-manager',
  issuing: 'cert-manager-certificates-issuing',
  readiness: 'cert-manager-certificates-readiness',
} as const;

export function statusOptions({clock, settings}: Deed): StatusOptions {
  return {now: clock.now(), limits: settings};
}

/**
 * Writes the status of a Certificate. The resourceVersion that was decided on is the lock: whoever
 * was faster wins, and it is decided again.
 */
export async function writeStatus(
  deed: Deed,
  status: CertificateStatus,
  fieldManager: string,
): Promise<Certificate> {
  const {client, views, signal, state} = deed;
  const object = {...state.certificate, status};
  const written = await client.updateStatus(certificates, object, {signal, fieldManager});
  views.certificates.observe(itemOf(written));
  const [before, after] = [state.certificate, written].map(({status: each}) =>
    findCondition(each?.conditions, conditionTypes.ready),
  );
  const isWindowError = after?.reason === certificateReasons.windowError;
  if (isWindowError && before?.reason !== after.reason) {
    const message = after.message ?? '';
    warn(deed, written, {reason: certificateEvents.windowError, message});
  }
  return written;
}

/** The issuance under way has failed: told in the status, and by a warning. */
export async function fail(
  deed: Deed,
  failure: Violation,
  eventReason: string = failure.reason,
): Promise<void> {
  const {state, log, settings} = deed;
  const status = failedStatus(state, failure, statusOptions(deed));
  const written = await writeStatus(deed, status, fieldManagers.issuing);
  warn(deed, written, {...failure, reason: eventReason});
  const nextAttempt = nextAttemptAt({...state, certificate: written}, settings);
  log.warn('issuance failed', {
    ...logFields(deed),
    reason: failure.reason,
    error: failure.message,
    attempts: status.failedIssuanceAttempts,
    nextAttempt: nextAttempt === undefined ? undefined : formatTime(nextAttempt),
  });
}

/** The line for an issuance that came to its end: why it was begun, and what came of it. */
export function logIssued(deed: Deed, {status}: Certificate): void {
  const begun = findCondition(deed.state.certificate.status?.conditions, conditionTypes.issuing);
  deed.log.info('certificate issued', {
    ...logFields(deed),
    reason: begun?.reason,
    why: begun?.message,
    revision: status?.revision,
    notAfter: status?.notAfter,
    renewalTime: status?.renewalTime,
  });
}

function logFields({state}: Deed): LogFields {
  const {metadata, spec} = state.certificate;
  return {
    certificate: `${metadata.namespace ?? ''}/${metadata.name}`,
    issuer: issuerKey(state.certificate),
    secret: spec.secretName,
    request: nextRequests(state)[0]?.object.metadata.name,
  };
}

/** An event of what went well. */
export function tell({events}: Deed, certificate: Certificate, {reason, message}: Violation): void {
  events.record(certificate, {type: 'Normal', reason, message});
}

/** An event of what somebody has to look at. */
export function warn({events}: Deed, certificate: Certificate, {reason, message}: Violation): void {
  events.record(certificate, {type: 'Warning', reason, message});
}

/** Whether a create met an object of that name. */
export function isTaken(error: unknown): boolean {
  return (
    error instanceof ApiRefusedError && error.status === 409 && error.reason === 'AlreadyExists'
  );
}

/** A name in a message. */
export function quote(text: string): string {
  return JSON.stringify(text);
}
