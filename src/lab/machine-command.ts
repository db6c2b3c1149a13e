import {lastLines} from '#shared/last-lines';
import {CodedError} from '#shared/errors';
import {run} from '#shared/local-process';
import type {LabErrorCode} from './errors.ts';

export interface MachineCommandOptions {
  readonly signal: AbortSignal;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Code and hint of the failure; default `ERR_LAB_COMMAND_FAILED`. */
  readonly code?: LabErrorCode;
  readonly hint?: string;
}

const MESSAGE_LINES_MAX = 5;
const COMMAND_CHARACTERS_MAX = 120;
const MESSAGE_HINT =
  'read the message above; "provision lab down" then "provision lab up" starts afresh';

/**
 * Runs a command of the machine that has to succeed, and returns its standard output.
 *
 * @throws CodedError with the last lines that the command printed
 */
export async function machineCommand(
  argv: readonly string[],
  {code = 'ERR_LAB_COMMAND_FAILED', hint = MESSAGE_HINT, ...options}: MachineCommandOptions,
): Promise<string> {
  const {exitCode, stdout, stderr} = await run(argv, options);
  if (exitCode === 0) return stdout;
  throw new CodedError<LabErrorCode>(
    code,
    `"${shorten(argv.join(' '))}" exited with ${exitCode}: ${quoteOutput(`${stdout}\n${stderr}`)}`,
    {hint},
  );
}

/** The end of a program's output: where it says what went wrong. */
export function quoteOutput(text: string): string {
  return lastLines(text, MESSAGE_LINES_MAX) || '(it printed nothing)';
}

function shorten(command: string): string {
  return command.length <= COMMAND_CHARACTERS_MAX
    ? command
    : `${command.slice(0, COMMAND_CHARACTERS_MAX)}…`;
}
