import {
  type BigIntStats,
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import {
  AT_FDCWD,
  type FileTime,
  lgetxattr,
  llistxattr,
  lsetxattr,
  mknod,
  utimensat,
} from '../sys/files.ts';
import type {ByteString} from '../sys/tree.ts';
import {isSettable} from './extended-attributes.ts';
import {bytesOf, statsOf} from './merged-view.ts';

const NANOSECONDS = 1_000_000_000n;

/** Copies a file, link or device of another layer, with all that belongs to it. */
export function copyUp(from: ByteString, to: ByteString): void {
  const stats = statsOf(from);
  if (stats === undefined) throw new Error(`${JSON.stringify(from)} has vanished`);
  if (stats.isFile()) copyFileSync(bytesOf(from), bytesOf(to), constants.COPYFILE_FICLONE);
  else if (stats.isSymbolicLink()) {
    symlinkSync(readlinkSync(bytesOf(from), 'buffer'), bytesOf(to));
  } else mknod(bytesOf(to), Number(stats.mode), stats.rdev);
  copyMetadata(from, to);
}

/** Copies owner, mode, extended attributes and time, in the order that keeps them all. */
export function copyMetadata(from: ByteString, to: ByteString): void {
  const stats = statsOf(from);
  if (stats === undefined) return;
  lchownSync(bytesOf(to), Number(stats.uid), Number(stats.gid));
  if (!stats.isSymbolicLink()) chmodSync(bytesOf(to), Number(stats.mode & 0o7777n));
  for (const name of llistxattr(bytesOf(from))) {
    const value = lgetxattr(bytesOf(from), name);
    if (value !== undefined && isSettable({name, value})) lsetxattr(bytesOf(to), name, value);
  }
  setTimes(to, stats);
}

/** Gives an entry the times that another had. */
export function setTimes(path: ByteString, {atimeNs, mtimeNs}: BigIntStats): void {
  const times = {accessed: timeOf(atimeNs), modified: timeOf(mtimeNs)};
  utimensat({directory: AT_FDCWD, path: bytesOf(path)}, times);
}

function timeOf(nanoseconds: bigint): FileTime {
  const rest = ((nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return {seconds: (nanoseconds - rest) / NANOSECONDS, nanoseconds: Number(rest)};
}
