import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** conmon itself did not do what it is for; `what` completes the sentence. */
export function conmonFailed(what: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_CONMON_FAILED', `the container was not created: ${what}`, {
    hint: 'run the configured conmon with --version, and look into the kernel’s log',
    cause,
  });
}
