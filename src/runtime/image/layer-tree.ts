import type {ByteString} from '../sys/tree.ts';
import {layerInvalid} from './layer-invalid.ts';
import {statsOf} from './merged-view.ts';
import {shown} from './unpack-path.ts';

const REMEMBERED_MAX = 10_000;

/**
 * The paths of a layer's tree for calls that take paths, which the kernel would follow through any
 * link on the way: a layer can have a link out of the tree where the layers below have a directory.
 * Nothing else may write into the tree meanwhile.
 */
export class LayerTree {
  readonly #root: ByteString;
  /** Found to be directories; deep paths share most of their way. */
  readonly #directories = new Set<ByteString>();

  constructor(root: ByteString) {
    this.#root = root;
  }

  /**
   * The path on this machine of what lies there, or would lie there.
   *
   * @param path from the tree's root, which is the empty path
   * @throws CodedError ERR_LAYER_INVALID where it leads through something that is no directory
   */
  pathOf(path: ByteString): ByteString {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      if (!this.#isDirectoryOrMissing(path.slice(0, end))) throw notThrough(path.slice(0, end));
    }
    return this.#joined(path);
  }

  /**
   * The same of a directory itself.
   *
   * @throws CodedError ERR_LAYER_INVALID where something else has its place, too
   */
  directoryPathOf(path: ByteString): ByteString {
    const found = this.pathOf(path);
    if (!this.#isDirectoryOrMissing(path)) throw notThrough(path);
    return found;
  }

  /** To be called after something was moved or removed: what was found does not count any more. */
  changed(): void {
    this.#directories.clear();
  }

  #isDirectoryOrMissing(path: ByteString): boolean {
    if (this.#directories.has(path)) return true;
    const stats = statsOf(this.#joined(path));
    if (stats?.isDirectory() === true) {
      if (this.#directories.size >= REMEMBERED_MAX) this.#directories.clear();
      this.#directories.add(path);
    }
    return stats?.isDirectory() ?? true;
  }

  #joined(path: ByteString): ByteString {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }
}

function notThrough(path: ByteString): ReturnType<typeof layerInvalid> {
  return layerInvalid(`a path leads through ${shown(path)}, which is no directory in this layer`);
}
