import {PassThrough, type Readable} from 'node:stream';
import {waitFor} from '#shared/wait-for';
import type {StreamIo} from '#runtime/streaming/stream-io';
import type {TerminalSize} from '#runtime/sys/terminal';

/** A client of exec or attach whose streams are the test's. */
export interface TestClient {
  readonly io: StreamIo;
  readonly stdin: PassThrough;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly resize: (size: TerminalSize) => void;
  /** From now on the client reads nothing. */
  readonly stall: () => void;
  /** Ends that: from now on each piece of standard output goes there. */
  readonly reads: (take: (chunk: Buffer) => void) => void;
  /** Resolves when the output contains a text. */
  readonly sees: (text: string) => Promise<void>;
}

const SEEN_MS = 10_000;

/** @param without streams that the client did not ask for */
export function testClient(without: readonly ('stdin' | 'stdout' | 'stderr')[] = []): TestClient {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const out = collect(stdout);
  const err = collect(stderr);
  const sizes = new PassThrough({objectMode: true});
  const streams = Object.entries({stdin, stdout, stderr}).filter(
    ([name]) => !without.some(missing => missing === name),
  );
  return {
    io: {...Object.fromEntries(streams), resize: sizes as AsyncIterable<TerminalSize>},
    stdin,
    stdout: out,
    stderr: err,
    resize: size => void sizes.write(size),
    stall: () => {
      for (const stream of [stdout, stderr]) stream.removeAllListeners('data').pause();
    },
    reads: take => void stdout.on('data', take).resume(),
    sees: async text => {
      const {signal} = new AbortController();
      const probe = (): Promise<true | undefined> =>
        Promise.resolve(out().includes(text) ? true : undefined);
      await waitFor(probe, {signal, timeoutMs: SEEN_MS, intervalMs: 5});
    },
  };
}

function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
