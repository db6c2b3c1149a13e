import {CodedError, isCoded, messageOf} from '#shared/errors';

/** Several failures at once, e.g. of several hosts; `code` and `hint` are those of the first. */
export class ProblemsError extends CodedError {
  readonly problems: readonly CodedError[];

  /** @param problems at least one */
  constructor(problems: readonly CodedError[]) {
    const [first] = problems;
    if (first === undefined) throw new TypeError('no problem to report');
    const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`;
    super(first.code, `${first.message}${more}`, {hint: first.hint, cause: first});
    this.problems = problems;
  }
}

/**
 * Splits what tasks threw: coded failures are reported together; anything else is a defect of ours
 * and thrown as it is.
 */
export function throwProblems(errors: readonly unknown[]): void {
  const coded = errors.filter(isCoded);
  if (coded.length < errors.length) throw asError(errors.find(error => !isCoded(error)));
  const [first, ...others] = coded;
  if (first !== undefined) throw others.length === 0 ? first : new ProblemsError(coded);
}

const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(messageOf(thrown));
