import {randomBytes} from 'node:crypto';
import {opendirSync} from 'node:fs';
import {isErrno} from '#shared/errors';
import {close, systemError} from '../sys/libc.ts';
import {
  type ByteString,
  openDirectoryAt,
  removeDirectoryAt,
  renameAt,
  unlinkAt,
} from '../sys/tree.ts';

/**
 * Containers can nest directories by the hundred thousand, which neither a stack nor descriptors
 * are enough for: what lies deeper than this is moved up first.
 */
const DEPTH_MAX = 64;
/** A directory can have more names than fit into memory. */
const NAMES_AT_ONCE = 1_024;

const ENOENT = -2;
const EISDIR = -21;

/**
 * Removes an entry of an open directory, with all under it; links are removed, not followed.
 *
 * @throws `SystemError`, the first; everything that can be removed is gone then
 */
export function removeTreeAt(directory: number, name: ByteString): void {
  removeSmallTreeAt(directory, name, Infinity);
}

/** Removes all that is in an open directory. @throws as `removeTreeAt` */
export function emptyDirectory(fd: number): void {
  removeEntries(fd, {depth: 0, budget: {left: Infinity}});
}

/**
 * As `removeTreeAt`, but stops after `entriesMax` entries.
 *
 * @returns false where some of the tree is left
 */
export function removeSmallTreeAt(
  directory: number,
  name: ByteString,
  entriesMax: number,
): boolean {
  return remove(directory, name, {depth: 0, budget: {left: entriesMax}});
}

/** Where in a tree something is removed. */
interface Place {
  readonly depth: number;
  readonly budget: {left: number};
  /** The tree's own directory, which takes what lies too deep; undefined outside of the tree. */
  readonly top?: {readonly fd: number; hasMore: boolean};
}

function remove(directory: number, name: ByteString, place: Place): boolean {
  if (place.budget.left-- <= 0) return false;
  const removed = unlinkAt(directory, name);
  if (removed === 0 || removed === ENOENT) return true;
  if (removed !== EISDIR) throw systemError('unlinkat', -removed, name);
  if (place.depth === DEPTH_MAX) return moveUp(directory, name, place);
  const fd = openDirectoryAt(directory, name);
  if (fd === ENOENT) return true;
  if (fd < 0) throw systemError('openat', -fd, name);
  try {
    if (!removeAllIn(fd, place)) return false;
  } finally {
    close(fd);
  }
  const emptied = removeDirectoryAt(directory, name);
  if (emptied < 0 && emptied !== ENOENT) throw systemError('unlinkat', -emptied, name);
  return true;
}

/** Takes a directory to the top of the tree, where its turn comes. */
function moveUp(directory: number, name: ByteString, {top}: Place): boolean {
  if (top === undefined) throw new TypeError('a tree has a top');
  const moved = renameAt({directory, name}, top.fd, `.${randomBytes(8).toString('hex')}`);
  if (moved < 0 && moved !== ENOENT) throw systemError('renameat', -moved, name);
  top.hasMore = true;
  return true;
}

function removeAllIn(fd: number, {depth, budget, top: known}: Place): boolean {
  if (known !== undefined) return removeEntries(fd, {depth: depth + 1, budget, top: known});
  const top = {fd, hasMore: true};
  let failure: unknown;
  while (top.hasMore) {
    top.hasMore = false;
    try {
      if (!removeEntries(fd, {depth: depth + 1, budget, top})) return false;
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure as Error;
  return true;
}

/** Goes on with the others where one cannot be removed. */
function removeEntries(fd: number, place: Place): boolean {
  let failure: unknown;
  for (const name of namesIn(fd)) {
    try {
      if (!remove(fd, name, place)) return false;
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure as Error;
  return true;
}

/** Those that are removed meanwhile do not hide others (readdir in POSIX). */
function* namesIn(fd: number): Generator<ByteString> {
  const options = {encoding: 'latin1', bufferSize: NAMES_AT_ONCE} as const;
  try {
    const directory = opendirSync(`/proc/self/fd/${fd}`, options);
    try {
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        yield entry.name;
      }
    } finally {
      directory.closeSync();
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error; // somebody else has removed the directory
  }
}
