/** A host for tests of what is above the transport: no process, no socket, no shell. */
import {Readable, Duplex} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {CodedError} from '#shared/errors';
import type {
  Connection,
  LockOptions,
  RunOptions,
  RunResult,
} from '#provisioner/transport/connection';

/** What one `run()` asked for. */
export interface RecordedRun {
  readonly script: string;
  /** The whole payload, which a fake may keep in memory; undefined if there was none. */
  readonly payload: Buffer | undefined;
}

/**
 * What the host answers: standard output alone, any part of a result, or an error to reject with.
 * It may wait; an abort is noticed meanwhile.
 */
export type Answer = string | Partial<RunResult> | Error;
export type Responder = (run: RecordedRun) => Answer | Promise<Answer>;

export interface FakeConnectionOptions {
  readonly host?: string;
  /** Default: every script succeeds and prints nothing. */
  readonly respond?: Responder;
  /** Locks held by others, path → owner. */
  readonly heldLocks?: ReadonlyMap<string, string>;
}

export class FakeConnection implements Connection {
  readonly host: string;
  /** Every script, in the order in which they were started. */
  readonly runs: RecordedRun[] = [];
  readonly locks: {readonly path: string; readonly owner: string}[] = [];
  readonly forwards: number[] = [];
  readonly #respond: Responder;
  readonly #heldLocks: ReadonlyMap<string, string>;
  readonly #end = new AbortController();

  constructor({
    host = 'h1',
    respond = () => '',
    heldLocks = new Map(),
  }: FakeConnectionOptions = {}) {
    this.host = host;
    this.#respond = respond;
    this.#heldLocks = heldLocks;
  }

  get isClosed(): boolean {
    return this.#end.signal.aborted;
  }

  /** From now on everything rejects with ERR_CONNECTION_LOST, what runs now included. */
  drop(): void {
    this.#end.abort(
      new CodedError('ERR_CONNECTION_LOST', `${this.host}: connection lost`, {hint: 'try again'}),
    );
  }

  async run(script: string, {signal, payload, onLine}: RunOptions): Promise<RunResult> {
    this.#check(signal);
    const content = payload ? await buffer(payload.open()) : undefined;
    if (payload && content?.length !== payload.sizeBytes) {
      throw new CodedError('ERR_PAYLOAD_CHANGED', `${this.host}: payload changed`, {hint: '-'});
    }
    const recorded = {script, payload: content};
    this.runs.push(recorded);
    const answer = await this.#unlessStopped(async () => this.#respond(recorded), signal);
    if (answer instanceof Error) throw answer;
    const result = typeof answer === 'string' ? {stdout: answer} : answer;
    for (const line of (result.stdout ?? '').split('\n').slice(0, -1)) onLine?.(line);
    return {exitCode: 0, stdout: '', stderr: '', ...result};
  }

  lock(path: string, {owner, signal}: LockOptions): Promise<void> {
    return this.#unlessStopped(() => {
      const holder = this.#heldLocks.get(path);
      if (holder !== undefined) {
        throw new CodedError('ERR_LOCKED', `${this.host} is locked by ${holder}`, {hint: 'wait'});
      }
      this.locks.push({path, owner});
      return Promise.resolve();
    }, signal);
  }

  forward(port: number, {signal}: {readonly signal: AbortSignal}): Promise<Duplex> {
    return this.#unlessStopped(() => {
      this.forwards.push(port);
      return Promise.resolve(Duplex.from(Readable.from([])));
    }, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.drop();
    return Promise.resolve();
  }

  #check(signal: AbortSignal): void {
    signal.throwIfAborted();
    this.#end.signal.throwIfAborted();
  }

  async #unlessStopped<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
    this.#check(signal);
    const stop = Promise.withResolvers<never>();
    const stopped = AbortSignal.any([signal, this.#end.signal]);
    const reject = (): void => {
      stop.reject(stopped.reason as Error);
    };
    stopped.addEventListener('abort', reject);
    try {
      return await Promise.race([act(), stop.promise]);
    } finally {
      stopped.removeEventListener('abort', reject);
    }
  }
}
