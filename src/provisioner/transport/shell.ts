import {strict as assert} from 'node:assert';
import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import type {ClientChannel} from 'ssh2';
import type {Payload, RunResult} from './connection.ts';
import {OutputSink} from './frame.ts';
import {encodeRequest, type RequestMode} from './shell-loop.ts';

/** Enough for every listing that a probe makes; more is a script that forgot to redirect. */
export const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
const NONCE_BYTES = 16;
/** How much of what an unusable shell printed is shown. */
const NOISE_LIMIT_BYTES = 64 * 1024;

export const createNonce = (): string => randomBytes(NONCE_BYTES).toString('hex');

/** Why a shell gave no answer; the connection turns it into a coded error. */
export class ShellFailure extends Error {
  readonly reason: 'ended' | 'too-large' | 'payload-changed';

  constructor(reason: ShellFailure['reason'], message: string) {
    super(message);
    this.name = 'ShellFailure';
    this.reason = reason;
  }
}

export interface ShellRequest {
  readonly payload?: Payload | undefined;
  readonly onLine?: ((line: string) => void) | undefined;
  /** Runs in the loop's own shell, so that opened descriptors stay; see `shell-loop.ts`. */
  readonly ownShell?: boolean;
  /** Ends the request and with it the shell, which then may only be closed. */
  readonly signal: AbortSignal;
}

/** One channel with a running loop (`shell-loop.ts`); it runs one script at a time. */
export class Shell {
  readonly #channel: ClientChannel;
  #frame: Frame | undefined;
  #state: 'starting' | 'idle' | 'busy' | 'broken' = 'starting';
  #pid = 0;
  /** Settles, never rejecting, when the channel has closed. */
  readonly ended: Promise<void>;

  /** @param channel executes the command of `formatShellCommand()`; owned by the shell from now on */
  constructor(channel: ClientChannel) {
    this.#channel = channel;
    channel.on('data', (chunk: Buffer) => this.#frame?.write('stdout', chunk));
    channel.stderr.on('data', (chunk: Buffer) => this.#frame?.write('stderr', chunk));
    channel.on('error', () => undefined); // always followed by `close`
    this.ended = new Promise(resolve => {
      channel.once('close', () => {
        this.#state = 'broken';
        this.#frame?.fail(new ShellFailure('ended', this.#frame.noise()));
        resolve();
      });
    });
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  #isBroken(): boolean {
    return this.#state === 'broken';
  }

  /** The loop's process id: it leads, or belongs to, the session of everything it runs. */
  get pid(): number {
    return this.#pid;
  }

  /** Waits until the loop has announced itself; what profile files printed before is dropped. */
  async start(nonce: string, signal: AbortSignal): Promise<void> {
    const frame = new Frame({nonce, limitBytes: NOISE_LIMIT_BYTES});
    const {exitCode} = await this.#follow(frame, signal);
    this.#pid = exitCode;
  }

  /**
   * Runs one script.
   *
   * @throws ShellFailure; the signal's reason. Afterwards `isIdle` tells if the shell is still good
   */
  async run(script: string, {payload, onLine, ownShell, signal}: ShellRequest): Promise<RunResult> {
    assert(this.#state === 'idle', `a shell that is ${this.#state} cannot run a script`);
    const nonce = createNonce();
    const mode = ownShell === true ? ({kind: 'own-shell'} as const) : modeOf(payload);
    const request = encodeRequest(nonce, script, mode);
    signal.throwIfAborted();
    this.#state = 'busy';
    const frame = new Frame({nonce, limitBytes: OUTPUT_LIMIT_BYTES, onLine});
    this.#channel.write(request);
    if (payload) {
      sendPayload(this.#channel, payload, frame.stopped).catch((error: unknown) => {
        frame.fail(error instanceof Error ? error : new Error(String(error)));
      });
    }
    return this.#follow(frame, signal);
  }

  /** Takes the channel away; the host sees the end of the loop's input. */
  close(): void {
    this.#state = 'broken';
    this.#channel.close();
  }

  async #follow(frame: Frame, signal: AbortSignal): Promise<RunResult> {
    if (this.#isBroken()) throw new ShellFailure('ended', '');
    const abort = (): void => {
      frame.fail(signal.reason as Error);
    };
    this.#frame = frame;
    signal.addEventListener('abort', abort, {once: true});
    if (signal.aborted) abort();
    try {
      const result = await frame.done;
      if (!this.#isBroken()) this.#state = 'idle';
      return result;
    } catch (error) {
      this.#state = 'broken';
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#frame = undefined;
    }
  }
}

const modeOf = (payload: Payload | undefined): RequestMode =>
  payload ? {kind: 'payload', sizeBytes: payload.sizeBytes} : {kind: 'no-input'};

/** The answer to one request while it arrives. */
class Frame {
  readonly #sinks: {readonly stdout: OutputSink; readonly stderr: OutputSink};
  readonly #outcome = Promise.withResolvers<RunResult>();
  readonly #stop = new AbortController();

  constructor({nonce, limitBytes, onLine}: FrameOptions) {
    this.#sinks = {
      stdout: new OutputSink({nonce, limitBytes, onLine}),
      stderr: new OutputSink({nonce, limitBytes, onLine: undefined}),
    };
  }

  get done(): Promise<RunResult> {
    return this.#outcome.promise;
  }

  /** Aborts as soon as the answer is there or never will be. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  write(name: 'stdout' | 'stderr', chunk: Buffer): void {
    if (this.#stop.signal.aborted) return;
    const {stdout, stderr} = this.#sinks;
    let written: 'ok' | 'too-large';
    try {
      written = this.#sinks[name].write(chunk);
    } catch (error) {
      this.fail(error as Error); // thrown by the caller's onLine; it belongs to the caller
      return;
    }
    if (written === 'too-large') {
      this.fail(new ShellFailure('too-large', name));
    } else if (stdout.status !== undefined && stderr.status !== undefined) {
      this.#stop.abort();
      this.#outcome.resolve({
        exitCode: stdout.status,
        stdout: stdout.text,
        stderr: stderr.text,
      });
    }
  }

  fail(error: Error): void {
    this.#stop.abort();
    this.#outcome.reject(error);
  }

  /** What has been printed so far, on one line, for an error message. */
  noise(): string {
    const text = `${this.#sinks.stderr.text}\n${this.#sinks.stdout.text}`;
    return text
      .trim()
      .split(/\s*\n\s*/)
      .slice(-3)
      .join('; ');
  }
}

interface FrameOptions {
  readonly nonce: string;
  readonly limitBytes: number;
  readonly onLine?: ((line: string) => void) | undefined;
}

/** Writes exactly the promised bytes, never faster than the host reads. */
async function sendPayload(
  channel: ClientChannel,
  payload: Payload,
  stopped: AbortSignal,
): Promise<void> {
  const {sizeBytes} = payload;
  const source = payload.open();
  let sentBytes = 0;
  const stop = (): void => void source.destroy();
  stopped.addEventListener('abort', stop, {once: true});
  try {
    for await (const chunk of source as AsyncIterable<Buffer | string>) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      sentBytes += bytes.length;
      if (sentBytes > sizeBytes) break;
      if (!channel.write(bytes)) await once(channel, 'drain', {signal: stopped});
      if (stopped.aborted) return;
    }
  } catch (error) {
    if (stopped.aborted) return; // the request has ended already, with a reason of its own
    throw error;
  } finally {
    stopped.removeEventListener('abort', stop);
    source.destroy();
  }
  if (sentBytes !== sizeBytes && !stopped.aborted) {
    throw new ShellFailure('payload-changed', `${sentBytes} of ${sizeBytes} bytes`);
  }
}
