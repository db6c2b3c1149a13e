import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {Connection, RunOptions, RunResult} from '../transport/connection.ts';

export interface ScriptFailure {
  readonly code: ProvisionerErrorCode;
  /** What was tried, as the middle of a sentence: `cannot <tried>`. */
  readonly tried: string;
  readonly hint: string;
}

const TAIL_LINES = 12;

/**
 * Runs a script that must succeed. What it was doing is finished even when the run is interrupted:
 * only the second Ctrl-C, which ends the process, cuts it off.
 *
 * @throws CodedError of `failure`, or ERR_DISK_FULL when that was the reason
 */
export async function runScript(
  connection: Connection,
  script: string,
  {failure, ...options}: Omit<RunOptions, 'signal'> & {readonly failure: ScriptFailure},
): Promise<RunResult> {
  const result = await connection.run(script, {...options, signal: new AbortController().signal});
  if (result.exitCode === 0) return result;
  throw scriptError(connection.host, result, failure);
}

/** The coded error for a script that ended badly; names a full disk by its own code. */
export function scriptError(
  host: string,
  {exitCode, stdout, stderr}: RunResult,
  {code, tried, hint}: ScriptFailure,
): CodedError<ProvisionerErrorCode> {
  const said = lastLines(stderr.trim() === '' ? stdout : stderr, TAIL_LINES);
  const message = `${host}: cannot ${tried} (exit code ${exitCode}): ${said}`;
  if (/No space left on device|not enough free space/.test(stderr)) {
    const free = `free space on ${host} ("df -h" shows where), then run the same command again`;
    return new CodedError('ERR_DISK_FULL', message, {hint: free});
  }
  return new CodedError(code, message, {hint});
}
