import {Readable} from 'node:stream';
import {CodedError, isCoded} from '../errors.ts';
import type {Digest} from './digest.ts';
import type {OciErrorCode} from './errors.ts';
import type {HttpAnswer} from './http-sender.ts';
import type {RegistryTransport} from './registry-transport.ts';

export interface BlobRequest {
  readonly repository: string;
  readonly digest: Digest;
  /** As its descriptor says; neither more nor less is delivered. */
  readonly sizeBytes: number;
  /** First byte wanted; default 0. */
  readonly offset?: number;
  /** Without a byte for so long, while one is waited for, the blob has stalled. */
  readonly stallTimeoutMs: number;
}

const READ_BYTES = 256 * 1024;
const RESUMES_MAX = 20;
/** So often in a row a connection may break before it has brought anything. */
const RESUMES_IN_VAIN_MAX = 3;
const RESUME_AFTER_MS = 100; // doubled each time in vain

/**
 * The bytes of a blob. A connection that breaks is opened again where it broke (a Range request, or
 * the start is skipped where the registry knows no ranges). The digest is *not* checked here: who
 * reads it hashes it anyway.
 *
 * Fails with CodedError ERR_PULL_STALLED, ERR_REGISTRY_ANSWER (other sizes than announced), and what
 * `RegistryTransport.call` throws; with the signal's reason when aborted.
 */
export class BlobStream extends Readable {
  readonly #transport: RegistryTransport;
  readonly #request: BlobRequest;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stall: NodeJS.Timeout;
  #answer: HttpAnswer | undefined;
  #isOpening = false;
  #resumeTimer: NodeJS.Timeout | undefined;
  #position: number;
  #skipBytes = 0;
  #resumes = 0;
  #resumesInVain = 0;

  constructor(transport: RegistryTransport, request: BlobRequest, signal: AbortSignal) {
    super({highWaterMark: READ_BYTES});
    this.#transport = transport;
    this.#request = request;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#position = request.offset ?? 0;
    this.#stall = setTimeout(() => {
      this.#onSilence();
    }, request.stallTimeoutMs);
    signal.addEventListener('abort', () => this.destroy(signal.reason as Error), {
      once: true,
      signal: this.#stop.signal,
    });
    if (signal.aborted) this.destroy(signal.reason as Error);
  }

  override _read(): void {
    if (this.#answer !== undefined) {
      if (this.#answer.body.isPaused()) this.#stall.refresh();
      this.#answer.body.resume();
    } else if (this.#position === this.#request.sizeBytes) this.push(null);
    else if (this.#resumeTimer === undefined) void this.#open();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#stall);
    clearTimeout(this.#resumeTimer);
    this.#stop.abort();
    this.#answer?.body.destroy();
    done(error);
  }

  async #open(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.#stall.refresh();
    try {
      const answer = await this.#ask();
      if (this.destroyed) {
        answer.body.destroy();
        return;
      }
      this.#listen(answer);
    } catch (error) {
      if (isCoded(error) && error.code === 'ERR_REGISTRY_UNREACHABLE') {
        this.#resume(error);
      } else this.destroy(error as Error);
    } finally {
      this.#isOpening = false;
    }
  }

  async #ask(): Promise<HttpAnswer> {
    const {repository, digest, sizeBytes, stallTimeoutMs} = this.#request;
    const start = this.#position;
    const answer = await this.#transport.call({
      method: 'GET',
      path: `${repository}/blobs/${digest}`,
      repository,
      signal: this.#signal,
      timeoutMs: stallTimeoutMs,
      headers: start === 0 ? {} : {range: `bytes=${start}-`},
      expect: start === 0 ? [200] : [200, 206],
    });
    this.#skipBytes = answer.status === 206 ? 0 : start;
    const wrong = wrongSize(answer, {start, sizeBytes});
    if (wrong === undefined) return answer;
    answer.body.destroy();
    throw this.#transport.broken(`${wrong} for ${digest}`);
  }

  #listen(answer: HttpAnswer): void {
    const {body} = answer;
    this.#answer = answer;
    this.#stall.refresh();
    let broken: unknown;
    body.on('data', (chunk: Buffer) => {
      this.#take(chunk);
    });
    body.on('error', error => {
      broken = error;
    });
    body.on('close', () => {
      this.#answer = undefined;
      if (this.destroyed) return;
      if (this.#position === this.#request.sizeBytes) this.push(null);
      else this.#resume(broken ?? new Error('the connection ended too early'));
    });
  }

  #take(chunk: Buffer): void {
    this.#stall.refresh();
    const skipped = Math.min(chunk.length, this.#skipBytes);
    this.#skipBytes -= skipped;
    const fresh = skipped === 0 ? chunk : chunk.subarray(skipped);
    if (fresh.length === 0 || this.destroyed) return;
    this.#position += fresh.length;
    this.#resumesInVain = 0;
    const {sizeBytes, digest} = this.#request;
    if (this.#position > sizeBytes) {
      this.destroy(this.#transport.broken(`sent more than ${sizeBytes} bytes for ${digest}`));
      return;
    }
    if (!this.push(fresh)) this.#answer?.body.pause();
  }

  #resume(cause: unknown): void {
    this.#resumes += 1;
    this.#resumesInVain += 1;
    if (this.#resumes > RESUMES_MAX || this.#resumesInVain > RESUMES_IN_VAIN_MAX) {
      this.destroy(isCoded(cause) ? cause : this.#transport.unreachable(cause));
      return;
    }
    const waitMs = RESUME_AFTER_MS * 2 ** (this.#resumesInVain - 1);
    this.#resumeTimer = setTimeout(() => {
      this.#resumeTimer = undefined;
      void this.#open();
    }, waitMs);
  }

  #onSilence(): void {
    const isReading = this.#isOpening || this.#answer?.body.isPaused() === false;
    this.#stall.refresh();
    // Nobody has asked for bytes yet, or our reader is busy: the registry is not to blame.
    if (!isReading) return;
    // Nor is it when this process was busy: what has come meanwhile is seen one turn later.
    const position = this.#position;
    setImmediate(() => {
      if (this.#position === position && !this.destroyed) this.destroy(this.#stalled());
    });
  }

  #stalled(): CodedError<OciErrorCode> {
    const {digest, repository, sizeBytes, stallTimeoutMs} = this.#request;
    return new CodedError(
      'ERR_PULL_STALLED',
      `no byte of ${digest} of ${repository} for ${stallTimeoutMs / 1000} s; ` +
        `${this.#position} of ${sizeBytes} are here`,
      {hint: 'check the registry and the line to it, or allow more time'},
    );
  }
}

/** What is wrong with the announced size of an answer, if anything. */
function wrongSize(
  {status, headers}: HttpAnswer,
  {start, sizeBytes}: {readonly start: number; readonly sizeBytes: number},
): string | undefined {
  const expected = status === 206 ? sizeBytes - start : sizeBytes;
  const announced = headers['content-length'];
  if (announced !== undefined && Number(announced) !== expected) {
    return `announced ${announced.slice(0, 20)} bytes instead of ${expected}`;
  }
  const range = headers['content-range'];
  const isRight = status !== 206 || range?.startsWith(`bytes ${start}-`) === true;
  return isRight ? undefined : `answered with the range ${String(range).slice(0, 60)}`;
}
