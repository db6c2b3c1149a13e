import {type ProcessResult, run, type RunOptions} from './local-process.ts';
import {isTimeout} from './wait-for.ts';

const EXIT_TIMEOUT = 124; // as timeout(1)

/**
 * As `run`, but a deadline that passes is a result like any other failure of the program: exit code
 * 124, with a last line on standard error that says so.
 *
 * @throws the signal's reason when aborted
 */
export async function runWithin(
  argv: readonly string[],
  options: RunOptions & {readonly timeoutMs: number},
): Promise<ProcessResult> {
  try {
    return await run(argv, options);
  } catch (error) {
    if (options.signal.aborted || !isTimeout(error)) throw error;
    const stderr = `${argv[0] ?? ''} did not end within ${options.timeoutMs / 1000} s and was stopped`;
    return {exitCode: EXIT_TIMEOUT, stdout: '', stderr};
  }
}
