import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import type {Journal} from './journal.ts';
import type {UnpackPool} from './unpack-pool.ts';

export interface DurabilityOptions {
  readonly journal: Journal;
  readonly pool: UnpackPool;
  /** A folder on the file system that holds journal and layers. */
  readonly root: string;
  readonly log: Log;
}

/**
 * Sees to it, beside everything else, that what was pulled survives a loss of power: writes the
 * file system to its disk (in an unpack worker, as it takes seconds) and then says so in the
 * journal. A pull does not wait for it: until then, only a reboot takes the image away, and what
 * ran on it ended with the machine.
 */
export class Durability {
  readonly #options: DurabilityOptions;
  #work: Promise<void> | undefined;
  #isWanted = false;

  constructor(options: DurabilityOptions) {
    this.#options = options;
  }

  /** Something was written that is to survive. */
  want(): void {
    this.#isWanted = true;
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  /** Resolves once nothing is left to do. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async #run(): Promise<void> {
    const {journal, pool, root, log} = this.#options;
    while (this.#isWanted) {
      this.#isWanted = false;
      const {lines} = journal;
      try {
        await pool.run({kind: 'sync', directory: root});
        journal.append({kind: 'durable', lines});
      } catch (error) {
        log.warn('could not write images to the disk', {error: messageOf(error)});
      }
    }
  }
}
