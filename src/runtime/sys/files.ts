import {constants} from 'node:fs';
import {isErrno} from '#shared/errors';
import {close, cString, rawCall, systemCall, systemError, lastErrno} from './libc.ts';

/** The path of a file; bytes where the name is not UTF-8 (archives promise none). */
export type FilePath = string | Uint8Array;

/** An entry relative to an open directory, as the `…at` system calls name it. */
export interface EntryAt {
  /** An open directory, or `AT_FDCWD`. */
  readonly directory: number;
  readonly path: FilePath;
}

/** Seconds and nanoseconds since the epoch; a double of `Date` keeps microseconds only. */
export interface FileTime {
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

/** Stands for the current directory, and for "the path is absolute". */
export const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const ENODATA = 61;
const ENOTSUP = 95;
const XATTR_BYTES_MAX = 65_536; // XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h
const OPENAT2 = 437; // the same number on x86-64 and arm64
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const OPEN_HOW_BYTES = 24;
const O_CLOEXEC = 0o2000000;
/** Opens the entry itself without its driver, and without reading or writing (open(2)). */
export const O_PATH = 0o10000000;

const syscallOpenat2 = systemCall('syscall', 'long', 'int', 'void *', 'void *', 'ulong');
const openatCall = systemCall('openat', 'int', 'void *', 'int', 'uint');
const mknodatCall = systemCall('mknodat', 'int', 'void *', 'uint', 'uint64');
const utimensatCall = systemCall('utimensat', 'int', 'void *', 'void *', 'int');
const lsetxattrCall = systemCall('lsetxattr', 'void *', 'void *', 'void *', 'ulong', 'int');
const flockCall = systemCall('flock', 'int', 'int');
const syncfsCall = systemCall('syncfs', 'int');
const lgetxattrCall = rawCall('lgetxattr', 'void *', 'void *', 'void *', 'ulong');
const llistxattrCall = rawCall('llistxattr', 'void *', 'void *', 'ulong');

/**
 * Opens `path` with `root` as its `/`: neither `..`, nor an absolute link, nor a link put there
 * meanwhile leads out of it (openat2(2), RESOLVE_IN_ROOT, and no /proc magic links).
 *
 * @param flags of open(2); O_CLOEXEC is added
 * @returns a file descriptor, to be closed by the caller
 */
export function openBeneath(
  root: number | string,
  path: FilePath,
  {flags, mode = 0}: {readonly flags: number; readonly mode?: number},
): number {
  const directory = typeof root === 'number' ? root : openDirectory(root);
  try {
    const how = Buffer.alloc(OPEN_HOW_BYTES);
    how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 16);
    return syscallOpenat2(OPENAT2, directory, cString(path), how, OPEN_HOW_BYTES);
  } catch (error) {
    throw withName(error, 'openat2', path);
  } finally {
    if (typeof root === 'string') close(directory);
  }
}

/** Opens a directory for use in an `EntryAt`, without following a link at its end. */
export function openDirectory(path: FilePath, at: number = AT_FDCWD): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  return openat({directory: at, path}, flags);
}

/** @param flags of open(2); O_CLOEXEC is added */
export function openat(at: EntryAt, flags: number, mode = 0): number {
  return named('openat', at.path, () =>
    openatCall(at.directory, cString(at.path), flags | O_CLOEXEC, mode),
  );
}

/** @param mode type and permission bits, e.g. `constants.S_IFCHR | 0o600`; umask applies */
export function mknodat(at: EntryAt, mode: number, device = 0n): void {
  named('mknodat', at.path, () => mknodatCall(at.directory, cString(at.path), mode, device));
}

export function mknod(path: FilePath, mode: number, device = 0n): void {
  mknodat({directory: AT_FDCWD, path}, mode, device);
}

/** A device number as mknod(2) takes it (gnu_dev_makedev: 12 and 20 bits, each in two parts). */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    ((high & 0xfffff000n) << 32n) |
    ((high & 0xfffn) << 8n) |
    ((low & 0xffffff00n) << 12n) |
    (low & 0xffn)
  );
}

/** Sets both times of the entry itself, never of what a link points to. */
export function utimensat(
  at: EntryAt,
  {accessed, modified}: {readonly accessed: FileTime; readonly modified: FileTime},
): void {
  const times = Buffer.alloc(32);
  [accessed, modified].forEach(({seconds, nanoseconds}, index) => {
    times.writeBigInt64LE(seconds, index * 16);
    times.writeBigInt64LE(BigInt(nanoseconds), index * 16 + 8);
  });
  named('utimensat', at.path, () =>
    utimensatCall(at.directory, cString(at.path), times, AT_SYMLINK_NOFOLLOW | emptyPath(at)),
  );
}

/** @throws `SystemError`: `ENOTSUP` where the file system has no such attributes */
export function lsetxattr(path: FilePath, name: FilePath, value: Uint8Array): void {
  named('lsetxattr', path, () =>
    lsetxattrCall(cString(path), cString(name), value, value.length, 0),
  );
}

/** @returns the value; `undefined` where there is no such attribute */
export function lgetxattr(path: FilePath, name: FilePath): Buffer | undefined {
  const value = Buffer.allocUnsafe(XATTR_BYTES_MAX);
  const length = lgetxattrCall(cString(path), cString(name), value, value.length);
  if (length >= 0) return Buffer.from(value.subarray(0, length));
  const errno = lastErrno();
  if (errno === ENODATA || errno === ENOTSUP) return undefined;
  throw systemError('lgetxattr', errno, String(path));
}

/** Names of the attributes of the entry itself; none where the file system has no attributes. */
export function llistxattr(path: FilePath): readonly string[] {
  const names = Buffer.allocUnsafe(XATTR_BYTES_MAX);
  const length = llistxattrCall(cString(path), names, names.length);
  if (length >= 0) return names.toString('utf8', 0, length).split('\0').slice(0, -1);
  const errno = lastErrno();
  if (errno === ENOTSUP) return [];
  throw systemError('llistxattr', errno, String(path));
}

export type LockMode = 'exclusive' | 'shared';

/**
 * Locks an open file for the life of its descriptor (flock(2)); dies with the process.
 * @returns false when another process holds it
 */
export function flock(fd: number, mode: LockMode = 'exclusive'): boolean {
  try {
    flockCall(fd, (mode === 'exclusive' ? LOCK_EX : LOCK_SH) | LOCK_NB);
    return true;
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return false;
    throw error;
  }
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Writes everything of the file system that holds `fd` to its disk; blocks for as long. */
export function syncfs(fd: number): void {
  syncfsCall(fd);
}

function emptyPath({path}: EntryAt): number {
  return path.length === 0 ? AT_EMPTY_PATH : 0;
}

function named(syscall: string, path: FilePath, call: () => number): number {
  try {
    return call();
  } catch (error) {
    throw withName(error, syscall, path);
  }
}

function withName(error: unknown, syscall: string, path: FilePath): unknown {
  if (!(error instanceof Error && 'errno' in error && typeof error.errno === 'number'))
    return error;
  return systemError(syscall, -error.errno, Buffer.from(path).toString());
}
