import {closeSync} from 'node:fs';
import {systemError} from '../sys/libc.ts';
import {type ByteString, makeDirectoryAt, type NodeTime, openDirectoryAt} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';
import type {ExtendedAttribute} from './pax-records.ts';

/** What a directory gets once everything in it is written. */
export interface DirectoryMetadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modified: NodeTime;
  readonly attributes: readonly ExtendedAttribute[];
}

/** A directory made for this layer, and what has to be known of it until the layer is complete. */
export interface Directory {
  readonly name: ByteString;
  /** undefined for the layer's root. */
  readonly parent: Directory | undefined;
  /** Directories, and links by their target; nothing else is kept. */
  readonly children: Map<ByteString, Directory | ByteString>;
  /** undefined while only something inside of it was in the archive. */
  metadata: DirectoryMetadata | undefined;
  /** Hides what lower layers have in it. */
  isOpaque: boolean;
  /** Names in it that hide what lower layers have. */
  whiteouts: Set<ByteString> | undefined;
  /** Names in it that will be hard links to files of lower layers, with the path of each file. */
  hardLinks: Map<ByteString, ByteString> | undefined;
  readonly depth: number;
}

/** More levels than this are no real tree's; it bounds recursion and open descriptors. */
export const DEPTH_MAX = 256;
const OPEN_MAX = 2 * DEPTH_MAX;
const TEMPORARY_MODE = 0o700;
const EEXIST = -17;

/**
 * The directories of a tree that one process writes, and their descriptors: each directory is
 * opened relative to its parent and never through a link, so nothing written lies outside.
 */
export class DirectoryTree implements Disposable {
  readonly root: Directory = newDirectory('', undefined);
  readonly #rootFd: number;
  /** In the order of last use; the root's is kept apart. */
  readonly #open = new Map<Directory, number>();

  /** @param rootFd the open directory that everything goes into; owned by the caller */
  constructor(rootFd: number) {
    this.#rootFd = rootFd;
  }

  /** A descriptor of ours; valid until those of many other directories were asked for. */
  descriptorOf(directory: Directory): number {
    if (directory.parent === undefined) return this.#rootFd;
    const known = this.#open.get(directory);
    if (known !== undefined) {
      this.#open.delete(directory);
      this.#open.set(directory, known);
      return known;
    }
    const fd = openDirectoryAt(this.descriptorOf(directory.parent), directory.name);
    if (fd < 0) throw systemError('openat', -fd, pathOf(directory));
    this.#open.set(directory, fd);
    if (this.#open.size > OPEN_MAX) this.#closeOldest();
    return fd;
  }

  /** @returns undefined where something that is no directory has the name */
  make(parent: Directory, name: ByteString): Directory | undefined {
    if (parent.depth >= DEPTH_MAX)
      throw layerInvalid(`a directory is over ${DEPTH_MAX} levels deep`);
    const result = makeDirectoryAt(this.descriptorOf(parent), name, TEMPORARY_MODE);
    if (result === EEXIST) return undefined;
    if (result < 0) throw systemError('mkdirat', -result, name);
    const made = newDirectory(name, parent);
    parent.children.set(name, made);
    return made;
  }

  /** Forgets a directory that was removed, with all under it. */
  forget(directory: Directory): void {
    directory.parent?.children.delete(directory.name);
    const gone = [directory];
    for (let next = gone.pop(); next !== undefined; next = gone.pop()) {
      const fd = this.#open.get(next);
      if (fd !== undefined) closeSync(fd);
      this.#open.delete(next);
      for (const child of next.children.values()) if (typeof child !== 'string') gone.push(child);
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #closeOldest(): void {
    const [oldest] = this.#open;
    if (oldest === undefined) return;
    closeSync(oldest[1]);
    this.#open.delete(oldest[0]);
  }
}

/** Path from the layer's root, without a slash at its start; empty for the root. */
export function pathOf(directory: Directory): ByteString {
  const names: ByteString[] = [];
  for (let at = directory; at.parent !== undefined; at = at.parent) names.unshift(at.name);
  return names.join('/');
}

function newDirectory(name: ByteString, parent: Directory | undefined): Directory {
  return {
    name,
    parent,
    children: new Map(),
    metadata: undefined,
    isOpaque: false,
    whiteouts: undefined,
    hardLinks: undefined,
    depth: parent === undefined ? 0 : parent.depth + 1,
  };
}
