import {randomBytes} from 'node:crypto';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

const TOKEN_BYTES = 16;
const TOKENS_MAX = 1000;
const LIFE_MS = 60_000;

/** What was asked for, under a name that is good for one use within a minute. */
export class Tokens<T> {
  readonly #entries = new Map<string, {readonly value: T; readonly expiresMs: number}>();
  readonly #nowMs: () => number;

  /** @param nowMs a clock that never goes back, in milliseconds */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** @throws CodedError ERR_STREAMS_TOO_MANY when 1000 wait to be used */
  add(value: T): string {
    this.#forgetExpired();
    if (this.#entries.size >= TOKENS_MAX) {
      throw new CodedError<RuntimeErrorCode>(
        'ERR_STREAMS_TOO_MANY',
        `${TOKENS_MAX} streams were asked for within a minute and wait for their client`,
        {hint: 'try again in a minute; find out who asks for so many'},
      );
    }
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    this.#entries.set(token, {value, expiresMs: this.#nowMs() + LIFE_MS});
    return token;
  }

  /** Takes it out; undefined when it is unknown, used or too old. */
  take(token: string): T | undefined {
    const entry = this.#entries.get(token);
    this.#entries.delete(token);
    return entry !== undefined && entry.expiresMs > this.#nowMs() ? entry.value : undefined;
  }

  #forgetExpired(): void {
    const nowMs = this.#nowMs();
    for (const [token, {expiresMs}] of this.#entries) {
      if (expiresMs > nowMs) return; // they expire in the order in which they were added
      this.#entries.delete(token);
    }
  }
}
