import {closeSync} from 'node:fs';
import {Socket} from 'node:net';
import {fileURLToPath} from 'node:url';
import {CodedError} from '#shared/errors';
import {openPipe} from '../process/pipe.ts';
import {type ChildProcess, spawnProcess} from '../process/spawn.ts';
import {InputReader} from './input-reader.ts';
import type {UnpackAnswer, UnpackDone, UnpackJob} from './unpack-job.ts';

/** One running unpack worker: takes jobs one after the other. */
export class UnpackProcess {
  readonly #child: ChildProcess;
  readonly #input: Socket;
  readonly #answers: InputReader;
  readonly #gone = new AbortController();

  constructor() {
    const [input, output] = [openPipe(), openPipe()];
    try {
      this.#child = spawnProcess({
        command: [process.execPath, ...NODE_FLAGS, workerPath()],
        environment: {UV_THREADPOOL_SIZE: '2', PATH: process.env['PATH'] ?? ''},
        fileDescriptors: {0: input.read, 1: output.write, 2: 2},
      });
    } catch (error) {
      for (const fd of [input.write, output.read]) closeSync(fd);
      throw error;
    } finally {
      for (const fd of [input.read, output.write]) closeSync(fd);
    }
    this.#input = new Socket({fd: input.write, readable: false, writable: true});
    this.#input.on('error', () => undefined); // the answer, or its absence, tells more
    this.#answers = new InputReader(new Socket({fd: output.read, readable: true, writable: false}));
    void this.#child.exited.then(() => {
      this.#gone.abort(new Error('the unpack worker has ended'));
    });
  }

  /** Aborts once the process has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Starts a job. The bytes of a layer follow by `write`. */
  start(job: UnpackJob): void {
    this.#input.write(`${JSON.stringify(job)}\n`);
  }

  /** Hands on a piece of a layer; resolves when there is room for more. */
  async write(piece: Uint8Array, signal: AbortSignal): Promise<void> {
    if (this.#input.write(piece)) return;
    const waiting = AbortSignal.any([signal, this.gone]);
    waiting.throwIfAborted();
    const {promise, resolve, reject} = Promise.withResolvers<undefined>();
    const abort = () => {
      reject(waiting.reason);
    };
    const drained = () => {
      resolve(undefined);
    };
    this.#input.once('drain', drained);
    waiting.addEventListener('abort', abort, {once: true});
    try {
      await promise;
    } finally {
      this.#input.removeListener('drain', drained);
      waiting.removeEventListener('abort', abort);
    }
  }

  /** The end of the job under way. @throws CodedError as the job fails; Error when the process died */
  async answer(): Promise<UnpackDone> {
    const line = await this.#answers.line();
    if (line === undefined) {
      const {exitCode, signal = 'no signal'} = await this.#child.exited;
      throw new Error(`the unpack worker ended without an answer: code ${exitCode}, ${signal}`);
    }
    const answer = JSON.parse(line) as UnpackAnswer; // our own program wrote it
    if (answer.kind === 'done') return answer;
    const {code, message, hint} = answer.failure;
    throw code === undefined ? new Error(message) : new CodedError(code, message, {hint});
  }

  /** Lets it end after what it was given. */
  async end(): Promise<void> {
    this.#input.end();
    await this.#child.exited;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    this.#input.destroy();
    await this.#child.exited;
  }
}

/**
 * Its memory is short-lived: the young generation matters, and pieces lie outside of it. What a
 * layer makes it remember is limited to half of this (unpack-tree.ts).
 */
const NODE_FLAGS = ['--max-semi-space-size=4', '--max-old-space-size=512'];

/** Beside this file from a checkout, beside the daemon's bundle when shipped. */
function workerPath(): string {
  const isSource = import.meta.url.endsWith('.ts');
  return fileURLToPath(
    new URL(isSource ? 'unpack-worker.ts' : 'unpack-worker.mjs', import.meta.url),
  );
}
