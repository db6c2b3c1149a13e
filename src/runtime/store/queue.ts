import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** A kubelet asks for one thing at a time per pod; more than this is a caller gone wrong. */
export const QUEUE_LENGTH_MAX = 256;

export interface QueuedWork<T> {
  /** What is done, for messages: `create container app`. */
  readonly name: string;
  /**
   * Interruptible work is dropped, or its signal aborted, when the pod is stopped; other work is
   * waited for.
   */
  readonly interruptible: boolean;
  /** Work that has not begun when this aborts is dropped with the signal's reason. */
  readonly signal?: AbortSignal;
  /** `signal` aborts when the pod is stopped, and never otherwise. */
  readonly run: (signal: AbortSignal) => Promise<T>;
}

interface Item {
  readonly name: string;
  readonly interrupt: AbortController | undefined;
  readonly begin: () => Promise<void>;
  readonly drop: (reason: Error) => void;
}

/**
 * All work on one pod, one piece after the other, in the order in which it was asked for. It stands
 * in the place of locks: whatever runs here owns the sandbox and its containers.
 */
export class PodQueue {
  readonly #waiting: Item[] = [];
  readonly #onIdle: () => void;
  #running: Item | undefined;

  /** @param onIdle called whenever nothing runs or waits any more */
  constructor(onIdle: () => void = () => undefined) {
    this.#onIdle = onIdle;
  }

  /** Resolves or rejects as the work does. @throws CodedError `ERR_QUEUE_FULL` */
  async run<T>(work: QueuedWork<T>): Promise<T> {
    if (this.#waiting.length >= QUEUE_LENGTH_MAX) {
      throw new CodedError<RuntimeErrorCode>(
        'ERR_QUEUE_FULL',
        `${work.name}: ${QUEUE_LENGTH_MAX} other requests wait for the same pod`,
        {hint: 'see in the log what the pod is busy with'},
      );
    }
    return new Promise<T>((resolve, reject) => {
      const interrupt = new AbortController();
      this.#waiting.push({
        name: work.name,
        interrupt: work.interruptible ? interrupt : undefined,
        drop: reject,
        begin: async () => {
          const running = this.#begin(work, interrupt.signal);
          resolve(running);
          await Promise.allSettled([running]);
        },
      });
      this.#next();
    });
  }

  /** Drops interruptible work that waits, and aborts the signal of what runs. */
  interrupt(reason: CodedError): void {
    const kept = this.#waiting.filter(item => !item.interrupt);
    for (const item of this.#waiting) if (item.interrupt) item.drop(reason);
    this.#waiting.splice(0, this.#waiting.length, ...kept);
    this.#running?.interrupt?.abort(reason);
  }

  get idle(): boolean {
    return this.#running === undefined && this.#waiting.length === 0;
  }

  async #begin<T>(work: QueuedWork<T>, interrupted: AbortSignal): Promise<T> {
    work.signal?.throwIfAborted();
    return work.run(interrupted);
  }

  #next(): void {
    if (this.#running) return;
    const item = this.#waiting.shift();
    if (!item) {
      this.#onIdle();
      return;
    }
    this.#running = item;
    void item.begin().finally(() => {
      this.#running = undefined;
      this.#next();
    });
  }
}

/** The queues of all pods; a queue is there while it has work. Use it at once, do not keep it. */
export class PodQueues {
  readonly #bySandbox = new Map<string, PodQueue>();

  of(sandboxId: string): PodQueue {
    const existing = this.#bySandbox.get(sandboxId);
    if (existing) return existing;
    const queue = new PodQueue(() => this.#bySandbox.delete(sandboxId));
    this.#bySandbox.set(sandboxId, queue);
    return queue;
  }
}
