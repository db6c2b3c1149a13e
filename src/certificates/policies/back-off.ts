import {findCondition} from '../apis/conditions.ts';
import {conditionTypes} from '../apis/names.ts';
import {parseTime} from '../apis/time.ts';
import {nextRequests, type CertificateState} from './certificate-state.ts';
import {requestDifferences} from './request-matches.ts';

/**
 * On a Certificate: whoever gives it a new value asks for the next attempt now, whatever the
 * back-off. The value is copied to the request of that attempt, which is how it is known to have
 * been used; where that request is gone, a value that is an instant counts if it is later than the
 * last failure.
 */
export const RETRY_NOW_ANNOTATION = 'slipway.dev/retry-now';

/** Waits between attempts of an issuance that fails. */
export interface BackoffLimits {
  readonly minimumBackoffMs: number;
  readonly maximumBackoffMs: number;
}

/**
 * When a Certificate whose issuance failed may be tried again; nothing: at once.
 *
 * The wait is the minimum after the first failure, and doubles with each further one up to the
 * maximum. It is cut short by a changed specification, and by {@link RETRY_NOW_ANNOTATION}.
 */
export function nextAttemptAt(state: CertificateState, limits: BackoffLimits): Date | undefined {
  const {status, spec} = state.certificate;
  const failedAt = parseTime(status?.lastFailureTime);
  if (failedAt === undefined || isRetryAsked(state, failedAt)) return undefined;
  const [failed] = nextRequests(state);
  const changed =
    failed === undefined
      ? isOtherGeneration(state.certificate)
      : requestDifferences(spec, failed).length > 0;
  if (changed) return undefined;
  return new Date(failedAt.getTime() + backoffMs(status?.failedIssuanceAttempts ?? 1, limits));
}

/** Without the request that failed, any change of the specification counts. */
function isOtherGeneration({status, metadata}: CertificateState['certificate']): boolean {
  const failure = findCondition(status?.conditions, conditionTypes.issuing);
  const seen = failure?.observedGeneration;
  return seen !== undefined && seen !== metadata.generation;
}

/** The wait after a number of failures in a row. */
export function backoffMs(
  attempts: number,
  {minimumBackoffMs, maximumBackoffMs}: BackoffLimits,
): number {
  const doublings = Math.min(Math.max(attempts - 1, 0), DOUBLINGS_MAX);
  return Math.min(minimumBackoffMs * 2 ** doublings, Math.max(maximumBackoffMs, minimumBackoffMs));
}

/** Enough for any two limits; further doublings would leave the range of dates. */
const DOUBLINGS_MAX = 40;

function isRetryAsked(state: CertificateState, failedAt: Date): boolean {
  const wish = retryWish(state.certificate);
  if (wish === undefined) return false;
  const [failed] = nextRequests(state);
  if (failed !== undefined) return retryWish(failed.object) !== wish;
  const wishedAt = parseTime(wish);
  return wishedAt !== undefined && wishedAt > failedAt;
}

/** The value of the annotation; an empty one asks for nothing. */
export function retryWish({
  metadata,
}: {
  readonly metadata: {readonly annotations?: Readonly<Record<string, string>>};
}): string | undefined {
  const value = metadata.annotations?.[RETRY_NOW_ANNOTATION];
  return value === '' ? undefined : value;
}
