import type {Clock} from '#certificates/kube/clock';

export interface MovableClockOptions {
  /** Where it begins; default: the real time. */
  readonly start?: Date;
  /** Stands still but for `advance` and `set`; default false: it goes on as real time passes. */
  readonly frozen?: boolean;
}

interface Timer {
  /** On the clock that nobody sets, as the other clock stands now. */
  readonly dueMs: () => number;
  readonly run: () => void;
}

/** A clock that a test moves. What is due fires in the order of its instants. */
export class MovableClock implements Clock {
  readonly #frozen: boolean;
  readonly #timers = new Set<Timer>();
  /** What the clock shows when nothing has elapsed. */
  #startMs: number;
  #baseMs = 0;
  #sinceMs = performance.now();
  #wakeUp: NodeJS.Timeout | undefined;

  constructor({start = new Date(), frozen = false}: MovableClockOptions = {}) {
    this.#startMs = start.getTime();
    this.#frozen = frozen;
  }

  now(): Date {
    return new Date(Math.floor(this.#startMs + this.elapsedMs()));
  }

  at(when: Date, run: () => void): Disposable {
    return this.#add({dueMs: () => when.getTime() - this.#startMs, run});
  }

  elapsedMs(): number {
    return this.#baseMs + (this.#frozen ? 0 : performance.now() - this.#sinceMs);
  }

  after(ms: number, run: () => void): Disposable {
    const dueMs = this.elapsedMs() + ms;
    return this.#add({dueMs: () => dueMs, run});
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass, and fires what comes due, at its own instant each; also what that adds. */
  advance(ms: number): void {
    const targetMs = this.elapsedMs() + ms;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.dueMs() > targetMs) break;
      this.#moveTo(Math.max(next.dueMs(), this.elapsedMs()));
      this.#timers.delete(next);
      next.run();
    }
    this.#moveTo(targetMs);
    this.#arm();
  }

  /** Lets time pass until an instant, or shifts back to it. */
  set(date: Date): void {
    const ms = date.getTime() - this.now().getTime();
    if (ms < 0) this.shift(ms);
    else this.advance(ms);
  }

  /** Somebody sets the clock: no time passes. */
  shift(ms: number): void {
    this.#startMs += ms;
    this.#arm();
  }

  #add(timer: Timer): Disposable {
    this.#timers.add(timer);
    this.#arm();
    return {
      [Symbol.dispose]: () => {
        if (this.#timers.delete(timer)) this.#arm();
      },
    };
  }

  #moveTo(ms: number): void {
    this.#baseMs = ms;
    this.#sinceMs = performance.now();
  }

  #earliest(): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (earliest === undefined || timer.dueMs() < earliest.dueMs()) earliest = timer;
    }
    return earliest;
  }

  #arm(): void {
    clearTimeout(this.#wakeUp);
    this.#wakeUp = undefined;
    const next = this.#earliest();
    if (next === undefined) return;
    const leftMs = next.dueMs() - this.elapsedMs();
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
      if (next === undefined || next.dueMs() > this.elapsedMs()) break;
      this.#timers.delete(next);
      next.run();
    }
    this.#arm();
  }
}
