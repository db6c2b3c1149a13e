import {closeSync, constants, writeSync} from 'node:fs';
import {makeDevice} from '../sys/files.ts';
import {systemError} from '../sys/libc.ts';
import {
  type ByteString,
  createFileAt,
  makeLinkAt,
  makeNodeAt,
  makeSymlinkAt,
  setMode,
  setModeAt,
  setOwner,
  setOwnerAt,
  setTime,
  setTimeAt,
} from '../sys/tree.ts';
import {isSettable, setAttributes, setAttributesOfPath} from './extended-attributes.ts';
import {layerInvalid} from './layer-invalid.ts';
import {removeTreeAt} from './remove-tree.ts';
import type {TarEntry, TarSink} from './tar-reader.ts';
import {type Directory, DirectoryTree} from './unpack-directory.ts';
import {finishTree, type PendingWork} from './unpack-finish.ts';
import {isPlainName, LINK_BYTES_MAX, shown, splitPath} from './unpack-path.ts';

export interface UnpackedTree {
  /** Bytes of content of all files. */
  readonly sizeBytes: number;
  /** The same in whole blocks, and one block per directory. */
  readonly diskBytes: number;
  readonly inodes: number;
  readonly pending: PendingWork;
}

const WHITEOUT_PREFIX = '.wh.';
const OPAQUE_MARKER = '.wh..wh..opq';
/** aufs keeps its own records under names that start like this. */
const MARKER_PREFIX = '.wh..wh.';
const ENTRIES_MAX = 3_000_000;
/** Files are forgotten once written; half of a worker's heap is for what is not. */
const REMEMBERED_BYTES_MAX = 256 * 1024 ** 2;
const DIRECTORY_OVERHEAD_BYTES = 512;
const NAME_OVERHEAD_BYTES = 160;
/** As many as the kernel follows in one path. */
const LINKS_FOLLOWED_MAX = 40;
const DISK_BLOCK_BYTES = 4096;
const SPECIAL_BITS = 0o7000;
const WHITEOUT = {mode: constants.S_IFCHR, device: 0n};
const EPERM = -1;
const ENOENT = -2;
const EEXIST = -17;

/**
 * Writes a layer's entries as an overlay file system wants them: whiteouts as character devices
 * 0:0, opaque directories by attribute. It must be alone in the tree, which starts empty.
 *
 * Nothing is written outside of the root: parents are found in memory among the directories made
 * here, links resolve inside the root, and each system call names one component of an open
 * directory without following links. The umask must be 0.
 */
export class UnpackTree implements TarSink, Disposable {
  readonly #tree: DirectoryTree;
  #fd = -1;
  #file: TarEntry | undefined;
  /** Most entries lie in the same directory as the one before. */
  #last: {readonly text: ByteString; readonly directory: Directory} | undefined;
  readonly #rememberedBytesMax: number;
  #entries = 0;
  #rememberedBytes = 0;
  #sizeBytes = 0;
  #diskBytes = 0;
  #inodes = 0;

  /** @param rootFd the open, empty directory; owned by the caller */
  constructor(rootFd: number, {rememberedBytesMax = REMEMBERED_BYTES_MAX} = {}) {
    this.#tree = new DirectoryTree(rootFd);
    this.#rememberedBytesMax = rememberedBytesMax;
  }

  /** @throws CodedError ERR_LAYER_INVALID; `SystemError`, e.g. ENOSPC */
  entry(entry: TarEntry): void {
    this.#count();
    const slash = entry.path.lastIndexOf('/');
    const text = entry.path.slice(0, Math.max(slash, 0));
    const base = entry.path.slice(slash + 1);
    const isOrdinary = isPlainName(base) && !base.startsWith(MARKER_PREFIX);
    if (isOrdinary && this.#last?.text === text) {
      this.#place(entry, this.#last.directory, base);
      return;
    }
    const names = splitPath(entry.path);
    const name = names.at(-1);
    if (name === undefined) {
      this.#describe(this.#tree.root, entry);
    } else if (name === OPAQUE_MARKER || !names.some(part => part.startsWith(MARKER_PREFIX))) {
      const directory = this.#make(names.slice(0, -1), entry.path);
      if (name === base) this.#last = {text, directory};
      this.#place(entry, directory, name);
    }
  }

  content(bytes: Buffer): void {
    if (this.#fd === -1) return;
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at, bytes.length - at);
  }

  contentEnd(): void {
    const file = this.#file;
    if (file === undefined) return;
    const fd = this.#fd;
    // The order matters: a change of owner takes away special bits and capabilities.
    if (file.uid !== 0 || file.gid !== 0) done('fchown', setOwner(fd, file.uid, file.gid));
    if ((file.mode & SPECIAL_BITS) !== 0) done('fchmod', setMode(fd, file.mode));
    if (file.attributes.length > 0) setAttributes(fd, file.attributes.filter(isSettable));
    done('futimens', setTime(fd, file.modified));
    this.#file = undefined;
    this.#fd = -1;
    closeSync(fd);
  }

  /** Gives all directories their owners, modes and times, and tells what was made. */
  finish(): UnpackedTree {
    const pending = finishTree(this.#tree);
    return {
      sizeBytes: this.#sizeBytes,
      diskBytes: this.#diskBytes,
      inodes: this.#inodes,
      pending,
    };
  }

  [Symbol.dispose](): void {
    if (this.#fd !== -1) closeSync(this.#fd);
    this.#fd = -1;
    this.#tree[Symbol.dispose]();
  }

  #place(entry: TarEntry, parent: Directory, name: ByteString): void {
    if (entry.kind !== 'file' || name.startsWith(WHITEOUT_PREFIX)) this.#remember(entry);
    if (name === OPAQUE_MARKER) {
      parent.isOpaque = true;
      return;
    }
    if (name.startsWith(WHITEOUT_PREFIX)) {
      this.#whiteout(parent, name.slice(WHITEOUT_PREFIX.length));
      return;
    }
    parent.hardLinks?.delete(name);
    switch (entry.kind) {
      case 'file':
        this.#createFile(entry, parent, name);
        break;
      case 'directory':
        this.#describe(this.#makeIn(parent, name), entry);
        break;
      case 'hard-link':
        this.#link(entry, parent, name);
        break;
      default:
        this.#createNode(entry, parent, name);
    }
  }

  #createFile(entry: TarEntry, parent: Directory, name: ByteString): void {
    const mode = entry.mode & ~SPECIAL_BITS;
    this.#fd = this.#create(parent, name, fd => createFileAt(fd, name, mode));
    this.#file = entry;
    this.#sizeBytes += entry.sizeBytes;
    this.#diskBytes += Math.ceil(entry.sizeBytes / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES;
  }

  #createNode(entry: TarEntry, parent: Directory, name: ByteString): void {
    const fd = this.#tree.descriptorOf(parent);
    if (entry.kind === 'symlink') {
      checkLink(entry);
      this.#create(parent, name, at => makeSymlinkAt(at, name, entry.linkPath));
      parent.children.set(name, entry.linkPath);
    } else {
      const type = NODE_TYPES[entry.kind as keyof typeof NODE_TYPES];
      const mode = type | (entry.mode & ~SPECIAL_BITS);
      const device = entry.kind === 'fifo' ? 0n : makeDevice(entry.deviceMajor, entry.deviceMinor);
      this.#create(parent, name, at => makeNodeAt(at, name, {mode, device}));
    }
    done('fchownat', setOwnerAt(fd, name, entry.uid, entry.gid));
    const isSpecial = (entry.mode & SPECIAL_BITS) !== 0 && entry.kind !== 'symlink';
    if (isSpecial) done('fchmodat', setModeAt(fd, name, entry.mode));
    const attributes = entry.attributes.filter(isSettable);
    if (attributes.length > 0) setAttributesOfPath(`/proc/self/fd/${fd}/${name}`, attributes);
    done('utimensat', setTimeAt(fd, name, entry.modified));
  }

  #link(entry: TarEntry, parent: Directory, name: ByteString): void {
    const names = splitPath(entry.linkPath);
    const base = names.at(-1);
    if (base === undefined) throw layerInvalid(`${shown(entry.path)} is a hard link to the root`);
    const source = this.#find(names.slice(0, -1));
    if (source === parent && base === name) return;
    if (source?.whiteouts?.has(base) === true) {
      throw layerInvalid(`${shown(entry.path)} is a hard link to a removed file`);
    }
    if (source?.hardLinks?.has(base) !== true && source !== undefined) {
      const from = {directory: this.#tree.descriptorOf(source), name: base};
      let result = makeLinkAt(from, this.#tree.descriptorOf(parent), name);
      if (result === EEXIST) {
        this.#replace(parent, name);
        result = makeLinkAt(from, this.#tree.descriptorOf(parent), name);
      }
      const target = source.children.get(base);
      if (result === EPERM)
        throw layerInvalid(`${shown(entry.path)} is a hard link to a directory`);
      if (typeof target === 'string') parent.children.set(name, target);
      if (result !== ENOENT) {
        done('linkat', result);
        return;
      }
    }
    // The file is in a layer below, which may still be on its way.
    this.#replace(parent, name);
    parent.hardLinks ??= new Map();
    parent.hardLinks.set(name, names.join('/'));
  }

  /** Hides what lower layers have by a name; what this layer has by that name stays. */
  #whiteout(parent: Directory, name: ByteString): void {
    if (!isPlainName(name)) throw layerInvalid(`${shown(name)} cannot be removed by a whiteout`);
    const own = parent.children.get(name);
    if (typeof own === 'object') own.isOpaque = true;
    if (own !== undefined || parent.hardLinks?.has(name) === true) return;
    const result = makeNodeAt(this.#tree.descriptorOf(parent), name, WHITEOUT);
    if (result === EEXIST) return;
    done('mknodat', result);
    parent.whiteouts ??= new Set();
    parent.whiteouts.add(name);
    this.#inodes++;
  }

  #describe(directory: Directory, {mode, uid, gid, modified, attributes}: TarEntry): void {
    directory.metadata = {mode, uid, gid, modified, attributes: attributes.filter(isSettable)};
  }

  #make(names: readonly ByteString[], path: ByteString): Directory {
    return this.#walk(names, (at, name) => {
      this.#charge(path.length);
      return this.#makeIn(at, name, {isImplied: true});
    }) as Directory;
  }

  #find(names: readonly ByteString[]): Directory | undefined {
    return this.#walk(names, () => undefined);
  }

  /** Follows links inside the root; asks `missing` for what no entry has made so far. */
  #walk(
    names: readonly ByteString[],
    missing: (at: Directory, name: ByteString) => Directory | undefined,
  ): Directory | undefined {
    const todo = names.toReversed();
    let at = this.#tree.root;
    let followed = 0;
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      if (name === '' || name === '.') continue;
      const child = name === '..' ? (at.parent ?? at) : at.children.get(name);
      if (typeof child === 'string') {
        if (++followed > LINKS_FOLLOWED_MAX) throw layerInvalid('links lead in a circle');
        if (child.startsWith('/')) at = this.#tree.root;
        todo.push(...child.split('/').toReversed());
        continue;
      }
      const next = child ?? missing(at, name);
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  }

  #makeIn(parent: Directory, name: ByteString, {isImplied = false} = {}): Directory {
    const known = parent.children.get(name);
    if (typeof known === 'object') return known;
    let made = this.#tree.make(parent, name);
    if (made === undefined) {
      const isInTheWay = isImplied && parent.whiteouts?.has(name) !== true;
      if (isInTheWay) throw layerInvalid(`a path leads through ${shown(name)}, which is a file`);
      this.#replace(parent, name);
      made = this.#tree.make(parent, name);
      if (made === undefined) throw systemError('mkdirat', -EEXIST, name);
      made.isOpaque = true; // what it takes the place of hid the lower layers
    }
    if (isImplied) this.#count();
    this.#charge(DIRECTORY_OVERHEAD_BYTES);
    this.#inodes++;
    this.#diskBytes += DISK_BLOCK_BYTES;
    return made;
  }

  /** Makes an entry; what has its name goes, as the later of two entries counts. */
  #create(parent: Directory, name: ByteString, make: (fd: number) => number): number {
    let result = make(this.#tree.descriptorOf(parent));
    if (result === EEXIST) {
      this.#replace(parent, name);
      result = make(this.#tree.descriptorOf(parent));
    }
    if (result < 0) throw systemError('openat', -result, name);
    this.#inodes++;
    return result;
  }

  #replace(parent: Directory, name: ByteString): void {
    const own = parent.children.get(name);
    removeTreeAt(this.#tree.descriptorOf(parent), name);
    if (typeof own === 'object') this.#tree.forget(own);
    parent.children.delete(name);
    parent.whiteouts?.delete(name);
    this.#last = undefined;
  }

  /** A name, cut out of a path, keeps all of the path in memory. */
  #remember({path, linkPath, attributes}: TarEntry): void {
    const attributeBytes = attributes.reduce((sum, {value}) => sum + value.length, 0);
    this.#charge(NAME_OVERHEAD_BYTES + path.length + linkPath.length + attributeBytes);
  }

  #charge(bytes: number): void {
    this.#rememberedBytes += bytes;
    if (this.#rememberedBytes > this.#rememberedBytesMax) {
      throw layerInvalid('its directories, links and whiteouts do not fit into memory');
    }
  }

  #count(): void {
    if (++this.#entries > ENTRIES_MAX) throw layerInvalid(`it has over ${ENTRIES_MAX} entries`);
  }
}

const NODE_TYPES = {
  'character-device': constants.S_IFCHR,
  'block-device': constants.S_IFBLK,
  fifo: constants.S_IFIFO,
} as const;

function checkLink({path, linkPath}: TarEntry): void {
  const isSound = linkPath !== '' && linkPath.length <= LINK_BYTES_MAX && !linkPath.includes('\0');
  if (!isSound) throw layerInvalid(`${shown(path)} is a link to nothing that could exist`);
}

function done(syscall: string, result: number): void {
  if (result < 0) throw systemError(syscall, -result);
}
