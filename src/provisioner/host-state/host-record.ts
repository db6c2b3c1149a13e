import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import {APPLY_PRELUDE, heredoc} from '../resources/prelude.ts';
import type {Connection} from '../transport/connection.ts';
import {formatHostState, HOST_STATE_PATH, type HostState} from './host-state.ts';

/**
 * state.json of one host. A change goes to the host's disk first and to memory second; two
 * phases on the same host take turns.
 */
export class HostRecord {
  readonly #connection: Connection;
  #state: HostState;
  #queue: Promise<void> = Promise.resolve();

  constructor(connection: Connection, state: HostState) {
    this.#connection = connection;
    this.#state = state;
  }

  get state(): HostState {
    return this.#state;
  }

  /**
   * An aborted signal keeps a write from starting; one that has begun is finished. What says that
   * something is done takes no signal: an interrupted run must not forget what it did.
   *
   * @throws CodedError ERR_HOST_STATE_UNWRITABLE, ERR_DISK_FULL and those of a connection
   */
  async update(
    change: (state: HostState) => HostState,
    {signal}: {readonly signal?: AbortSignal} = {},
  ): Promise<void> {
    const turn = this.#queue.then(async () => {
      signal?.throwIfAborted();
      const next = change(this.#state);
      const text = formatHostState(next);
      if (text === formatHostState(this.#state)) return;
      await this.#write(text);
      this.#state = next;
    });
    this.#queue = turn.catch(() => undefined); // the caller of this turn gets the error
    await turn;
  }

  /** The host's file is gone by another hand (reset): only the memory follows. */
  async forget(empty: HostState): Promise<void> {
    await this.#queue;
    this.#state = empty;
  }

  async #write(text: string): Promise<void> {
    const {signal} = new AbortController();
    const script = `${APPLY_PRELUDE}\n${heredoc(`put ${HOST_STATE_PATH} 600`, text)}`;
    const {exitCode, stderr} = await this.#connection.run(script, {signal});
    if (exitCode === 0) return;
    const full = stderr.includes('No space left on device');
    throw new CodedError<ProvisionerErrorCode>(
      full ? 'ERR_DISK_FULL' : 'ERR_HOST_STATE_UNWRITABLE',
      `${this.#connection.host}: cannot write ${HOST_STATE_PATH}: ${stderr.trim()}`,
      {
        hint: `free space under /var/lib of ${this.#connection.host}, then run the same command again`,
      },
    );
  }
}
