import {
  type BigIntStats,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import {join} from 'node:path';
import type {ByteString} from '../sys/tree.ts';
import {copyMetadata, copyUp, setTimes} from './copy-up.ts';
import {layerInvalid} from './layer-invalid.ts';
import {LayerTree} from './layer-tree.ts';
import {byteStringOf, bytesOf, isOpaque, isWhiteout, MergedView, statsOf} from './merged-view.ts';
import type {PendingWork} from './unpack-finish.ts';
import {PENDING_FILE, type SettleJob, TREE_DIRECTORY, type UnpackDone} from './unpack-job.ts';
import {shown} from './unpack-path.ts';

const DISK_BLOCK_BYTES = 4096n;
/** Every one costs a look at all directories without an entry; no builder leaves more than a few. */
const LINKS_FOLLOWED_MAX = 64;

/**
 * Does what an archive left open, because it is about the layers below:
 *
 * 1. a directory without an entry, where a link is below (`lib/x` on `lib -> usr/lib`): its content
 *    moves to where the link leads;
 * 2. whiteouts that hide nothing go, as overlayfs would list them where it has nothing to merge;
 * 3. hard links to files of lower layers: the file is copied up, then linked;
 * 4. a directory without an entry looks as below.
 *
 * A link of this layer is never followed: it can lead anywhere on this machine.
 *
 * @returns what was added
 * @throws CodedError ERR_LAYER_INVALID for a hard link to a file that no layer has, where the layer
 *   has something else in the place of a directory that it needs, and for too many links
 */
export function settleLayer({directory, lowers}: SettleJob): UnpackDone {
  const text = readFileSync(join(directory, PENDING_FILE), 'utf8');
  const pending = JSON.parse(text) as PendingWork; // our own process wrote it
  const tree = byteStringOf(join(directory, TREE_DIRECTORY));
  return new Settling(tree, lowers.map(byteStringOf)).run(pending);
}

class Settling {
  readonly #tree: LayerTree;
  readonly #lowers: MergedView;
  /** This layer on the others, as a container will see them. */
  readonly #all: MergedView;
  /** Times of directories before something in them was changed. */
  readonly #times = new Map<ByteString, BigIntStats>();
  readonly #links = new Map<ByteString, ByteString>();
  #implied = new Set<ByteString>();
  #sizeBytes = 0;
  #diskBytes = 0;
  #inodes = 0;

  constructor(tree: ByteString, lowers: readonly ByteString[]) {
    this.#tree = new LayerTree(tree);
    this.#lowers = new MergedView(lowers);
    this.#all = new MergedView([tree, ...lowers]);
  }

  run({impliedDirectories, whiteouts, hardLinks}: PendingWork): UnpackDone {
    this.#implied = new Set(impliedDirectories);
    const moves: Move[] = [];
    for (const path of impliedDirectories) this.#followLink(moved(path, moves), moves);
    for (const path of whiteouts) this.#dropIfVain(moved(path, moves));
    for (const {path, target} of hardLinks) this.#links.set(moved(path, moves), target);
    for (const path of this.#links.keys()) this.#link(path, new Set());
    for (const [path, stats] of this.#times) {
      if (statsOf(this.#inTree(path)) !== undefined) setTimes(this.#inTree(path), stats);
    }
    for (const path of this.#implied) this.#describe(path);
    return {
      kind: 'done',
      sizeBytes: this.#sizeBytes,
      diskBytes: this.#diskBytes,
      inodes: this.#inodes,
      isPending: false,
    };
  }

  /** Moves the content of a directory that stands where a lower layer has a link to one. */
  #followLink(path: ByteString, moves: Move[]): void {
    const names = namesOf(path);
    if (names.length === 0 || this.#lowerEntry(names)?.kind !== 'symlink') return;
    const resolved = this.#lowers.resolve(names, {isLastFollowed: true});
    if (resolved?.entry.kind !== 'directory') return;
    const target = resolved.names.join('/');
    if (`${target}/`.startsWith(`${path}/`)) return;
    if (moves.length === LINKS_FOLLOWED_MAX) {
      throw layerInvalid(`over ${LINKS_FOLLOWED_MAX} of its directories are links below`);
    }
    this.#makeDirectories(resolved.names);
    const gone = new Set<ByteString>();
    this.#merge(path, target, gone);
    this.#tree.changed();
    const move = {from: path, to: target};
    const left = [...this.#implied].filter(implied => !gone.has(implied));
    this.#implied = new Set(left.map(implied => moved(implied, [move])));
    moves.push(move);
  }

  /** @param gone directories whose content is now in one that was there */
  #merge(from: ByteString, to: ByteString, gone: Set<ByteString>): void {
    this.#tree.changed();
    this.#touch(to);
    const [sources, targets] = [this.#directoryInTree(from), this.#directoryInTree(to)];
    for (const name of readdirSync(bytesOf(sources), 'latin1')) {
      const [source, target] = [bytesOf(`${sources}/${name}`), bytesOf(`${targets}/${name}`)];
      const existing = statsOf(`${targets}/${name}`);
      const isDirectory = statsOf(`${sources}/${name}`)?.isDirectory() === true;
      if (existing === undefined) {
        renameSync(source, target);
      } else if (!isDirectory) {
        rmSync(source, {recursive: true});
      } else if (existing.isDirectory()) {
        this.#merge(joined(from, name), joined(to, name), gone);
      } else {
        throw layerInvalid(`${shown(joined(to, name))} is a directory by another path`);
      }
    }
    this.#touch(parentOf(from));
    rmdirSync(bytesOf(sources));
    gone.add(from);
  }

  #dropIfVain(path: ByteString): void {
    if (this.#lowerEntry(namesOf(path)) !== undefined) return;
    const own = statsOf(this.#inTree(path));
    if (own === undefined || !isWhiteout(own)) return; // another entry took its place in a merge
    this.#touch(parentOf(path));
    unlinkSync(bytesOf(this.#inTree(path)));
    this.#inodes--;
  }

  #link(path: ByteString, waiting: Set<ByteString>): void {
    if (statsOf(this.#inTree(path)) !== undefined) return; // made as another's target
    if (waiting.has(path)) throw layerInvalid(`${shown(path)} is a hard link to itself`);
    waiting.add(path);
    const target = this.#links.get(path) ?? '';
    if (this.#links.has(target)) this.#link(target, waiting);
    const resolved = this.#all.resolve(namesOf(target), {isLastFollowed: false});
    if (resolved === undefined || resolved.entry.kind === 'directory') {
      throw layerInvalid(`${shown(path)} is a hard link to ${shown(target)}, which is no file`);
    }
    const source = resolved.names.join('/');
    if (statsOf(this.#inTree(source)) === undefined) this.#copyUp(resolved.entry.path, source);
    this.#touch(parentOf(path));
    linkSync(bytesOf(this.#inTree(source)), bytesOf(this.#inTree(path)));
  }

  #copyUp(from: ByteString, to: ByteString): void {
    this.#makeDirectories(namesOf(parentOf(to)));
    this.#touch(parentOf(to));
    copyUp(from, this.#inTree(to));
    const size = statsOf(from)?.size ?? 0n;
    this.#sizeBytes += Number(size);
    this.#diskBytes += Number(
      ((size + DISK_BLOCK_BYTES - 1n) / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES,
    );
    this.#inodes++;
  }

  #makeDirectories(names: readonly ByteString[]): void {
    names.forEach((_, index) => {
      const path = names.slice(0, index + 1).join('/');
      const directory = this.#directoryInTree(path);
      if (statsOf(directory) !== undefined) return;
      this.#touch(parentOf(path));
      mkdirSync(bytesOf(directory), {mode: 0o755});
      this.#implied.add(path);
      this.#inodes++;
      this.#diskBytes += Number(DISK_BLOCK_BYTES);
    });
  }

  #describe(path: ByteString): void {
    const lower = this.#lowerEntry(namesOf(path));
    const [uppermost] = lower?.kind === 'directory' ? lower.paths : [];
    if (uppermost !== undefined) copyMetadata(uppermost, this.#directoryInTree(path));
  }

  /** What lower layers have there, unless this layer hides it by an opaque directory. */
  #lowerEntry(names: readonly ByteString[]): ReturnType<MergedView['find']> {
    const isHidden = names.some((_, index) =>
      isOpaque(this.#inTree(names.slice(0, index).join('/'))),
    );
    return isHidden ? undefined : this.#lowers.find(names);
  }

  #touch(path: ByteString): void {
    const stats = statsOf(this.#inTree(path));
    if (stats !== undefined && !this.#times.has(path)) this.#times.set(path, stats);
  }

  #inTree(path: ByteString): ByteString {
    return this.#tree.pathOf(path);
  }

  #directoryInTree(path: ByteString): ByteString {
    return this.#tree.directoryPathOf(path);
  }
}

interface Move {
  readonly from: ByteString;
  readonly to: ByteString;
}

/** Where a path is after the moves, which were made in this order. */
function moved(path: ByteString, moves: readonly Move[]): ByteString {
  return moves.reduce(
    (at, {from, to}) =>
      at === from || at.startsWith(`${from}/`) ? `${to}${at.slice(from.length)}` : at,
    path,
  );
}

function namesOf(path: ByteString): readonly ByteString[] {
  return path === '' ? [] : path.split('/');
}

function parentOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

function joined(parent: ByteString, name: ByteString): ByteString {
  return parent === '' ? name : `${parent}/${name}`;
}
