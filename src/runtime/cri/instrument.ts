import {status, type StatusObject} from '@grpc/grpc-js';
import {CodedError, isCoded, isErrno, messageOf} from '#shared/errors';
import {runtimeErrors, type GrpcStatus, type RuntimeErrorCode} from '../errors.ts';
import type {Log} from '#shared/log';

/** What the border of the service tells the world about each call. */
export interface Instrument {
  /**
   * Called when a call arrives.
   *
   * @param method e.g. `RunPodSandbox`
   * @returns to be called once, with what the call failed with, or nothing; gives the status to send
   */
  readonly begin: (method: string) => (thrown?: unknown) => Failure | undefined;
}

/** A call's end, for counting. `status` is `OK` or the status that the caller saw. */
export interface CallRecord {
  readonly method: string;
  readonly status: GrpcStatus | 'OK';
  readonly seconds: number;
}

/** The status that a caller sees; `details` is gRPC's message. */
export type Failure = Pick<StatusObject, 'code' | 'details'> & {readonly status: GrpcStatus};

/** Logs each call (debug; failures that are ours as errors with their stack) and counts it. */
export function createInstrument({
  log,
  record = () => undefined,
  nowMs = () => performance.now(),
}: {
  readonly log: Log;
  readonly record?: (call: CallRecord) => void;
  readonly nowMs?: () => number;
}): Instrument {
  return {
    begin: method => {
      const startedMs = nowMs();
      return thrown => {
        const tookMs = Math.round((nowMs() - startedMs) * 10) / 10;
        const failure = thrown === undefined ? undefined : toFailure(thrown);
        record({method, status: failure?.status ?? 'OK', seconds: tookMs / 1000});
        if (failure === undefined) log.debug('call', {method, tookMs});
        else logFailure(log, {method, tookMs, failure, thrown});
        return failure;
      };
    },
  };
}

function logFailure(
  log: Log,
  {
    method,
    tookMs,
    failure,
    thrown,
  }: {
    readonly method: string;
    readonly tookMs: number;
    readonly failure: Failure;
    readonly thrown: unknown;
  },
): void {
  const fields = {method, tookMs, status: failure.status};
  if (isCoded(thrown)) {
    const cause = thrown.cause === undefined ? undefined : messageOf(thrown.cause);
    const detail = {...fields, code: thrown.code, error: thrown.message, cause};
    if (QUIET.has(failure.status)) log.debug('call failed', detail);
    else log.warn('call failed', detail);
  } else if (QUIET.has(failure.status)) {
    log.debug('call failed', {...fields, error: messageOf(thrown)});
  } else {
    log.error('call failed by a defect', {...fields, error: thrown});
  }
}

/** What callers run into every day: a kubelet asks for what is gone, or stops waiting. */
const QUIET: ReadonlySet<GrpcStatus> = new Set(['NOT_FOUND', 'CANCELLED', 'UNIMPLEMENTED']);

/**
 * The one translation from what was thrown to a gRPC status. The message reads
 * `CODE: what happened; next: what to do`.
 *
 * A message that begins with a word of `KUBELET_REASONS` is kept at the start and sent as UNKNOWN:
 * the kubelet compares the beginning of the text, and only strips gRPC's own words from a status of
 * that kind (kubernetes `pkg/kubelet/images`, cri-client `remote_image.go`).
 */
export function toFailure(thrown: unknown): Failure {
  if (isRuntimeError(thrown)) {
    const {code, message, hint} = thrown;
    if (KUBELET_REASONS.test(message)) {
      return failure('UNKNOWN', `${message}; next: ${hint} (${code})`);
    }
    return failure(runtimeErrors[code], `${code}: ${message}; next: ${hint}`);
  }
  if (isErrno(thrown, 'ENOSPC') || isErrno(thrown, 'EDQUOT')) {
    const next = 'free space on the disk of the runtime, then try again';
    return failure(
      runtimeErrors.ERR_DISK_FULL,
      `ERR_DISK_FULL: ${messageOf(thrown)}; next: ${next}`,
    );
  }
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return failure('CANCELLED', 'ERR_REQUEST_CANCELLED: the call was given up; next: call again');
  }
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return failure(
      'DEADLINE_EXCEEDED',
      `ERR_DEADLINE_EXCEEDED: ${messageOf(thrown)}; next: call again, allowing more time`,
    );
  }
  return failure(
    'INTERNAL',
    `ERR_INTERNAL: ${messageOf(thrown)}; next: see the log of slipway-cri for where it happened`,
  );
}

/** Beginnings of messages that the kubelet turns into reasons of pods (cri-api `pkg/errors`). */
const KUBELET_REASONS =
  /^(?:RegistryUnavailable|SignatureValidationFailed|RROUnsupported|ImageVolumeMountFailed)\b/;

function isRuntimeError(thrown: unknown): thrown is CodedError<RuntimeErrorCode> {
  return isCoded(thrown) && Object.hasOwn(runtimeErrors, thrown.code);
}

/** The message travels in an HTTP/2 header, percent-encoded; some clients take 16 KiB of them. */
const DETAILS_LENGTH_MAX = 3072;

function failure(name: GrpcStatus, details: string): Failure {
  const short =
    details.length > DETAILS_LENGTH_MAX
      ? `${details.slice(0, DETAILS_LENGTH_MAX / 2)} … ${details.slice(-DETAILS_LENGTH_MAX / 2)}`
      : details;
  // grpc-js percent-encodes the text and throws on half a surrogate pair.
  return {status: name, code: status[name], details: short.toWellFormed()};
}
