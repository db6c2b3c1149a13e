import {randomBytes} from 'node:crypto';
import {mkdir, rename} from 'node:fs/promises';
import {join} from 'node:path';
import type {LayerRecord} from './image-records.ts';
import type {LayerDescriptor, OpenLayer} from './image-store.ts';
import type {LayerId} from './layer-id.ts';
import type {StoreFolders} from './store-folders.ts';
import type {Trash} from './trash.ts';
import {TREE_DIRECTORY, type UnpackDone} from './unpack-job.ts';
import type {UnpackPool} from './unpack-pool.ts';
import {untilAborted} from '../store/shared-work.ts';

/** A layer that is unpacked, verified, and not yet known to the journal. */
interface Staged {
  readonly directory: string;
  readonly done: UnpackDone;
}

interface Staging {
  readonly work: Promise<Staged>;
  /** Aborts with the pull that does the work. */
  readonly signal: AbortSignal;
}

export interface LayerStoreOptions {
  readonly folders: StoreFolders;
  readonly pool: UnpackPool;
  readonly trash: Trash;
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** A layer that nobody needs any more; it is unknown from now on. */
  readonly onUnused: (layer: LayerRecord) => void;
}

/**
 * The unpacked layers, each kept as long as something holds it: an image, a container's root file
 * system or a pull.
 */
export class LayerStore {
  readonly #folders: StoreFolders;
  readonly #pool: UnpackPool;
  readonly #trash: Trash;
  readonly #onUnused: (layer: LayerRecord) => void;
  readonly #layers: Map<LayerId, LayerRecord>;
  readonly #holders = new Map<LayerId, number>();
  readonly #stagings = new Map<LayerId, Staging>();
  readonly #names: Set<string>;
  #nextName = 0;

  constructor({folders, pool, trash, layers, onUnused}: LayerStoreOptions) {
    this.#folders = folders;
    this.#pool = pool;
    this.#trash = trash;
    this.#layers = new Map(layers);
    this.#onUnused = onUnused;
    this.#names = new Set([...layers.values()].map(({directory}) => directory));
  }

  get(id: LayerId): LayerRecord | undefined {
    return this.#layers.get(id);
  }

  values(): Iterable<LayerRecord> {
    return this.#layers.values();
  }

  pathOf({directory}: LayerRecord): string {
    return join(this.#folders.layers, directory);
  }

  /** Keeps a layer, staged or not, until it is released as many times. */
  hold(id: LayerId): void {
    this.#holders.set(id, (this.#holders.get(id) ?? 0) + 1);
  }

  release(id: LayerId): void {
    const left = (this.#holders.get(id) ?? 0) - 1;
    if (left > 0) {
      this.#holders.set(id, left);
      return;
    }
    this.#holders.delete(id);
    this.#drop(id);
  }

  /** Drops what nothing holds: after a start, when everything that holds layers has said so. */
  dropUnheld(): void {
    for (const id of [...this.#layers.keys()]) if (!this.#holders.has(id)) this.#drop(id);
  }

  /**
   * Sees to it that a layer, which the caller holds, is unpacked.
   *
   * @returns true where it was there already or another pull was at it
   */
  async stage(layer: LayerDescriptor, open: OpenLayer, signal: AbortSignal): Promise<boolean> {
    for (let isFirst = true; ; isFirst = false) {
      signal.throwIfAborted();
      if (this.#layers.has(layer.id)) return true;
      const present = this.#stagings.get(layer.id);
      if (present === undefined) {
        await this.#start(layer, open, signal).work;
        return !isFirst;
      }
      try {
        await untilAborted(present.work, signal);
        return true;
      } catch (error) {
        if (signal.aborted || !present.signal.aborted) throw error;
        // The pull that was at it was given up: this one takes over.
      }
    }
  }

  /**
   * Gives a staged layer its place. Its lower layers must have theirs.
   *
   * @returns the record for the journal, to be followed by `commit` or `discard`
   * @throws CodedError ERR_LAYER_INVALID as `settleLayer` does
   */
  async place(id: LayerId, lowers: readonly LayerRecord[]): Promise<LayerRecord> {
    const staging = this.#stagings.get(id);
    if (staging === undefined) throw new Error(`the layer ${id} is not staged`);
    const {directory, done} = await staging.work;
    try {
      const settled = done.isPending ? await this.#settle(directory, lowers) : NOTHING;
      const name = this.#newName();
      await rename(join(directory, TREE_DIRECTORY), join(this.#folders.layers, name));
      return {
        id,
        directory: name,
        sizeBytes: done.sizeBytes + settled.sizeBytes,
        diskBytes: done.diskBytes + settled.diskBytes,
        inodes: done.inodes + settled.inodes,
      };
    } finally {
      this.#stagings.delete(id);
      this.#trash.take(directory);
    }
  }

  /** The journal has them: they are layers now. */
  commit(records: readonly LayerRecord[]): void {
    for (const record of records) this.#layers.set(record.id, record);
  }

  /** Takes away the tree of a layer that the journal does not have, or no longer. */
  discard(record: LayerRecord): void {
    this.#trash.take(this.pathOf(record));
    this.#names.delete(record.directory);
  }

  async #settle(directory: string, lowers: readonly LayerRecord[]): Promise<UnpackDone> {
    const paths = lowers.map(lower => this.pathOf(lower)).toReversed();
    return this.#pool.run({kind: 'settle', directory, lowers: paths});
  }

  /** Short names first: all layers of a mount share one page of options. */
  #newName(): string {
    let number = this.#nextName;
    while (this.#names.has(number.toString(36))) number++;
    this.#nextName = number + 1;
    const name = number.toString(36);
    this.#names.add(name);
    return name;
  }

  #start(layer: LayerDescriptor, open: OpenLayer, signal: AbortSignal): Staging {
    const staging = {work: this.#unpack(layer, open, signal), signal};
    this.#stagings.set(layer.id, staging);
    staging.work.catch(() => {
      if (this.#stagings.get(layer.id) === staging) this.#stagings.delete(layer.id);
    });
    return staging;
  }

  async #unpack(
    {digest, diffId, sizeBytes}: LayerDescriptor,
    open: OpenLayer,
    signal: AbortSignal,
  ): Promise<Staged> {
    const directory = join(this.#folders.staging, randomBytes(8).toString('hex'));
    await mkdir(directory, {mode: 0o700});
    try {
      const job = {kind: 'layer', digest, diffId, sizeBytes, directory} as const;
      return {directory, done: await this.#pool.unpack(job, open, signal)};
    } catch (error) {
      this.#trash.take(directory);
      throw error;
    }
  }

  #drop(id: LayerId): void {
    const record = this.#layers.get(id);
    if (record !== undefined) {
      this.#layers.delete(id);
      this.#onUnused(record);
      return;
    }
    const staging = this.#stagings.get(id);
    this.#stagings.delete(id);
    staging?.work.then(
      ({directory}) => {
        this.#trash.take(directory);
      },
      () => undefined,
    );
  }
}

const NOTHING = {sizeBytes: 0, diskBytes: 0, inodes: 0} as const;
