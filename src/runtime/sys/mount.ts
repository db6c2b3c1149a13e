import {cString, systemCall, systemError, type SystemError} from './libc.ts';

/** Flags of mount(2); combine with `|`. */
export const MountFlags = {
  RDONLY: 1,
  NOSUID: 1 << 1,
  NODEV: 1 << 2,
  NOEXEC: 1 << 3,
  SYNCHRONOUS: 1 << 4,
  REMOUNT: 1 << 5,
  MANDLOCK: 1 << 6,
  DIRSYNC: 1 << 7,
  NOSYMFOLLOW: 1 << 8,
  NOATIME: 1 << 10,
  NODIRATIME: 1 << 11,
  BIND: 1 << 12,
  MOVE: 1 << 13,
  REC: 1 << 14,
  SILENT: 1 << 15,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

export interface MountOptions {
  /** A device, a directory to bind, or a label such as `overlay`. */
  readonly source: string;
  readonly target: string;
  readonly type?: string;
  /** `MountFlags`; none by default. */
  readonly flags?: number;
  /** The file system's own options, at most 4095 bytes (mount(2): one page). */
  readonly data?: string;
}

const DETACH = 2;
const DATA_BYTES_MAX = 4095;

const mountCall = systemCall('mount', 'void *', 'void *', 'void *', 'ulong', 'void *');
const umountCall = systemCall('umount2', 'void *', 'int');

/**
 * Mounts at once, without a child process.
 *
 * @throws `SystemError` of mount(2), with the target as `path`; `E2BIG` for data over one page,
 *   which the kernel would cut silently
 */
export function mount({source, target, type, flags = 0, data}: MountOptions): void {
  if (data !== undefined && Buffer.byteLength(data) > DATA_BYTES_MAX) {
    throw systemError('mount', E2BIG, target);
  }
  about(target, () =>
    mountCall(
      cString(source),
      cString(target),
      type === undefined ? null : cString(type),
      flags,
      data === undefined ? null : cString(data),
    ),
  );
}

const E2BIG = 7;

export interface UnmountOptions {
  /** Takes it out of the tree at once, and ends it when its last user goes (MNT_DETACH). */
  readonly detach?: boolean;
}

/** @throws `SystemError` of umount2(2): `EINVAL` where nothing is mounted, `ENOENT`, `EBUSY` */
export function unmount(target: string, {detach = false}: UnmountOptions = {}): void {
  about(target, () => umountCall(cString(target), detach ? DETACH : 0));
}

function about(path: string, call: () => number): void {
  try {
    call();
  } catch (error) {
    const {errno, syscall} = error as SystemError;
    throw systemError(syscall, -errno, path);
  }
}
