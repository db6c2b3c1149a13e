import {CodedError} from '#shared/errors';
import {type Deadline, isTimeout, waitFor} from '#shared/wait-for';
import type {LabErrorCode} from './errors.ts';

export interface TimedWait extends Deadline {
  readonly code: LabErrorCode;
  /** What should have happened, e.g. `h1 did not reboot`; the time is added. */
  readonly message: string;
  readonly hint: string;
}

/**
 * Waits as `waitFor` does; a deadline that passes is a failure of the world, with a next step.
 *
 * @throws CodedError with `code`; the signal's reason when aborted
 */
export async function waitInTime<T>(
  probe: (signal: AbortSignal) => Promise<T | undefined>,
  {code, message, hint, ...deadline}: TimedWait,
): Promise<T> {
  try {
    return await waitFor(probe, deadline);
  } catch (cause) {
    deadline.signal.throwIfAborted();
    if (!isTimeout(cause)) throw cause;
    const text = `${message} within ${deadline.timeoutMs / 1000} s`;
    throw new CodedError<LabErrorCode>(code, text, {hint, cause});
  }
}
