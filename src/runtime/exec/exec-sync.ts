import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {openPipe} from '../process/pipe.ts';
import {close} from '../sys/libc.ts';
import {collectOutput} from './output.ts';
import type {DirectExec, ExecTarget} from './exec-target.ts';
import {type RunningExec, startExec} from './runtime-exec.ts';

/** Kept of each stream; the rest is read and dropped (the limit of containerd and CRI-O). */
export const EXEC_OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const COMMAND_CHARACTERS_MAX = 200;
const TIMER_MS_MAX = 2 ** 31 - 1; // what a timer takes: 24 days

export interface ExecSyncOptions {
  readonly runtime: OciRuntime;
  readonly direct?: DirectExec | undefined;
  readonly container: ExecTarget;
  readonly command: readonly string[];
  /** 0: no limit. */
  readonly timeoutSeconds: number;
  /** The request's: its caller has gone, or its deadline has passed. */
  readonly signal: AbortSignal;
}

export interface ExecSyncResult {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** 0–255; 128 + n when signal n ended the command. */
  readonly exitCode: number;
}

/**
 * Runs a command in a container and collects its output.
 *
 * After `timeoutSeconds` the command and its descendants are killed, and the call fails with
 * ERR_COMMAND_TIMED_OUT, which goes out as DEADLINE_EXCEEDED. A kubelet takes that as "the probe
 * has failed, timed out" since 1.20 and says so in the event (cri-client, `ErrCommandTimedOut`);
 * exit code −1 in a successful answer, as older kubelets needed it, would be a failed probe too,
 * but "exited with -1" to its reader. critest takes either.
 * @throws CodedError ERR_COMMAND_TIMED_OUT, ERR_OCI_RUNTIME_FAILED (no such command, container
 *   stopped); the signal's reason when aborted, the command killed
 */
export async function execSync(options: ExecSyncOptions): Promise<ExecSyncResult> {
  options.signal.throwIfAborted();
  const [input, out, err] = [openPipe(), openPipe(), openPipe()];
  // At its end already. Not /dev/null: root of a container could take the host's away from others.
  close(input.write);
  const stdout = collectOutput(out.read, EXEC_OUTPUT_BYTES_MAX);
  const stderr = collectOutput(err.read, EXEC_OUTPUT_BYTES_MAX);
  try {
    const fileDescriptors = {0: input.read, 1: out.write, 2: err.write};
    const exec = startExec({...options, terminal: false, fileDescriptors});
    const exitCode = await waitForExit(exec, options);
    return {exitCode, stdout: stdout.take(), stderr: stderr.take()};
  } finally {
    stdout.close();
    stderr.close();
  }
}

async function waitForExit(
  exec: RunningExec,
  {command, timeoutSeconds, signal}: ExecSyncOptions,
): Promise<number> {
  const limit =
    timeoutSeconds > 0
      ? AbortSignal.timeout(Math.min(timeoutSeconds * 1_000, TIMER_MS_MAX))
      : undefined;
  const cancelled = limit === undefined ? signal : AbortSignal.any([signal, limit]);
  let killed: Promise<void> | undefined;
  const kill = (): void => {
    killed ??= exec.kill();
  };
  cancelled.addEventListener('abort', kill, {once: true});
  if (cancelled.aborted) kill();
  const ended = await exec.exited.then(
    exitCode => ({exitCode}),
    (error: unknown) => ({error}),
  );
  cancelled.removeEventListener('abort', kill);
  await killed;
  // A kill is told as such, whatever came of it: an exit code or a complaint of the runtime.
  signal.throwIfAborted();
  if (limit?.aborted === true) throw timedOut(command, timeoutSeconds);
  if ('error' in ended) throw ended.error;
  return ended.exitCode;
}

function timedOut(
  command: readonly string[],
  timeoutSeconds: number,
): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_COMMAND_TIMED_OUT',
    `command ${JSON.stringify(command).slice(0, COMMAND_CHARACTERS_MAX)} did not end within ${timeoutSeconds} s`,
    {hint: 'it was killed with all that it started; raise its time limit if it needs longer'},
  );
}
