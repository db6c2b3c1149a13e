import type {CodedError} from '#shared/errors';
import type {Shell} from './shell.ts';

/** sshd allows ten sessions on a connection (MaxSessions); the lock and a kill need one each. */
const SHELLS_MAX = 4;

/** Says that the host would not open one more session, although others work. */
export class SessionRefused extends Error {}

/** Lends a few shells to many callers, opening them as they are needed. */
export class ShellPool {
  readonly #open: (signal: AbortSignal) => Promise<Shell>;
  readonly #idle: Shell[] = [];
  readonly #all = new Set<Shell>();
  readonly #waiting = new Set<Waiter>();
  #openCount = 0;
  #shellsMax = SHELLS_MAX;
  #ended: CodedError | undefined;

  /** @param open makes a ready shell; throws `SessionRefused` if the host allows no more */
  constructor(open: (signal: AbortSignal) => Promise<Shell>) {
    this.#open = open;
  }

  /** @throws what opening throws; the signal's reason; the error given to `end()` */
  async acquire(signal: AbortSignal): Promise<Shell> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#ended) throw this.#ended;
      const idle = this.takeIdle();
      if (idle) return idle;
      const opened = this.#openCount < this.#shellsMax ? await this.#tryOpen(signal) : undefined;
      if (opened) return opened;
      await this.#wait(signal);
    }
  }

  /** An idle shell, if there is one, without waiting. */
  takeIdle(): Shell | undefined {
    for (let shell = this.#idle.pop(); shell; shell = this.#idle.pop()) {
      if (shell.isIdle) return shell;
      this.#forget(shell); // its channel was closed meanwhile
    }
    return undefined;
  }

  /** Gives a shell back; one that is broken is forgotten. */
  release(shell: Shell): void {
    if (shell.isIdle) this.#idle.push(shell);
    else this.#forget(shell);
    this.#wakeOne();
  }

  /** Rejects everyone who waits now or asks later. */
  end(reason: CodedError): void {
    this.#ended ??= reason;
    for (const waiter of this.#waiting) waiter.reject(reason);
    this.#waiting.clear();
  }

  /** @returns undefined if the host allows no more sessions than are open already */
  async #tryOpen(signal: AbortSignal): Promise<Shell | undefined> {
    this.#openCount += 1;
    try {
      const shell = await this.#open(signal);
      this.#all.add(shell);
      return shell;
    } catch (error) {
      this.#openCount -= 1;
      if (error instanceof SessionRefused && this.#openCount > 0) {
        this.#shellsMax = this.#openCount;
        return undefined;
      }
      this.#wakeOne();
      throw error;
    }
  }

  #forget(shell: Shell): void {
    if (this.#all.delete(shell)) this.#openCount -= 1;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const waiter: Waiter = Promise.withResolvers<undefined>();
    const abort = (): void => {
      waiter.reject(signal.reason);
    };
    this.#waiting.add(waiter);
    signal.addEventListener('abort', abort, {once: true});
    try {
      await waiter.promise;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#waiting.delete(waiter);
    }
  }

  #wakeOne(): void {
    const [first] = this.#waiting;
    if (!first) return;
    this.#waiting.delete(first);
    first.resolve(undefined);
  }
}

type Waiter = PromiseWithResolvers<undefined>;
