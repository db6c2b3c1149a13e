import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';

interface Step {
  readonly name: string;
  readonly undo: () => Promise<void> | void;
}

/**
 * What has to be taken back if something fails half-way: newest first, every step, whatever the
 * others do. A step that fails is logged and left to the next start's sweep.
 */
export class UndoStack {
  readonly #log: Log;
  #steps: Step[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  /** Say it right after (or right before) the thing was made. The name completes "could not …". */
  defer(name: string, undo: () => Promise<void> | void): void {
    this.#steps.push({name, undo});
  }

  /** Everything is in place: nothing is taken back any more. */
  commit(): void {
    this.#steps = [];
  }

  /** Takes everything back; never rejects. */
  async unwind(): Promise<void> {
    for (const {name, undo} of this.#steps.splice(0).toReversed()) {
      try {
        await undo();
      } catch (error) {
        this.#log.error('could not undo a step of failed work', {
          step: name,
          error: messageOf(error),
        });
      }
    }
  }
}
