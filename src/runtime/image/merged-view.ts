import {type BigIntStats, lstatSync, readlinkSync} from 'node:fs';
import {lgetxattr} from '../sys/files.ts';
import type {ByteString} from '../sys/tree.ts';
import {OPAQUE_ATTRIBUTE} from './extended-attributes.ts';

/** What a path leads to in layers that lie over each other. */
export type MergedEntry =
  | {
      readonly kind: 'directory';
      /** In each layer that has a part in it, the uppermost first. */
      readonly paths: readonly ByteString[];
    }
  | {readonly kind: 'symlink'; readonly target: ByteString; readonly path: ByteString}
  | {readonly kind: 'other'; readonly path: ByteString; readonly stats: BigIntStats};

export interface ResolvedEntry {
  readonly entry: MergedEntry;
  /** Where it lies once all links on the way are followed. */
  readonly names: readonly ByteString[];
}

/** As many as the kernel follows in one path. */
const LINKS_FOLLOWED_MAX = 40;

/**
 * Looks things up in unpacked layers as overlayfs will show them (overlayfs.rst, "whiteouts and
 * opaque directories"), without a mount. The layers must not change meanwhile.
 */
export class MergedView {
  readonly #roots: readonly ByteString[];

  /** @param roots trees of the layers, the uppermost first */
  constructor(roots: readonly ByteString[]) {
    this.#roots = roots;
  }

  /** Looks up names one after the other, following no links. */
  find(names: readonly ByteString[]): MergedEntry | undefined {
    let entry: MergedEntry | undefined = this.#root();
    for (const name of names) entry = inside(entry, name);
    return entry;
  }

  /**
   * Follows links inside the root; at the last name only where asked.
   *
   * @returns undefined where nothing is there, or links lead in a circle
   */
  resolve(
    names: readonly ByteString[],
    {isLastFollowed}: {readonly isLastFollowed: boolean},
  ): ResolvedEntry | undefined {
    const todo = names.toReversed();
    let at: ByteString[] = [];
    let followed = 0;
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at = at.slice(0, -1);
        continue;
      }
      const entry = this.find([...at, name]);
      if (entry?.kind === 'symlink' && (todo.length > 0 || isLastFollowed)) {
        if (++followed > LINKS_FOLLOWED_MAX) return undefined;
        if (entry.target.startsWith('/')) at = [];
        todo.push(...entry.target.split('/').toReversed());
        continue;
      }
      if (entry === undefined) return undefined;
      at = [...at, name];
    }
    const entry = this.find(at);
    return entry === undefined ? undefined : {entry, names: at};
  }

  #root(): MergedEntry {
    return {kind: 'directory', paths: this.#roots};
  }
}

/** The entry of that name in a merged directory. */
function inside(parent: MergedEntry | undefined, name: ByteString): MergedEntry | undefined {
  if (parent?.kind !== 'directory') return undefined;
  const paths: ByteString[] = [];
  for (const directory of parent.paths) {
    const path = `${directory}/${name}`;
    const stats = statsOf(path);
    if (stats === undefined) continue;
    if (!stats.isDirectory()) {
      if (paths.length > 0 || isWhiteout(stats)) break;
      return stats.isSymbolicLink()
        ? {kind: 'symlink', target: readlinkSync(bytesOf(path), 'latin1'), path}
        : {kind: 'other', path, stats};
    }
    paths.push(path);
    if (isOpaque(path)) break;
  }
  return paths.length === 0 ? undefined : {kind: 'directory', paths};
}

/** Whether a directory of a layer hides what is below; false where there is none. */
export function isOpaque(path: ByteString): boolean {
  if (statsOf(path) === undefined) return false;
  const value = lgetxattr(bytesOf(path), OPAQUE_ATTRIBUTE.name);
  return value?.equals(OPAQUE_ATTRIBUTE.value) ?? false;
}

export function statsOf(path: ByteString): BigIntStats | undefined {
  return lstatSync(bytesOf(path), {bigint: true, throwIfNoEntry: false});
}

/** A byte string as the functions of node:fs take it. */
export function bytesOf(path: ByteString): Buffer {
  return Buffer.from(path, 'latin1');
}

/** A path of this machine, which is UTF-8, as the byte string that others are joined to. */
export function byteStringOf(path: string): ByteString {
  return Buffer.from(path).toString('latin1');
}

/** Whether an entry of a layer hides what is below by that name. */
export function isWhiteout(stats: BigIntStats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0n;
}
