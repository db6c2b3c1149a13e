import {CodedError, messageOf} from '../errors.ts';
import type {ExecOptions, ExecResult, PodName} from './kubernetes-api.ts';
import {ApiRefusedError} from './errors.ts';
import {isRecord, parseJsonRecord} from './json.ts';
import type {Transport} from './transport.ts';

/** Channels of the API's remote command protocol (`v5.channel.k8s.io`). */
const CHANNEL = {stdin: 0, stdout: 1, stderr: 2, status: 3} as const;
/** A command whose output matters is short; anything longer goes through files. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Runs a command in a container over a WebSocket.
 *
 * @throws CodedError ERR_POD_EXEC, ERR_API_REFUSED, ERR_API_UNREACHABLE
 */
export async function execInPod(
  transport: Transport,
  pod: PodName,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const {signal, stdin} = options;
  signal.throwIfAborted();
  const attempt = `exec ${argv[0] ?? ''} in ${pod.namespace}/${pod.name}`;
  const run = createRun(attempt);
  const opening = transport.openChannels(execPath(pod, argv, options), run.handlers);
  const onAbort = (): void => {
    run.fail(signal.reason);
  };
  signal.addEventListener('abort', onAbort, {once: true});
  // Also when the socket opens only after we have given up.
  const close = (): Promise<void> =>
    opening.then(
      socket => {
        socket.close();
      },
      () => undefined, // never opened: nothing to close
    );
  try {
    const socket = await Promise.race([opening, run.failed]).catch((thrown: unknown) => {
      throw signal.aborted ? signal.reason : openingError(attempt, thrown);
    });
    if (stdin !== undefined) {
      socket.send(CHANNEL.stdin, Buffer.from(stdin));
      socket.end(CHANNEL.stdin);
    }
    return await run.finished;
  } finally {
    signal.removeEventListener('abort', onAbort);
    void close();
  }
}

function execPath(pod: PodName, argv: readonly string[], {container, stdin}: ExecOptions): string {
  const query = new URLSearchParams({stdout: 'true', stderr: 'true'});
  if (stdin !== undefined) query.set('stdin', 'true');
  if (container !== undefined) query.set('container', container);
  for (const argument of argv) query.append('command', argument);
  const namespace = encodeURIComponent(pod.namespace);
  const name = encodeURIComponent(pod.name);
  return `/api/v1/namespaces/${namespace}/pods/${name}/exec?${query.toString()}`;
}

/** Collects what the channels bring until the status arrives. */
function createRun(attempt: string) {
  const finished = Promise.withResolvers<ExecResult>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined); // heard by whoever still waits
  finished.promise.catch(() => undefined);
  const output: Record<'stdout' | 'stderr', Uint8Array[]> = {stdout: [], stderr: []};
  let bytesTotal = 0;
  const fail = (reason: unknown): void => {
    failed.reject(reason);
    finished.reject(reason);
  };
  const collect = (stream: 'stdout' | 'stderr', bytes: Uint8Array): void => {
    bytesTotal += bytes.length;
    if (bytesTotal > OUTPUT_BYTES_MAX) {
      fail(execError(attempt, `it wrote more than ${OUTPUT_BYTES_MAX} bytes`));
    } else {
      output[stream].push(bytes);
    }
  };
  const finish = (status: string): void => {
    const outcome = parseExecStatus(status);
    if (outcome.kind === 'failed') {
      fail(execError(attempt, outcome.message));
      return;
    }
    finished.resolve({
      exitCode: outcome.exitCode,
      stdout: Buffer.concat(output.stdout).toString(),
      stderr: Buffer.concat(output.stderr).toString(),
    });
  };
  return {
    finished: finished.promise,
    failed: failed.promise,
    fail,
    handlers: {
      onData(channel: number, bytes: Uint8Array): void {
        if (channel === CHANNEL.stdout) collect('stdout', bytes);
        else if (channel === CHANNEL.stderr) collect('stderr', bytes);
        else if (channel === CHANNEL.status) finish(Buffer.from(bytes).toString());
      },
      onClose(): void {
        fail(execError(attempt, 'the connection closed before the command ended'));
      },
    },
  };
}

export type ExecOutcome =
  | {readonly kind: 'exited'; readonly exitCode: number}
  | {readonly kind: 'failed'; readonly message: string};

/** Reads the `Status` that ends an exec (kubelet's `remotecommand`: reason NonZeroExitCode). */
export function parseExecStatus(text: string): ExecOutcome {
  const {status, reason, message, details} = parseJsonRecord(text) ?? {};
  if (status === 'Success') return {kind: 'exited', exitCode: 0};
  if (reason === 'NonZeroExitCode' && isRecord(details) && Array.isArray(details['causes'])) {
    const causes: readonly unknown[] = details['causes'];
    const cause = causes.filter(isRecord).find(entry => entry['reason'] === 'ExitCode');
    const exitCode = Number(cause?.['message']);
    if (Number.isInteger(exitCode)) return {kind: 'exited', exitCode};
  }
  return {kind: 'failed', message: typeof message === 'string' ? message : 'no reason was given'};
}

/** The library tells a refused handshake by its text alone: "Unexpected server response: 403". */
function openingError(attempt: string, thrown: unknown): Error {
  if (thrown instanceof CodedError) return thrown;
  const text = isRecord(thrown) ? String(thrown['message']) : messageOf(thrown);
  const status = /Unexpected server response: (\d{3})/.exec(text)?.[1];
  if (status !== undefined) {
    const message = 'the API did not open a stream to the pod';
    return new ApiRefusedError(attempt, {status: Number(status), reason: '', message});
  }
  return new CodedError('ERR_API_UNREACHABLE', `${attempt}: no stream: ${text}`, {
    hint: 'check that kube-apiserver runs on the control plane: crictl ps, or its container log',
    cause: thrown,
  });
}

function execError(attempt: string, what: string): CodedError<'ERR_POD_EXEC'> {
  return new CodedError('ERR_POD_EXEC', `${attempt}: ${what}`, {
    hint: 'check that the pod runs and that the API server reaches the kubelet of its node (10250)',
  });
}
