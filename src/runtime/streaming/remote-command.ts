import {finished} from 'node:stream/promises';
import {messageOf} from '#shared/errors';
import type {StreamConnection} from './connection.ts';
import {failedStatus, messageStatus, successStatus} from './remote-status.ts';
import {resizes} from './resizes.ts';
import {SpdySession, type SpdyStream} from './spdy-session.ts';
import type {StreamIo} from './stream-io.ts';

export interface ExecStreamRequest {
  readonly containerId: string;
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export type AttachStreamRequest = Omit<ExecStreamRequest, 'command'>;

/** Resolves with the exit code. The signal aborts when the client has gone. */
export type ExecHandler = (
  request: ExecStreamRequest,
  io: StreamIo,
  signal: AbortSignal,
) => Promise<number>;

/** Resolves when the container or the client has ended. */
export type AttachHandler = (
  request: AttachStreamRequest,
  io: StreamIo,
  signal: AbortSignal,
) => Promise<void>;

type RemoteCommand =
  | {readonly kind: 'exec'; readonly request: ExecStreamRequest}
  | {readonly kind: 'attach'; readonly request: AttachStreamRequest};

/** Kubernetes' protocols of remote commands; before v4 a failure is a text, before v3 no resize. */
const PROTOCOLS = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io'];
const STREAMS_MS = 30_000;

/**
 * Serves exec or attach: waits for the streams that the request names, runs it, reports how it
 * ended on the error stream.
 *
 * @returns false, with nothing answered, when no offered protocol is known
 */
export function serveRemoteCommand(
  {socket, offered, accept, log}: StreamConnection,
  command: RemoteCommand,
  handlers: {readonly exec: ExecHandler; readonly attach: AttachHandler},
): boolean {
  const wanted = offered.length === 0 ? ['channel.k8s.io'] : offered;
  const protocol = PROTOCOLS.find(known => wanted.includes(known));
  if (protocol === undefined) return false;
  accept(protocol);
  const {request} = command;
  const names = expectedStreams(request, protocol);
  const streams = new Map<string, SpdyStream>();
  const gone = new AbortController();
  const complete = Promise.withResolvers<undefined>();
  complete.promise.catch(() => undefined);
  const timer = setTimeout(() => {
    complete.reject(new Error(`the client opened only ${[...streams.keys()].join(', ')}`));
  }, STREAMS_MS);
  const session = new SpdySession(socket, {
    onStream(stream) {
      const name = stream.headers.get('streamtype') ?? '';
      if (!names.includes(name) || streams.has(name)) {
        stream.destroy();
        return;
      }
      streams.set(name, stream);
      if (name !== 'stdin' && name !== 'resize') stream.resume(); // we only write to it
      if (streams.size === names.length) complete.resolve(undefined);
    },
    onClose(reason) {
      const error = new Error(reason);
      complete.reject(error);
      gone.abort(error);
    },
  });
  void (async () => {
    try {
      await complete.promise;
      await run({command, streams, protocol, signal: gone.signal}, handlers);
    } catch (error) {
      log.debug('stream ended early', {kind: command.kind, reason: messageOf(error)});
    } finally {
      clearTimeout(timer);
      session.close();
    }
  })();
  return true;
}

function expectedStreams(request: AttachStreamRequest, protocol: string): readonly string[] {
  const hasResize = protocol.startsWith('v4') || protocol.startsWith('v3');
  return [
    'error',
    ...(request.stdin ? ['stdin'] : []),
    ...(request.stdout ? ['stdout'] : []),
    ...(request.stderr && !request.tty ? ['stderr'] : []),
    ...(request.tty && hasResize ? ['resize'] : []),
  ];
}

interface Running {
  readonly command: RemoteCommand;
  readonly streams: ReadonlyMap<string, SpdyStream>;
  readonly protocol: string;
  readonly signal: AbortSignal;
}

async function run(
  {command, streams, protocol, signal}: Running,
  handlers: {readonly exec: ExecHandler; readonly attach: AttachHandler},
): Promise<void> {
  const [stdin, stdout, stderr, resize] = ['stdin', 'stdout', 'stderr', 'resize'].map(name =>
    streams.get(name),
  );
  const io: StreamIo = {
    ...(stdin && {stdin}),
    ...(stdout && {stdout}),
    ...(stderr && {stderr}),
    resize: resizes(resize),
  };
  const isStructured = protocol.startsWith('v4');
  const report = await outcome(async () => {
    if (command.kind === 'exec') return await handlers.exec(command.request, io, signal);
    await handlers.attach(command.request, io, signal);
    return 0;
  }, isStructured);
  signal.throwIfAborted();
  for (const output of [stdout, stderr]) await endWritten(output);
  const error = streams.get('error');
  if (report !== '') error?.write(report);
  await endWritten(error);
}

async function endWritten(stream: SpdyStream | undefined): Promise<void> {
  if (stream === undefined || stream.destroyed) return;
  const ended = finished(stream, {readable: false});
  stream.end();
  await ended;
}

async function outcome(work: () => Promise<number>, isStructured: boolean): Promise<string> {
  try {
    const exitCode = await work();
    if (isStructured) return exitCode === 0 ? successStatus() : failedStatus(exitCode);
    return exitCode === 0 ? '' : `command terminated with non-zero exit code: ${exitCode}`;
  } catch (error) {
    return isStructured ? messageStatus(messageOf(error)) : messageOf(error);
  }
}
