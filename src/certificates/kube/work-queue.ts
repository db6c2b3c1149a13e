// Where a key can be:
//
//   add ──▶ ready ──worker──▶ running ──done──▶ gone
//             ▲                  │ added meanwhile: ready again
//             └── due ── later ◀─┘ requeueAt, or a failure's back-off
//
import {isCoded, messageOf} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {Log} from '#shared/log';
import type {Clock} from './clock.ts';
import {createTimetable} from './timetable.ts';

/** What a reconciliation asks for: nothing, or to be called again at an instant. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- a reconciler may just return
export type Outcome = void | {readonly requeueAt: Date};

/** How a reconciliation ended, for metrics. */
export interface WorkResult {
  readonly key: string;
  readonly result: 'done' | 'requeued' | 'conflict' | 'failed';
  /** From being ready to a worker's hand. */
  readonly waitedMs: number;
  readonly durationMs: number;
}

export interface WorkQueueOptions {
  /** For the log, e.g. `certificates`. */
  readonly name: string;
  /** Reconciliations at the same time. */
  readonly workers: number;
  /** Re-reads everything about the key. Never called for a key while it runs for that key. */
  readonly reconcile: (key: string, options: {readonly signal: AbortSignal}) => Promise<Outcome>;
  readonly clock: Clock;
  /** After the first failure of a key, and at most; it doubles in between. */
  readonly backoff: {readonly firstMs: number; readonly lastMs: number};
  readonly log: Log;
  readonly onOutcome?: (result: WorkResult) => void;
  /** Aborting stops the queue as disposing does, but ends the running ones at once. */
  readonly signal?: AbortSignal;
  /** How long disposing waits before it ends the running ones; default 5 s. */
  readonly drainMs?: number;
  /** 0 ≤ x < 1; default Math.random. */
  readonly random?: () => number;
}

export interface AddOptions {
  /** Before all keys that were added without it: what was begun is finished first. */
  readonly ahead?: boolean;
}

/** Keys to be worked on: each once, however often it is added, and in order of arrival. */
export interface WorkQueue extends AsyncDisposable {
  /**
   * As soon as a worker is free; again, when the key is being worked on. A key that failed is not
   * taken up sooner than the first back-off after its failure, whatever its events.
   */
  add(key: string, options?: AddOptions): void;
  /** At an instant, which replaces the one that the key had. An `add` before then stands. */
  addAt(key: string, when: Date): void;
  /** Keys that wait for a worker. */
  readonly depth: number;
  /** Keys being worked on. */
  readonly running: number;
  /** Keys that wait for an instant. */
  readonly scheduled: number;
}

/** A conflict means that somebody was faster: the new state is on its way to us. */
const CONFLICT_FIRST_MS = 50;
const DRAIN_MS = 5_000;
/** After so long without a pause, timers and sockets get their turn. */
const SLICE_MS = 10;
/** So many keys ahead of the others in a row: one that is added again and again stops nobody. */
const AHEAD_MAX = 8;
/** Keys with the same back-off do not all come back in the same instant. */
const JITTER = 0.2;
/** Failures that are logged in a while; the others are counted. */
const LOG_LINES_MAX = 50;
const LOG_WINDOW_MS = 10_000;
/** Enough to come from 1 ms to a month. */
const DOUBLINGS_MAX = 30;

/** A queue that begins to work at once. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new KeyedQueue(options);
}

class KeyedQueue implements WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In order of arrival, with its instant; a key is in one of the two. */
  readonly #ready = {ahead: new Map<string, number>(), rest: new Map<string, number>()};
  readonly #running = new Map<string, {again?: AddOptions}>();
  readonly #later = createTimetable();
  readonly #failures = new Map<string, {readonly count: number; readonly notBeforeMs: number}>();
  readonly #ending = new AbortController();
  #stopped = false;
  #onIdle: (() => void) | undefined;
  #timer: {readonly atMs: number; readonly handle: Disposable} | undefined;
  #pumpScheduled = false;
  #logged = {sinceMs: -Infinity, count: 0};
  #sliceStartedAt = 0;
  #aheadInARow = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    if (options.signal?.aborted === true) this.#onAbort();
    else options.signal?.addEventListener('abort', this.#onAbort, {once: true});
  }

  add(key: string, options: AddOptions = {}): void {
    if (this.#stopped) return;
    const notBeforeMs = this.#failures.get(key)?.notBeforeMs ?? 0;
    if (notBeforeMs <= this.#nowMs() || this.#running.has(key)) this.#makeReady(key, options);
    else this.#schedule(key, Math.min(this.#later.get(key) ?? Infinity, notBeforeMs));
  }

  addAt(key: string, when: Date): void {
    if (this.#stopped) return;
    if (when.getTime() > this.#nowMs()) {
      this.#schedule(key, when.getTime());
      return;
    }
    this.#later.delete(key);
    this.add(key);
  }

  get depth(): number {
    return this.#ready.ahead.size + this.#ready.rest.size;
  }

  get running(): number {
    return this.#running.size;
  }

  get scheduled(): number {
    return this.#later.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const {signal, drainMs = DRAIN_MS, name} = this.#options;
    this.#stop();
    signal?.removeEventListener('abort', this.#onAbort);
    if (this.#running.size === 0) return;
    const grace = setTimeout(() => {
      this.#ending.abort(new Error(`the queue ${name} is stopped`));
    }, drainMs);
    await new Promise<void>(resolve => {
      this.#onIdle = resolve;
    });
    clearTimeout(grace);
  }

  readonly #onAbort = (): void => {
    this.#stop();
    this.#ending.abort(this.#options.signal?.reason);
  };

  #stop(): void {
    this.#stopped = true;
    this.#ready.ahead.clear();
    this.#ready.rest.clear();
    this.#armTimer();
  }

  #nowMs(): number {
    return this.#options.clock.now().getTime();
  }

  #makeReady(key: string, {ahead = false}: AddOptions = {}): void {
    const current = this.#running.get(key);
    if (current === undefined) this.#line(key, ahead);
    else current.again = {ahead: ahead || current.again?.ahead === true};
    this.#schedulePump();
  }

  #line(key: string, isAhead: boolean): void {
    const {ahead, rest} = this.#ready;
    if (ahead.has(key) || (!isAhead && rest.has(key))) return;
    const arrivedAt = rest.get(key) ?? performance.now();
    rest.delete(key);
    (isAhead ? ahead : rest).set(key, arrivedAt);
  }

  /** Takes the next key out, with the instant of its arrival. */
  #next(): readonly [string, number] | undefined {
    const {ahead, rest} = this.#ready;
    const isTurnOfRest = ahead.size === 0 || (this.#aheadInARow >= AHEAD_MAX && rest.size > 0);
    const line = isTurnOfRest ? rest : ahead;
    const {value} = line.entries().next();
    if (value === undefined) return undefined;
    this.#aheadInARow = isTurnOfRest ? 0 : this.#aheadInARow + 1;
    line.delete(value[0]);
    return value;
  }

  #schedule(key: string, atMs: number): void {
    this.#later.set(key, atMs);
    this.#armTimer();
  }

  /** One timer for the earliest instant of all keys. */
  #armTimer(): void {
    const atMs = this.#stopped ? undefined : this.#later.earliest();
    if (this.#timer?.atMs === atMs) return;
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
    if (atMs === undefined) return;
    const fire = (): void => {
      this.#timer = undefined;
      for (const key of this.#later.takeDue(this.#nowMs())) this.#makeReady(key);
      this.#armTimer();
    };
    this.#timer = {atMs, handle: this.#options.clock.at(new Date(atMs), fire)};
  }

  /** In a turn of its own, so that what is added together counts once. */
  #schedulePump(): void {
    if (this.#pumpScheduled || this.#running.size >= this.#options.workers) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.#sliceStartedAt = performance.now();
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#stopped && this.#running.size < this.#options.workers) {
      if (this.depth > 0 && performance.now() - this.#sliceStartedAt > SLICE_MS) {
        this.#schedulePump();
        return;
      }
      const next = this.#next();
      if (next === undefined) return;
      const [key, arrivedAt] = next;
      void this.#run(key, performance.now() - arrivedAt);
    }
  }

  async #run(key: string, waitedMs: number): Promise<void> {
    const current: {again?: AddOptions} = {};
    this.#running.set(key, current);
    this.#later.delete(key); // what it was to be called again for is looked at now
    const startedAt = performance.now();
    const result = await this.#work(key);
    this.#running.delete(key);
    this.#tell({key, result, waitedMs, durationMs: performance.now() - startedAt});
    if (this.#stopped) {
      if (this.#running.size === 0) this.#onIdle?.();
      return;
    }
    if (current.again !== undefined) this.add(key, current.again);
    this.#pump();
  }

  async #work(key: string): Promise<WorkResult['result']> {
    try {
      const outcome = await this.#options.reconcile(key, {signal: this.#ending.signal});
      this.#failures.delete(key);
      if (outcome === undefined) return 'done';
      const set = this.#later.get(key); // by somebody else while it ran
      this.#schedule(key, Math.min(set ?? Infinity, outcome.requeueAt.getTime()));
      return 'requeued';
    } catch (error) {
      return this.#ending.signal.aborted ? 'failed' : this.#fail(key, error);
    }
  }

  #fail(key: string, error: unknown): WorkResult['result'] {
    const {backoff, random = Math.random, log, name} = this.#options;
    const conflict = isConflict(error);
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const firstMs = conflict ? CONFLICT_FIRST_MS : backoff.firstMs;
    const waitMs = Math.min(firstMs * 2 ** Math.min(count - 1, DOUBLINGS_MAX), backoff.lastMs);
    // A conflict is over with the event that brings the other's write.
    const notBeforeMs = conflict ? 0 : this.#nowMs() + firstMs;
    this.#failures.set(key, {count, notBeforeMs});
    this.#schedule(key, this.#nowMs() + Math.round(waitMs * (1 + JITTER * random())));
    if (this.#mayLog()) reportFailure(log, {queue: name, key, failures: count, waitMs}, error);
    return conflict ? 'conflict' : 'failed';
  }

  /** When the API is gone, all keys fail: some of them are enough to read. */
  #mayLog(): boolean {
    const nowMs = this.#nowMs();
    const {sinceMs, count} = this.#logged;
    if (Math.abs(nowMs - sinceMs) >= LOG_WINDOW_MS) {
      const unlogged = count - LOG_LINES_MAX;
      if (unlogged > 0) {
        const queue = this.#options.name;
        this.#options.log.warn('more reconciliations failed than are logged', {queue, unlogged});
      }
      this.#logged = {sinceMs: nowMs, count: 1};
      return true;
    }
    this.#logged = {sinceMs, count: count + 1};
    return count < LOG_LINES_MAX;
  }

  #tell(result: WorkResult): void {
    try {
      this.#options.onOutcome?.(result);
    } catch (error) {
      this.#options.log.error('outcome could not be counted', {queue: this.#options.name, error});
    }
  }
}

function isConflict(error: unknown): error is ApiRefusedError {
  return error instanceof ApiRefusedError && error.status === 409;
}

function reportFailure(log: Log, fields: Readonly<Record<string, unknown>>, error: unknown): void {
  if (isConflict(error)) {
    log.debug('conflict, tried again soon', {...fields, error: error.message});
  } else if (isCoded(error)) {
    const {code, hint, message} = error;
    log.warn('reconciliation failed', {...fields, code, error: message, hint});
  } else {
    log.error('reconciliation failed by a defect of ours', {
      ...fields,
      error: error instanceof Error ? error : messageOf(error),
    });
  }
}
