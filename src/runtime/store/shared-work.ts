/**
 * Work that outlives its first caller, and that a retry joins: RunPodSandbox and CreateContainer of
 * one name, StopPodSandbox of one sandbox.
 *
 * A kubelet whose call timed out asks again for the same name; the work goes on meanwhile, and the
 * retry gets its result (CRI-O's "name is reserved" loops come from not doing this).
 */
export class SharedWork<T> {
  readonly #underWay = new Map<string, Promise<T>>();

  /**
   * Starts `work`, or joins the one under way for this key.
   *
   * @param signal ends the caller's waiting, with its reason; never the work
   */
  async join(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return untilAborted(this.#underWay.get(key) ?? this.#start(key, work), signal);
  }

  /** Resolves when nothing is under way: for a daemon that ends. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }

  #start(key: string, work: () => Promise<T>): Promise<T> {
    const promise = work().finally(() => this.#underWay.delete(key));
    // A caller may have gone; the failure is then nobody's, and undone by the work itself.
    promise.catch(() => undefined);
    this.#underWay.set(key, promise);
    return promise;
  }
}

/** Waits for a promise, but no longer than until `signal` aborts: then rejects with its reason. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const ended = Promise.withResolvers<never>();
  const abort = () => {
    ended.reject(signal.reason);
  };
  signal.addEventListener('abort', abort, {once: true});
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
