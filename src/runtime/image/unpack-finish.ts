import {setMode, setOwner, setTime, type ByteString} from '../sys/tree.ts';
import {systemError} from '../sys/libc.ts';
import {OPAQUE_ATTRIBUTE, setAttributes} from './extended-attributes.ts';
import {layerInvalid} from './layer-invalid.ts';
import {
  type Directory,
  type DirectoryMetadata,
  type DirectoryTree,
  pathOf,
} from './unpack-directory.ts';

/** What can only be decided when the layers below are there: `settleLayer` does it. */
export interface PendingWork {
  /** Directories that the archive has no entry for, parents first; the root is the empty path. */
  readonly impliedDirectories: readonly ByteString[];
  readonly whiteouts: readonly ByteString[];
  readonly hardLinks: readonly {readonly path: ByteString; readonly target: ByteString}[];
}

const IMPLIED_MODE = 0o755;
/** Of all paths together: they go through the memory of two workers as one text. */
const PENDING_BYTES_MAX = 64 * 1024 ** 2;

/**
 * Gives every directory what its entry says, inner ones first: writing into a directory changes
 * its time, and a directory's mode and owner would be inherited by what is made in it.
 */
export function finishTree(tree: DirectoryTree): PendingWork {
  const pending: MutablePending = {
    impliedDirectories: [],
    whiteouts: [],
    hardLinks: [],
    bytes: 0,
  };
  finish(tree, tree.root, pending);
  return pending;
}

interface MutablePending {
  readonly impliedDirectories: ByteString[];
  readonly whiteouts: ByteString[];
  readonly hardLinks: {readonly path: ByteString; readonly target: ByteString}[];
  bytes: number;
}

function finish(tree: DirectoryTree, directory: Directory, pending: MutablePending): void {
  note(directory, pending);
  for (const child of directory.children.values()) {
    if (typeof child === 'object') finish(tree, child, pending);
  }
  const fd = tree.descriptorOf(directory);
  if (directory.isOpaque) setAttributes(fd, [OPAQUE_ATTRIBUTE]);
  if (directory.metadata === undefined) done('fchmod', setMode(fd, IMPLIED_MODE));
  else describeDirectory(fd, directory.metadata);
}

/** Sets owner, mode, attributes and time of an open directory, in the order that keeps them all. */
export function describeDirectory(fd: number, metadata: DirectoryMetadata): void {
  done('fchown', setOwner(fd, metadata.uid, metadata.gid));
  done('fchmod', setMode(fd, metadata.mode));
  setAttributes(fd, metadata.attributes);
  done('futimens', setTime(fd, metadata.modified));
}

function note(directory: Directory, pending: MutablePending): void {
  const {metadata, whiteouts, hardLinks} = directory;
  if (metadata !== undefined && whiteouts === undefined && hardLinks === undefined) return;
  const path = pathOf(directory);
  const inside = path === '' ? '' : `${path}/`;
  if (metadata === undefined) {
    charge(pending, path);
    pending.impliedDirectories.push(path);
  }
  for (const name of whiteouts ?? []) {
    charge(pending, inside, name);
    pending.whiteouts.push(`${inside}${name}`);
  }
  for (const [name, target] of hardLinks ?? []) {
    charge(pending, inside, name, target);
    pending.hardLinks.push({path: `${inside}${name}`, target});
  }
}

function charge(pending: MutablePending, ...texts: readonly ByteString[]): void {
  pending.bytes += texts.reduce((sum, text) => sum + text.length, 0);
  if (pending.bytes > PENDING_BYTES_MAX) {
    throw layerInvalid('its whiteouts, hard links and directories without an entry are too many');
  }
}

function done(syscall: string, result: number): void {
  if (result < 0) throw systemError(syscall, -result);
}
