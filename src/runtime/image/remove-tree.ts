import {closeSync, readdirSync} from 'node:fs';
import {systemError} from '../sys/libc.ts';
import {type ByteString, openDirectoryAt, removeDirectoryAt, unlinkAt} from '../sys/tree.ts';

const ENOENT = -2;
const EISDIR = -21;

/** Removes an entry of an open directory, with all under it; links are removed, not followed. */
export function removeTreeAt(directory: number, name: ByteString): void {
  const removed = unlinkAt(directory, name);
  if (removed === 0 || removed === ENOENT) return;
  if (removed !== EISDIR) throw systemError('unlinkat', -removed, name);
  const fd = openDirectoryAt(directory, name);
  if (fd < 0) throw systemError('openat', -fd, name);
  try {
    for (const inner of readdirSync(`/proc/self/fd/${fd}`, 'latin1')) removeTreeAt(fd, inner);
  } finally {
    closeSync(fd);
  }
  const emptied = removeDirectoryAt(directory, name);
  if (emptied < 0) throw systemError('unlinkat', -emptied, name);
}
