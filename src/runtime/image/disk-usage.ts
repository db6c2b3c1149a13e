import type {Stats} from 'node:fs';
import {lstat} from 'node:fs/promises';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {isErrno} from '#shared/errors';
import {
  type DirectoryHandle,
  directoryHandleAt,
  openDirectoryByHandle,
  readNames,
} from '../sys/directories.ts';
import {openDirectory} from '../sys/files.ts';
import {close, systemError} from '../sys/libc.ts';
import type {ByteString} from '../sys/tree.ts';
import type {RootfsUsage} from './image-store.ts';

/** What tells the time; `Date.now` in the daemon. */
export type NowMs = () => number;

/** A kubelet asks every 10 s; a walk that took long is repeated accordingly less often. */
const FRESH_MS = 10_000;
const FRESH_FACTOR = 20;
const ENTRIES_PER_TURN = 64;
const ENOTSUP = 95;
const ESTALE = 116;
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

/** Where a walk goes on: a directory, and how far it was read. */
interface Place {
  readonly handle: DirectoryHandle;
  readonly from: bigint;
}

/**
 * A container changes the tree meanwhile, and would gain by a walk that fails, ends early or is led
 * elsewhere. So directories are found again by handle, never by path: any depth, any name, with one
 * descriptor and at most a batch of names per level, and nothing that a link could lead out of.
 */
async function count(root: string): Promise<{usedBytes: number; inodes: number}> {
  const rootFd = openUnlessGone(root);
  if (rootFd === undefined) return {usedBytes: 0, inodes: 0};
  try {
    const {dev, blocks} = await statsOf(rootFd, '.');
    let [usedBytes, inodes] = [blocks * SECTOR_BYTES, 1];
    const todo: Place[] = [{handle: handleOf(rootFd, root), from: 0n}];
    for (let place = todo.pop(); place !== undefined; place = todo.pop()) {
      await eachIn(rootFd, place, todo, stats => {
        // Every name of a file with several counts its share: all names lie in the tree.
        const names = stats.isDirectory() ? 1 : Math.max(stats.nlink, 1);
        usedBytes += (stats.blocks * SECTOR_BYTES) / names;
        inodes += 1 / names;
        return stats.dev === dev;
      });
    }
    return {usedBytes: Math.round(usedBytes), inodes: Math.round(inodes)};
  } finally {
    close(rootFd);
  }
}

/** Reads the next entries of a directory; what is to be read then goes on `todo`. */
async function eachIn(
  rootFd: number,
  {handle, from}: Place,
  todo: Place[],
  add: (stats: Stats) => boolean,
): Promise<void> {
  const fd = openDirectoryByHandle(rootFd, handle);
  if (fd < 0) return;
  try {
    const batch = await readNames(fd, from);
    if (batch === undefined) return;
    todo.push({handle, from: batch.next});
    let turn = 0;
    for (const name of batch.names) {
      const stats = await statsOf(fd, name).catch(() => undefined); // gone, as a rule
      if (stats === undefined) continue;
      const isHere = add(stats);
      const inner = isHere && stats.isDirectory() ? directoryHandleAt(fd, name) : undefined;
      if (inner !== undefined) todo.push({handle: inner, from: 0n});
      if (++turn % ENTRIES_PER_TURN === 0) await nextTurn();
    }
  } finally {
    close(fd);
  }
}

/** Of the entry itself, never of what a link leads to. */
async function statsOf(fd: number, name: ByteString): Promise<Stats> {
  return await lstat(Buffer.from(`/proc/self/fd/${fd}/${name}`, 'latin1'));
}

/** @throws `SystemError` where a walk could not go down: no answer is better than one that is too low */
function handleOf(fd: number, path: string): DirectoryHandle {
  const handle = directoryHandleAt(fd, '.');
  if (handle === undefined) throw systemError('name_to_handle_at', ENOTSUP, path);
  const opened = openDirectoryByHandle(fd, handle);
  if (opened >= 0) close(opened);
  else if (opened !== -ESTALE) throw systemError('open_by_handle_at', -opened, path);
  return handle;
}

function openUnlessGone(path: string): number | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}
