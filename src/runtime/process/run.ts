import {Socket} from 'node:net';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {close} from '../sys/libc.ts';
import {openPipe, type Pipe} from './pipe.ts';
import {type ChildProcess, type SpawnOptions, spawnProcess} from './spawn.ts';

export interface RunCommandOptions extends Pick<SpawnOptions, 'command' | 'environment' | 'cwd'> {
  /** Written to standard input, which then ends; without it standard input is empty. */
  readonly input?: Uint8Array | string;
  readonly timeoutMs?: number;
  /** Of each stream so many bytes are kept, from its beginning; the rest is read and dropped. */
  readonly maxOutputBytes?: number;
  readonly signal: AbortSignal;
}

export interface CommandResult {
  /** 0–255; 128 + n when signal n ended the program. */
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** True when either stream was longer than `maxOutputBytes`. */
  readonly truncated: boolean;
}

const TIMEOUT_MS_MAX = 2 ** 31 - 1; // what setTimeout takes: 24 days
const OUTPUT_BYTES_MAX = 1024 * 1024;
/** A grandchild that holds the streams open is not waited for longer than this. */
const STREAM_END_MS = 1_000;

/**
 * Runs a program to its end. An exit code other than 0 is a result, not an error.
 *
 * @throws CodedError `ERR_COMMAND_TIMED_OUT` after `timeoutMs`; the signal's reason when aborted;
 *   the process group was killed in both cases. `SystemError` when it cannot be started
 */
export async function runCommand(options: RunCommandOptions): Promise<CommandResult> {
  const {command, input = '', timeoutMs, maxOutputBytes = OUTPUT_BYTES_MAX, signal} = options;
  signal.throwIfAborted();
  const {child, streams} = spawnWithPipes(options);
  const stdout = collect(streams.stdout, maxOutputBytes);
  const stderr = collect(streams.stderr, maxOutputBytes);
  // A program may end without reading its input: EPIPE is no news then.
  streams.stdin.on('error', () => undefined).end(input);

  const late = new AbortController();
  const kill = (): void => void child.killGroup('SIGKILL');
  const timer = setTimeout(() => {
    if (child.killGroup('SIGKILL')) late.abort();
  }, timeoutMs ?? TIMEOUT_MS_MAX);
  signal.addEventListener('abort', kill, {once: true});
  try {
    const {exitCode} = await child.exited;
    if (late.signal.aborted) throw timedOut(command, timeoutMs ?? TIMEOUT_MS_MAX);
    signal.throwIfAborted();
    await Promise.all([stdout.ended(), stderr.ended()]);
    return {
      exitCode,
      stdout: stdout.bytes(),
      stderr: stderr.bytes(),
      truncated: stdout.isTruncated() || stderr.isTruncated(),
    };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
    for (const stream of [streams.stdin, streams.stdout, streams.stderr]) stream.destroy();
  }
}

interface Streams {
  readonly stdin: Socket;
  readonly stdout: Socket;
  readonly stderr: Socket;
}

function spawnWithPipes(options: SpawnOptions): {child: ChildProcess; streams: Streams} {
  const opened: Pipe[] = [];
  const open = (): Pipe => {
    const pipe = openPipe();
    opened.push(pipe);
    return pipe;
  };
  try {
    const [stdin, stdout, stderr] = [open(), open(), open()];
    const child = spawnProcess({
      ...options,
      newProcessGroup: true,
      fileDescriptors: {0: stdin.read, 1: stdout.write, 2: stderr.write},
    });
    for (const fd of [stdin.read, stdout.write, stderr.write]) close(fd);
    const streams = {
      stdin: new Socket({fd: stdin.write, readable: false}),
      stdout: new Socket({fd: stdout.read, writable: false}),
      stderr: new Socket({fd: stderr.read, writable: false}),
    };
    return {child, streams};
  } catch (error) {
    for (const {read, write} of opened) {
      close(read);
      close(write);
    }
    throw error;
  }
}

interface Collected {
  /** Settles at the end of the stream, or soon after the call when somebody keeps it open. */
  readonly ended: () => Promise<void>;
  readonly bytes: () => Uint8Array;
  readonly isTruncated: () => boolean;
}

/** Reads a stream to its end, keeping only its beginning. */
function collect(stream: Socket, bytesMax: number): Collected {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  let isTruncated = false;
  const closed = new Promise<void>(resolve => stream.once('close', resolve));
  stream.on('error', () => undefined); // A pipe that breaks ends, and 'close' follows.
  stream.on('data', (chunk: Buffer) => {
    const kept = chunk.subarray(0, bytesMax - keptBytes);
    keptBytes += kept.length;
    if (kept.length < chunk.length) isTruncated = true;
    if (kept.length > 0) chunks.push(kept);
  });
  return {
    async ended() {
      const timer = setTimeout(() => stream.destroy(), STREAM_END_MS);
      await closed;
      clearTimeout(timer);
    },
    bytes: () => Buffer.concat(chunks),
    isTruncated: () => isTruncated,
  };
}

function timedOut(
  [program = '']: readonly string[],
  timeoutMs: number,
): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_COMMAND_TIMED_OUT', `${program} did not end within ${timeoutMs} ms`, {
    hint: 'it was killed; look for what it waits for, e.g. in its own log',
  });
}
