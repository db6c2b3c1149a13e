import {randomBytes} from 'node:crypto';
import {closeSync, readdirSync, renameSync} from 'node:fs';
import {join} from 'node:path';
import {isErrno, messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {openDirectory} from '../sys/files.ts';
import {removeSmallTreeAt} from './remove-tree.ts';
import type {UnpackPool} from './unpack-pool.ts';

export interface TrashOptions {
  readonly directory: string;
  readonly pool: UnpackPool;
  readonly log: Log;
}

/** Removing that many entries at once takes well under a millisecond; larger trees wait. */
const ENTRIES_AT_ONCE_MAX = 48;

/** Removes trees: out of the way at once, off the disk in an unpack worker when they are large. */
export class Trash {
  readonly #directory: string;
  readonly #pool: UnpackPool;
  readonly #log: Log;
  #emptying: Promise<void> | undefined;
  #isFilled = false;

  constructor({directory, pool, log}: TrashOptions) {
    this.#directory = directory;
    this.#pool = pool;
    this.#log = log;
    this.#isFilled = readdirSync(directory).length > 0;
  }

  /** Takes a tree of the store's file system away. Nothing happens where there is none. */
  take(path: string): void {
    const name = randomBytes(8).toString('hex');
    try {
      renameSync(path, join(this.#directory, name));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return;
      throw error;
    }
    if (!this.#removeAtOnce(name)) {
      this.#isFilled = true;
      void this.empty();
    }
  }

  /** Resolves once what was taken is off the disk; what fails is logged, and tried at the next start. */
  async empty(): Promise<void> {
    this.#emptying ??= this.#emptyAll().finally(() => {
      this.#emptying = undefined;
    });
    await this.#emptying;
  }

  #removeAtOnce(name: string): boolean {
    const fd = openDirectory(this.#directory);
    try {
      return removeSmallTreeAt(fd, name, ENTRIES_AT_ONCE_MAX);
    } catch {
      return false; // the worker tries again, and says why
    } finally {
      closeSync(fd);
    }
  }

  async #emptyAll(): Promise<void> {
    while (this.#isFilled) {
      this.#isFilled = false;
      try {
        await this.#pool.run({kind: 'remove', directory: this.#directory});
      } catch (error) {
        this.#log.warn('could not remove unused layers', {error: messageOf(error)});
      }
    }
  }
}
