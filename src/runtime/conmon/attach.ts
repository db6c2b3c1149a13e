import {closeSync, constants, openSync} from 'node:fs';
import type {Writable} from 'node:stream';
import {CodedError, isErrno} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {StreamIo} from '../streaming/stream-io.ts';
import {connectSeqpacket, type SeqpacketConnection} from '../sys/socket.ts';
import {conmonFiles} from './conmon-command.ts';
import {resize} from './control.ts';

/** First byte of a packet from conmon. */
const STDOUT_PACKET = 2;
const STDERR_PACKET = 3;
/** conmon reads no more at once; the rest of a longer packet would be lost. */
const STDIN_PACKET_BYTES_MAX = 32 * 1024;
/** What may wait for a slow client; it is let go beyond that (see `attach`). */
const BACKLOG_BYTES_MAX = 16 * 1024 * 1024;

export interface AttachOptions {
  readonly bundle: string;
  readonly io: StreamIo;
  readonly terminal: boolean;
  /** The client has gone, or the daemon stops. */
  readonly signal: AbortSignal;
}

/**
 * Connects a client to the standard streams of a running container, until the container ends or
 * the client goes. Output from before the call is in the log only.
 *
 * conmon writes to attached clients from the loop that also writes the log, and waits for them:
 * a client that is not read from stops the container's output. So this side always reads, keeps
 * up to `BACKLOG_BYTES_MAX` for its client, and lets go of a client that stays behind.
 *
 * The end of `io.stdin` closes the container's standard input unless conmon was told to leave it
 * open. Resolves at the container's end and when the client goes.
 * @throws CodedError ERR_CONTAINER_STATE when the container is not running,
 *   ERR_SUBSCRIBER_TOO_SLOW when the client was let go
 */
export async function attach({bundle, io, terminal, signal}: AttachOptions): Promise<void> {
  if (signal.aborted) return;
  const connection = openAttach(bundle);
  const done = new AbortController();
  const close = (): void => {
    done.abort();
    connection.close();
  };
  signal.addEventListener('abort', close, {once: true});
  try {
    if (terminal) void followSize({bundle, io, signal: done.signal});
    if (io.stdin !== undefined) void sendInput(connection, io.stdin).catch(close);
    await receiveOutput(connection, io);
    await Promise.all(
      [io.stdout, io.stderr].map(async stream => {
        await flush(stream, done.signal);
      }),
    );
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

/** @throws CodedError ERR_CONTAINER_STATE when no conmon listens */
export function openAttach(bundle: string): SeqpacketConnection {
  let folder: number | undefined;
  try {
    // A socket's address has 108 bytes; through its folder's descriptor any bundle fits.
    folder = openSync(bundle, constants.O_DIRECTORY | constants.O_RDONLY);
    return connectSeqpacket(`/proc/self/fd/${folder}/${conmonFiles.attach}`);
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT') && !isErrno(cause, 'ECONNREFUSED')) throw cause;
    throw new CodedError<RuntimeErrorCode>(
      'ERR_CONTAINER_STATE',
      `no conmon listens in ${bundle}: the container is not running`,
      {hint: 'ask for the container’s status', cause},
    );
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

async function receiveOutput(connection: SeqpacketConnection, io: StreamIo): Promise<void> {
  for await (const packet of connection.read()) {
    const stream = streamOf(packet[0], io);
    if (stream === undefined || stream.destroyed) continue; // not asked for, or gone: only drained
    if (stream.writableLength > BACKLOG_BYTES_MAX) throw tooSlow();
    stream.write(packet.subarray(1));
  }
}

function streamOf(kind: number | undefined, io: StreamIo): Writable | undefined {
  switch (kind) {
    case STDOUT_PACKET:
      return io.stdout;
    case STDERR_PACKET:
      return io.stderr;
    default:
      return undefined; // a kind of a later conmon
  }
}

async function sendInput(
  connection: SeqpacketConnection,
  stdin: NonNullable<StreamIo['stdin']>,
): Promise<void> {
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    for (let start = 0; start < chunk.length; start += STDIN_PACKET_BYTES_MAX) {
      await connection.write(chunk.subarray(start, start + STDIN_PACKET_BYTES_MAX));
    }
  }
  connection.shutdownWrite();
}

async function followSize({
  bundle,
  io,
  signal,
}: Pick<AttachOptions, 'bundle' | 'io' | 'signal'>): Promise<void> {
  try {
    for await (const size of io.resize) {
      if (signal.aborted) return;
      await resize(bundle, size);
    }
  } catch {
    // The container has ended, which the output's end says better.
  }
}

/** Waits until a client has got what was written to it, or has gone. */
async function flush(stream: Writable | undefined, gone: AbortSignal): Promise<void> {
  if (stream === undefined || stream.destroyed || stream.writableLength === 0) return;
  const {promise, resolve} = Promise.withResolvers<undefined>();
  const settle = (): void => {
    resolve(undefined);
  };
  stream.once('close', settle);
  gone.addEventListener('abort', settle, {once: true});
  if (gone.aborted) settle();
  else stream.write('', settle);
  await promise;
  stream.removeListener('close', settle);
  gone.removeEventListener('abort', settle);
}

function tooSlow(): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_SUBSCRIBER_TOO_SLOW',
    `the attached client is ${BACKLOG_BYTES_MAX} bytes behind the container’s output`,
    {hint: 'read the container’s log instead, or attach again'},
  );
}
