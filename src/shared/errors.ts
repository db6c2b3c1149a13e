/**
 * What a program's exit code means; the table with examples is docs/errors.md.
 * With several failures at once the lowest code wins (docs/errors.md, "Exit codes").
 */
export type ExitCode =
  | 0 | 1 | 2 | 3 | 10 | 12 | 13 | 14 | 15 | 16 | 17 | 18 | 19 | 20 | 21 | 30 | 130; // prettier-ignore

/** A closed list of error codes with the exit code each leads to; one per program. */
export type ErrorRegistry = Readonly<Record<`ERR_${string}`, ExitCode>>;

export interface ErrorDetail {
  /** The next command or setting to try, as one sentence without a full stop. */
  readonly hint: string;
  readonly cause?: unknown;
}

/**
 * A failure of the world (never of our own code): bad input, an unreachable host, a full disk.
 *
 * The message says what was tried on what, what was found and what was expected; the hint says
 * what to do next. `Code` is the closed union of one program (see its `errors.ts`).
 */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly hint: string;

  constructor(code: Code, message: string, {hint, cause}: ErrorDetail) {
    super(message, cause === undefined ? {} : {cause});
    this.name = 'CodedError';
    this.code = code;
    this.hint = hint;
  }
}

/** The message of anything that was thrown, without a stack trace. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** True for a Node.js system error with this `code`, e.g. `ENOENT`. */
export function isErrno(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}

/** True for a failure with a code; unlike `instanceof`, it keeps the code's type a string. */
export function isCoded(thrown: unknown): thrown is CodedError {
  return thrown instanceof CodedError;
}
