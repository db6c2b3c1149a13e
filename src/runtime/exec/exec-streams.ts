import {Socket} from 'node:net';
import type {Writable} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import {openPipe, openReader} from '../process/pipe.ts';
import type {StreamIo} from '../streaming/stream-io.ts';
import {openTerminal, setTerminalSize, type TerminalSize} from '../sys/terminal.ts';
import type {RunningExec} from './runtime-exec.ts';

/** Our side of the standard streams of one exec. */
export interface ExecStreams {
  /** The process's side: its descriptor → one here, which `startExec` closes. */
  readonly fileDescriptors: Readonly<Record<number, number>>;
  /** The latest size of the client's terminal. */
  readonly size?: () => TerminalSize | undefined;
  /** Begins to move data between the client and the process. */
  readonly join: (exec: RunningExec) => void;
  /**
   * Resolves when the client has got all output; for use when the process has ended. Output that
   * a process in the background holds open is given up once nothing comes any more.
   */
  readonly drained: () => Promise<void>;
  readonly close: () => void;
}

/** After the end, output that does not end is given up when nothing came for so long. */
const IDLE_MS = 500;

/** Streams as a pipe each; what the client did not ask for is /dev/null. */
export function pipeStreams(io: StreamIo): ExecStreams {
  const fileDescriptors: Record<number, number> = {};
  const outputs: Output[] = [];
  let input: Socket | undefined;
  if (io.stdin !== undefined) {
    const {read, write} = openPipe();
    fileDescriptors[0] = read;
    input = new Socket({fd: write, readable: false, writable: true});
    input.on('error', () => undefined); // the process reads no more: its right
  }
  const clients = [io.stdout, io.stderr];
  for (const [index, client] of clients.entries()) {
    if (client === undefined) continue;
    const {read, write} = openPipe();
    fileDescriptors[index + 1] = write;
    outputs.push({source: openReader(read), client});
  }
  return {
    fileDescriptors,
    join: () => {
      if (input !== undefined) io.stdin?.pipe(input);
      outputs.forEach(joinOutput);
    },
    drained: async () => {
      await Promise.all(outputs.map(drain));
    },
    close: () => {
      if (input !== undefined) io.stdin?.unpipe(input);
      input?.destroy();
      for (const {source} of outputs) source.destroy();
    },
  };
}

/**
 * One pseudo-terminal between us and the runtime, which makes another in the container and copies
 * between the two; it learns of a new size by SIGWINCH.
 */
export function terminalStreams(io: StreamIo): ExecStreams {
  const {primary, replica} = openTerminal();
  const source = new ReadStream(primary);
  const output = io.stdout === undefined ? undefined : {source, client: io.stdout};
  let isClosed = false;
  source.on('error', () => undefined); // EIO is how a terminal without programs ends

  let size: TerminalSize | undefined;
  let running: RunningExec | undefined;
  const followSize = async (): Promise<void> => {
    for await (const next of io.resize) {
      if (isClosed) return;
      size = next;
      setTerminalSize(primary, size); // the runtime takes it over if it has not begun
      await running?.resize(size);
    }
  };
  followSize().catch(() => undefined); // a client that breaks off has no size any more
  return {
    fileDescriptors: {0: replica, 1: replica, 2: replica},
    size: () => size,
    join: exec => {
      running = exec;
      if (size !== undefined) void exec.resize(size);
      if (output === undefined) source.resume();
      else joinOutput(output);
      io.stdin?.pipe(source, {end: false});
    },
    drained: async () => {
      if (output !== undefined) await drain(output);
    },
    close: () => {
      isClosed = true;
      io.stdin?.unpipe(source);
      source.destroy();
    },
  };
}

interface Output {
  readonly source: Socket;
  readonly client: Writable;
}

function joinOutput({source, client}: Output): void {
  source.on('error', () => undefined); // as its end
  source.pipe(client, {end: false});
  // A client that has closed one stream is not read for any more: the process gets SIGPIPE.
  client.once('close', () => source.destroy());
}

async function drain({source, client}: Output): Promise<void> {
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
  };
  for (const event of ['end', 'close', 'error']) source.once(event, end);
  if (source.readableEnded || source.destroyed) end();
  for (let bytesBefore = -1; !ended.signal.aborted;) {
    await sleep(IDLE_MS, undefined, {signal: ended.signal}).catch(() => undefined);
    if (source.bytesRead === bytesBefore && !client.writableNeedDrain) break;
    bytesBefore = source.bytesRead;
  }
  await flushed(client);
}

/** Resolves when all that was written is handed on; at once for a stream that has ended. */
async function flushed(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableEnded || stream.writableLength === 0) return;
  const {promise, resolve} = Promise.withResolvers<undefined>();
  const settle = (): void => {
    resolve(undefined);
  };
  stream.once('close', settle);
  stream.write('', settle);
  await promise;
  stream.removeListener('close', settle);
}
