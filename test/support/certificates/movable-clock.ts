import type {Clock} from '#certificates/kube/clock';

export interface MovableClockOptions {
  /** Where it begins; default: the real time. */
  readonly start?: Date;
  /** Stands still but for `advance` and `set`; default false: it goes on as real time passes. */
  readonly frozen?: boolean;
}

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** A clock that a test moves. What is due fires in the order of its instants. */
export class MovableClock implements Clock {
  readonly #frozen: boolean;
  readonly #timers = new Set<Timer>();
  #baseMs: number;
  #sinceMs = performance.now();
  #wakeUp: NodeJS.Timeout | undefined;

  constructor({start = new Date(), frozen = false}: MovableClockOptions = {}) {
    this.#baseMs = start.getTime();
    this.#frozen = frozen;
  }

  now(): Date {
    return new Date(this.#nowMs());
  }

  at(when: Date, run: () => void): Disposable {
    const timer = {atMs: when.getTime(), run};
    this.#timers.add(timer);
    this.#arm();
    return {
      [Symbol.dispose]: () => {
        if (this.#timers.delete(timer)) this.#arm();
      },
    };
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves on, and fires what comes due, at its own instant each; also what that adds. */
  advance(ms: number): void {
    this.set(new Date(this.#nowMs() + ms));
  }

  /** Moves to an instant, back as well. */
  set(date: Date): void {
    const target = date.getTime();
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > target) break;
      this.#moveTo(Math.max(next.atMs, this.#nowMs()));
      this.#timers.delete(next);
      next.run();
    }
    this.#moveTo(target);
    this.#arm();
  }

  #nowMs(): number {
    return Math.floor(this.#baseMs + (this.#frozen ? 0 : performance.now() - this.#sinceMs));
  }

  #moveTo(ms: number): void {
    this.#baseMs = ms;
    this.#sinceMs = performance.now();
  }

  #earliest(): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (earliest === undefined || timer.atMs < earliest.atMs) earliest = timer;
    }
    return earliest;
  }

  #arm(): void {
    clearTimeout(this.#wakeUp);
    this.#wakeUp = undefined;
    const next = this.#earliest();
    if (next === undefined) return;
    const leftMs = next.atMs - this.#nowMs();
    if (this.#frozen && leftMs > 0) return;
    this.#wakeUp = setTimeout(
      () => {
        this.#fireDue();
      },
      Math.min(Math.max(leftMs, 0), 2 ** 31 - 1),
    );
  }

  #fireDue(): void {
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.atMs > this.#nowMs()) break;
      this.#timers.delete(next);
      next.run();
    }
    this.#arm();
  }
}
