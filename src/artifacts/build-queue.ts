/**
 * Runs at most `atOnceMax` jobs, always the waiting one with the lowest rank next. So whoever asks
 * for what hosts need first gets it before what others asked for earlier.
 */
export class BuildQueue {
  readonly #atOnceMax: number;
  readonly #waiting: {readonly rank: number; readonly start: () => void}[] = [];
  #running = 0;

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
  }

  /** @param onWait called once when there is no free place yet */
  async run<T>(
    {rank, signal, onWait}: {rank: number; signal: AbortSignal; onWait: () => void},
    job: () => Promise<T>,
  ): Promise<T> {
    if (this.#running >= this.#atOnceMax) {
      onWait();
      await new Promise<void>(resolve => {
        this.#waiting.push({rank, start: resolve});
      });
    } else this.#running += 1;
    try {
      signal.throwIfAborted();
      return await job();
    } finally {
      this.#next();
    }
  }

  /** Hands the place of a finished job on, or frees it. */
  #next(): void {
    const first = this.#waiting.toSorted((a, b) => a.rank - b.rank)[0];
    if (first === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.splice(this.#waiting.indexOf(first), 1);
    first.start();
  }
}
