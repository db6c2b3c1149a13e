import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {isErrno} from '#shared/errors';
import {close, systemCall, systemError} from './libc.ts';
import {mount, MountFlags, unmount} from './mount.ts';

/** The namespaces that a pod owns and that outlive its processes. */
export type PinnedNamespace = 'net' | 'ipc' | 'uts';

export interface PinOptions {
  /** Made when missing; afterwards `<directory>/<kind>` is a bind mount of each namespace. */
  readonly directory: string;
  readonly kinds: readonly PinnedNamespace[];
  /** Set inside the new `uts` namespace; at most 64 bytes. */
  readonly hostname?: string;
  /** `net.ipv4.ip_forward` (or with slashes, as in sysctl(8)) → value, written inside. */
  readonly sysctls?: Readonly<Record<string, string>>;
}

const EEXIST = 17;
const CLONE_FLAGS: Readonly<Record<PinnedNamespace, number>> = {
  net: 0x4000_0000,
  ipc: 0x0800_0000,
  uts: 0x0400_0000,
};

const unshare = systemCall('unshare', 'int');
const setns = systemCall('setns', 'int', 'int');
const sethostname = systemCall('sethostname', 'void *', 'ulong');
const socket = systemCall('socket', 'int', 'int', 'int');
const ioctl = systemCall('ioctl', 'int', 'ulong', 'void *');

/**
 * Makes namespaces that live until `unpinNamespaces`, with `lo` up and the sysctls set.
 *
 * unshare(2) moves the calling thread only; nothing else runs on it before it is back (one
 * synchronous function, DESIGN 21), and libuv's threads stay where they are. A way back that
 * fails would leave the daemon inside a pod: the process is aborted.
 *
 * @throws `SystemError` of what failed, e.g. `EACCES` or `ENOENT` of a sysctl (nothing is left
 *   then), or `EEXIST` for a namespace that is pinned there already (it stays)
 */
export function pinNamespaces({directory, kinds, hostname, sysctls = {}}: PinOptions): void {
  const paths = Object.keys(sysctls).map(sysctlPath);
  mkdirSync(directory, {recursive: true, mode: 0o700});
  for (const kind of kinds) {
    const path = join(directory, kind);
    if (isPinned(path)) throw systemError('unshare', EEXIST, path);
    writeFileSync(path, '');
  }
  const before = kinds.map(kind => ({kind, fd: openSync(ownNamespace(kind), 'r')}));
  try {
    insideNew(kinds, before, () => {
      if (kinds.includes('net')) bringUpLoopback();
      if (hostname !== undefined && kinds.includes('uts')) setHostname(hostname);
      Object.values(sysctls).forEach((value, index) => {
        writeFileSync(String(paths[index]), value, {flag: 'r+'});
      });
      for (const kind of kinds) {
        mount({
          source: ownNamespace(kind),
          target: join(directory, kind),
          flags: MountFlags.BIND,
        });
      }
    });
  } catch (error) {
    unpinNamespaces(directory);
    throw error;
  } finally {
    for (const {fd} of before) closeSync(fd);
  }
}

/** Lets go of the namespaces pinned in `directory` and removes it; idempotent. */
export function unpinNamespaces(directory: string): void {
  let names: readonly string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  for (const name of names) {
    if (!Object.hasOwn(CLONE_FLAGS, name)) continue;
    const path = join(directory, name);
    while (isPinned(path)) unmount(path, {detach: true});
    unlinkSync(path);
  }
  try {
    rmdirSync(directory);
  } catch (error) {
    // What else lies in it is its owner's to remove.
    if (!isErrno(error, 'ENOTEMPTY')) throw error;
  }
}

/**
 * Calls `fn` with this thread inside the network namespace at `path`. `fn` must be synchronous:
 * what it opens (a socket, a file of /proc/thread-self/net) belongs to that namespace for good.
 */
export function withNetworkNamespace<T>(path: string, fn: () => T): T {
  const own = openSync(ownNamespace('net'), 'r');
  try {
    const other = openSync(path, 'r');
    try {
      setns(other, CLONE_FLAGS.net);
    } finally {
      closeSync(other);
    }
    try {
      return fn();
    } finally {
      returnTo(own, 'net');
    }
  } finally {
    closeSync(own);
  }
}

/** True while a namespace is pinned at `path`; false after a reboot, when only a file is left. */
export function isPinned(path: string): boolean {
  const file = statSync(path, {throwIfNoEntry: false});
  return file !== undefined && file.dev !== statSync(dirname(path)).dev;
}

interface OwnNamespace {
  readonly kind: PinnedNamespace;
  readonly fd: number;
}

function insideNew(
  kinds: readonly PinnedNamespace[],
  before: readonly OwnNamespace[],
  work: () => void,
): void {
  unshare(kinds.reduce((flags, kind) => flags | CLONE_FLAGS[kind], 0));
  try {
    work();
  } finally {
    for (const {fd, kind} of before) returnTo(fd, kind);
  }
}

function returnTo(fd: number, kind: PinnedNamespace): void {
  try {
    setns(fd, CLONE_FLAGS[kind]);
  } catch {
    // The rest of the daemon would run inside a pod. (`process.abort` is missing in workers.)
    process.kill(process.pid, 'SIGABRT');
  }
}

function ownNamespace(kind: PinnedNamespace): string {
  return `/proc/thread-self/ns/${kind}`;
}

/** `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/…`: the first separator decides (sysctl.d(5)). */
function sysctlPath(key: string): string {
  const firstSlash = key.indexOf('/');
  const firstDot = key.indexOf('.');
  const isPath = firstSlash !== -1 && (firstDot === -1 || firstSlash < firstDot);
  const parts = isPath ? key.split('/') : key.split('.').map(part => part.replaceAll('/', '.'));
  if (parts.some(part => part === '' || part === '.' || part === '..')) {
    throw new TypeError(`not the name of a sysctl: ${JSON.stringify(key)}`);
  }
  return join('/proc/sys', ...parts);
}

function setHostname(hostname: string): void {
  const bytes = Buffer.from(hostname);
  sethostname(bytes, bytes.length);
}

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_OFFSET = 16; // after ifr_name

/** The kernel gives `lo` its addresses as it comes up, so this is all that a loopback needs. */
function bringUpLoopback(): void {
  const fd = socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  try {
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write('lo');
    ioctl(fd, SIOCGIFFLAGS, request);
    request.writeUInt16LE(request.readUInt16LE(IFREQ_FLAGS_OFFSET) | IFF_UP, IFREQ_FLAGS_OFFSET);
    ioctl(fd, SIOCSIFFLAGS, request);
  } finally {
    close(fd);
  }
}
