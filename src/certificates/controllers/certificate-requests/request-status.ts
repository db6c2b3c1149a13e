import type {CertificateRequestStatus} from '../../apis/certificate-request.ts';
import {setCondition, type Condition} from '../../apis/conditions.ts';
import {APPROVED_REASON, conditionTypes, requestReasons} from '../../apis/names.ts';
import {formatTime} from '../../apis/time.ts';

/** What the status of a request comes to say. */
export type RequestOutcome =
  /** Approved by us, signed by others. */
  | {readonly kind: 'approved'}
  | {readonly kind: 'pending'; readonly message: string}
  | {readonly kind: 'denied' | 'failed' | 'invalid'; readonly message: string}
  | {
      readonly kind: 'issued';
      readonly message: string;
      readonly chainPem: string;
      readonly caPem?: string;
    };

/** The status after an outcome; the same object content when it says nothing new. */
export function requestStatus(
  before: CertificateRequestStatus | undefined,
  {
    outcome,
    approve,
    now,
  }: {
    readonly outcome: RequestOutcome;
    /** Whether the approval is ours to give, and given with this write. */
    readonly approve: boolean;
    readonly now: Date;
  },
): CertificateRequestStatus {
  const conditions = approve ? approved(before?.conditions, now) : (before?.conditions ?? []);
  const ready = (status: 'True' | 'False', reason: string, message: string) =>
    setCondition(conditions, {type: conditionTypes.ready, status, reason, message}, now);
  const base = {...before, conditions};
  switch (outcome.kind) {
    case 'approved':
      return base;
    case 'pending':
      return {...base, conditions: ready('False', requestReasons.pending, outcome.message)};
    case 'denied':
    case 'failed':
    case 'invalid': {
      const reason = outcome.kind === 'denied' ? requestReasons.denied : requestReasons.failed;
      const list = ready('False', reason, outcome.message);
      return {
        ...base,
        conditions: outcome.kind === 'invalid' ? invalid(list, outcome.message, now) : list,
        failureTime: before?.failureTime ?? formatTime(now),
      };
    }
    case 'issued':
      return {
        ...base,
        conditions: ready('True', requestReasons.issued, outcome.message),
        certificate: encode(outcome.chainPem),
        ...(outcome.caPem === undefined ? {} : {ca: encode(outcome.caPem)}),
      };
  }
}

function approved(conditions: readonly Condition[] | undefined, now: Date): readonly Condition[] {
  return setCondition(
    conditions,
    {
      type: conditionTypes.approved,
      status: 'True',
      reason: APPROVED_REASON,
      message: 'approved by the controller, which approves every request to its own issuers',
    },
    now,
  );
}

function invalid(
  conditions: readonly Condition[],
  message: string,
  now: Date,
): readonly Condition[] {
  if (
    conditions.some(({type, status}) => type === conditionTypes.invalidRequest && status === 'True')
  ) {
    return conditions; // somebody else said so, in their words
  }
  return setCondition(
    conditions,
    {type: conditionTypes.invalidRequest, status: 'True', reason: 'InvalidRequest', message},
    now,
  );
}

function encode(pem: string): string {
  return Buffer.from(pem, 'utf8').toString('base64');
}
