import {lstat, opendir} from 'node:fs/promises';
import {join} from 'node:path';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {isErrno} from '#shared/errors';
import type {RootfsUsage} from './image-store.ts';

/** What tells the time; `Date.now` in the daemon. */
export type NowMs = () => number;

/** A kubelet asks every 10 s; a walk that took long is repeated accordingly less often. */
const FRESH_MS = 10_000;
const FRESH_FACTOR = 20;
const ENTRIES_PER_TURN = 64;
const SECTOR_BYTES = 512; // the unit of st_blocks

interface Measured {
  readonly usage: RootfsUsage;
  readonly freshUntilMs: number;
}

/** Counts what lies in directories, one walk at a time, and remembers it for a while. */
export class DiskUsage {
  readonly #nowMs: NowMs;
  readonly #measured = new Map<string, Measured>();
  readonly #underWay = new Map<string, Promise<RootfsUsage>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(nowMs: NowMs = Date.now) {
    this.#nowMs = nowMs;
  }

  /** Bytes on disk and inodes under a directory, itself included. Vanishing entries do not count. */
  async of(directory: string): Promise<RootfsUsage> {
    const known = this.#measured.get(directory);
    if (known !== undefined && this.#nowMs() < known.freshUntilMs) return known.usage;
    const underWay = this.#underWay.get(directory);
    if (underWay !== undefined) return underWay;
    const work = this.#last.then(() => this.#measure(directory));
    this.#last = work.catch(() => undefined);
    this.#underWay.set(directory, work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(directory);
    }
  }

  forget(directory: string): void {
    this.#measured.delete(directory);
  }

  async #measure(directory: string): Promise<RootfsUsage> {
    const startedMs = this.#nowMs();
    const counted = await count(directory);
    const endedMs = this.#nowMs();
    const usage = {...counted, measuredAt: new Date(endedMs)};
    const freshMs = Math.max(FRESH_MS, FRESH_FACTOR * (endedMs - startedMs));
    this.#measured.set(directory, {usage, freshUntilMs: endedMs + freshMs});
    return usage;
  }
}

async function count(root: string): Promise<{usedBytes: number; inodes: number}> {
  const linked = new Set<string>();
  const todo = [root];
  let usedBytes = 0;
  let inodes = 0;
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    const stats = await unlessGone(lstat(path));
    if (stats === undefined) continue;
    if (stats.isDirectory()) {
      for await (const entry of await entriesOf(path)) todo.push(join(path, entry.name));
    } else if (stats.nlink > 1) {
      const key = `${stats.dev}:${stats.ino}`;
      if (linked.has(key)) continue;
      linked.add(key);
    }
    usedBytes += stats.blocks * SECTOR_BYTES;
    if (++inodes % ENTRIES_PER_TURN === 0) await nextTurn();
  }
  return {usedBytes, inodes};
}

async function entriesOf(path: string): Promise<AsyncIterable<{readonly name: string}>> {
  return (await unlessGone(opendir(path))) ?? NO_ENTRIES;
}

const NO_ENTRIES: AsyncIterable<{readonly name: string}> = {async *[Symbol.asyncIterator]() {}};

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}
