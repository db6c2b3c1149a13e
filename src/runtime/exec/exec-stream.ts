import type {OciRuntime} from '../oci/oci-runtime.ts';
import type {StreamIo} from '../streaming/stream-io.ts';
import {type ExecStreams, pipeStreams, terminalStreams} from './exec-streams.ts';
import type {ExecTarget} from './exec-target.ts';
import {killAfter, type RunningExec, startExec} from './runtime-exec.ts';

export interface ExecStreamOptions {
  readonly runtime: OciRuntime;
  readonly container: ExecTarget;
  readonly command: readonly string[];
  /** With a terminal there is one output, `io.stdout`. */
  readonly terminal: boolean;
  readonly io: StreamIo;
  /** The client has gone, the container is to stop, or the daemon stops. */
  readonly signal: AbortSignal;
}

/** From the hang-up that a process gets when its client has gone to its SIGKILL. */
const HANGUP_TIMEOUT_MS = 5_000;

/**
 * Runs a command in a container with its streams joined to a client's, on pipes or on a terminal.
 *
 * The end of `io.stdin` is the end of the command's input; on a terminal input has no end. Output
 * follows the client's pace: a client that does not read stops the command, as a local pipe does.
 * When the client goes, the command gets SIGHUP, and SIGKILL with all its descendants if it then
 * lives on: nothing of an exec stays behind but what has daemonized. The client's streams are
 * not ended here.
 *
 * @returns the command's exit code, 0–255, 128 + n for signal n
 * @throws CodedError ERR_OCI_RUNTIME_FAILED; the signal's reason when aborted
 */
export async function execStream(options: ExecStreamOptions): Promise<number> {
  options.signal.throwIfAborted();
  const streams = options.terminal ? terminalStreams(options.io) : pipeStreams(options.io);
  try {
    const exec = startExec({...options, ...streams});
    streams.join(exec);
    return await waitForExit({exec, streams, signal: options.signal});
  } finally {
    streams.close();
  }
}

async function waitForExit({
  exec,
  streams,
  signal,
}: {
  readonly exec: RunningExec;
  readonly streams: ExecStreams;
  readonly signal: AbortSignal;
}): Promise<number> {
  let killed: Promise<void> | undefined;
  const hangUp = (): void => {
    killed ??= hangUpThenKill(exec);
    streams.close();
  };
  signal.addEventListener('abort', hangUp, {once: true});
  if (signal.aborted) hangUp();
  try {
    const exitCode = await exec.exited;
    await streams.drained(); // an abort closes the streams, which ends this too
    signal.throwIfAborted();
    return exitCode;
  } finally {
    signal.removeEventListener('abort', hangUp);
    await killed;
  }
}

async function hangUpThenKill(exec: RunningExec): Promise<void> {
  await exec.hangUp();
  await killAfter(exec, HANGUP_TIMEOUT_MS);
}
