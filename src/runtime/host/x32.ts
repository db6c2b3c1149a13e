import {runCommand} from '../process/run.ts';

const ASK_MS_MAX = 10_000;
const REFUSED = 1;

/**
 * Whether the kernel answers system calls of the x32 ABI, which most are built without. A process
 * of its own asks: under a filter of system calls, such as systemd's `SystemCallArchitectures`, the
 * question may be its last.
 *
 * @param program slipway-exec; where it is missing, or dies of the question, the answer is true
 */
export async function answersX32(program: string, signal: AbortSignal): Promise<boolean> {
  const asked = runCommand({command: [program, 'x32'], timeoutMs: ASK_MS_MAX, signal});
  const exitCode = await asked.then(
    result => result.exitCode,
    () => undefined,
  );
  signal.throwIfAborted();
  return exitCode !== REFUSED;
}
