import {closeSync, readdirSync} from 'node:fs';
import {systemError} from '../sys/libc.ts';
import {type ByteString, openDirectoryAt, removeDirectoryAt, unlinkAt} from '../sys/tree.ts';

const ENOENT = -2;
const EISDIR = -21;

/** Removes an entry of an open directory, with all under it; links are removed, not followed. */
export function removeTreeAt(directory: number, name: ByteString): void {
  removeSmallTreeAt(directory, name, Infinity);
}

/** Removes all that is in an open directory. */
export function emptyDirectory(fd: number): void {
  emptyUpTo(fd, {left: Infinity});
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
  return remove(directory, name, {left: entriesMax});
}

interface Budget {
  left: number;
}

function remove(directory: number, name: ByteString, budget: Budget): boolean {
  if (budget.left-- <= 0) return false;
  const removed = unlinkAt(directory, name);
  if (removed === 0 || removed === ENOENT) return true;
  if (removed !== EISDIR) throw systemError('unlinkat', -removed, name);
  const fd = openDirectoryAt(directory, name);
  if (fd < 0) throw systemError('openat', -fd, name);
  try {
    if (!emptyUpTo(fd, budget)) return false;
  } finally {
    closeSync(fd);
  }
  const emptied = removeDirectoryAt(directory, name);
  if (emptied < 0 && emptied !== ENOENT) throw systemError('unlinkat', -emptied, name);
  return true;
}

function emptyUpTo(fd: number, budget: Budget): boolean {
  return readdirSync(`/proc/self/fd/${fd}`, 'latin1').every(inner => remove(fd, inner, budget));
}
