import {untilAborted} from '../store/shared-work.ts';

interface Shared<T> {
  readonly result: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

/**
 * Equal pulls share one piece of work. It goes on while anybody waits for it, whoever began it, and
 * is aborted when the last one has gone.
 */
export class SharedPulls<T> {
  readonly #underWay = new Map<string, Shared<T>>();

  /**
   * Starts `work`, or joins the one under way for this key.
   *
   * @param signal ends this caller's waiting, with its reason
   * @throws what the work throws; the signal's reason
   */
  async join(
    key: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const shared = this.#underWay.get(key) ?? this.#start(key, work);
    shared.waiting += 1;
    try {
      return await untilAborted(shared.result, signal);
    } finally {
      shared.waiting -= 1;
      if (shared.waiting === 0) this.#abandon(key, shared, signal.reason);
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Shared<T> {
    const stop = new AbortController();
    const result = work(stop.signal).finally(() => {
      this.#forget(key, shared);
    });
    result.catch(() => undefined); // whoever still waits gets it
    const shared: Shared<T> = {result, stop, waiting: 0};
    this.#underWay.set(key, shared);
    return shared;
  }

  /** Nobody may join work that is being aborted: the next one starts anew. */
  #abandon(key: string, shared: Shared<T>, reason: unknown): void {
    this.#forget(key, shared);
    shared.stop.abort(reason);
  }

  #forget(key: string, shared: Shared<T>): void {
    if (this.#underWay.get(key) === shared) this.#underWay.delete(key);
  }
}
