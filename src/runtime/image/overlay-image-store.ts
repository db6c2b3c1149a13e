import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import type {RuntimeErrorCode} from '../errors.ts';
import {DiskUsage} from './disk-usage.ts';
import type {Durability} from './durability.ts';
import {parseImageConfig} from './image-config.ts';
import type {FoundImage, ImageIndex} from './image-index.ts';
import {LayerPull} from './image-pull.ts';
import type {ImageRecord, LayerRecord} from './image-records.ts';
import type {
  ImageNames,
  ImagePull,
  ImageStore,
  ImageStoreUsage,
  NewImage,
  Rootfs,
  RootfsUsage,
  StoredImage,
} from './image-store.ts';
import type {Journal} from './journal.ts';
import {type LayerId, layerIdsOf} from './layer-id.ts';
import type {LayerStore} from './layer-store.ts';
import {pinnedBy} from './pinned-images.ts';
import type {RootfsStore} from './rootfs-store.ts';
import type {StoreFolders} from './store-folders.ts';
import type {Trash} from './trash.ts';
import type {UnpackPool} from './unpack-pool.ts';
import type {UnusedLayers} from './unused-layers.ts';
import {untilAborted} from '../store/shared-work.ts';

/** systemd kills a daemon after 90 s; a disk may need longer for what a pull has written. */
const CLOSE_MS = 10_000;

export interface OverlayImageStoreParts {
  readonly folders: StoreFolders;
  readonly journal: Journal;
  readonly index: ImageIndex;
  readonly layers: LayerStore;
  readonly unused: UnusedLayers;
  readonly rootfs: RootfsStore;
  readonly durability: Durability;
  readonly trash: Trash;
  readonly pool: UnpackPool;
  /** Lets another daemon use the store. */
  readonly unlock: () => void;
}

/** See `ImageStore`: every change is one record in the journal first, and then in memory. */
export class OverlayImageStore implements ImageStore {
  readonly #parts: OverlayImageStoreParts;
  readonly #diskUsage = new DiskUsage();
  /** Commits go one by one: two pulls may bring the same layer. */
  #commits: Promise<unknown> = Promise.resolve();

  constructor(parts: OverlayImageStoreParts) {
    this.#parts = parts;
  }

  list(): readonly StoredImage[] {
    return this.#parts.index.list();
  }

  setPinned(patterns: readonly string[]): void {
    this.#parts.index.setPinned(pinnedBy(patterns));
  }

  resolve(nameOrId: string): StoredImage | undefined {
    return this.#parts.index.find(nameOrId)?.image;
  }

  hasLayer(id: LayerId): boolean {
    return this.#parts.layers.get(id) !== undefined;
  }

  async readConfig(id: Digest): Promise<Uint8Array> {
    this.#recordOf(id);
    return readFile(this.#configPath(id));
  }

  beginPull(): ImagePull {
    return new LayerPull(this.#parts.layers, (image, has, signal) => {
      const turn = this.#commits;
      const work = untilAborted(turn, signal).then(() => this.#commit(image, has));
      this.#commits = Promise.allSettled([turn, work]);
      return work;
    });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- the journal may come to need it
  async addName(id: Digest, names: ImageNames): Promise<StoredImage> {
    return this.#put(this.#parts.index.withNames(this.#recordOf(id), names), id);
  }

  async remove(nameOrId: string): Promise<boolean> {
    const {index, layers, unused} = this.#parts;
    const found = index.find(nameOrId);
    if (found === undefined) return false;
    const record = this.#recordOf(found.image.id);
    const kept = withoutName(record, found);
    if (kept !== undefined) {
      this.#put([kept], kept.id);
      return true;
    }
    this.#parts.journal.appendRemoval({kind: 'remove', images: [record.id], layers: []});
    index.delete(record.id);
    for (const id of record.layers) layers.release(id);
    await unused.swept();
    await rm(this.#configPath(record.id), {force: true});
    return true;
  }

  usage(): ImageStoreUsage {
    const {layers, folders} = this.#parts;
    let usedBytes = 0;
    let inodesUsed = 0;
    for (const layer of layers.values()) {
      usedBytes += layer.diskBytes;
      inodesUsed += layer.inodes;
    }
    return {mountpoint: folders.root, usedBytes, inodesUsed};
  }

  // Root file systems are made at once; the promises are for a store that may have to wait.
  prepareRootfs(containerId: string, image: StoredImage): Promise<Rootfs> {
    return promised(() => this.#parts.rootfs.prepare(containerId, image));
  }

  mountRootfs(containerId: string): Promise<Rootfs> {
    return promised(() => this.#parts.rootfs.mount(containerId));
  }

  unmountRootfs(containerId: string): Promise<void> {
    return promised(() => {
      this.#parts.rootfs.unmount(containerId);
    });
  }

  removeRootfs(containerId: string): Promise<void> {
    return promised(() => {
      const upper = this.#parts.rootfs.upperDirectoryOf(containerId);
      if (upper !== undefined) this.#diskUsage.forget(upper);
      this.#parts.rootfs.remove(containerId);
    });
  }

  listRootfs(): readonly string[] {
    return this.#parts.rootfs.list();
  }

  async rootfsUsage(containerId: string): Promise<RootfsUsage | undefined> {
    const upper = this.#parts.rootfs.upperDirectoryOf(containerId);
    return upper === undefined ? undefined : this.#diskUsage.of(upper);
  }

  async close(): Promise<void> {
    const {durability, unused, trash, pool, journal, unlock} = this.#parts;
    await this.#commits;
    await unused.swept();
    // What is not on the disk by then is written after the next start.
    await Promise.race([
      Promise.all([durability.settled(), trash.empty()]),
      sleep(CLOSE_MS, undefined, {ref: false}),
    ]);
    await pool.close();
    journal.close();
    unlock();
  }

  async #commit(
    {configBytes, manifestDigest, ...names}: NewImage,
    has: (id: LayerId) => boolean,
  ): Promise<StoredImage> {
    const {index, layers} = this.#parts;
    const id = digestOfBytes(configBytes);
    const {config, diffIds} = parseImageConfig(configBytes);
    const layerIds = layerIdsOf(diffIds);
    const missing = layerIds.find(layer => !has(layer));
    if (missing !== undefined) throw notStaged(id, missing);
    const known = index.recordOf(id);
    if (known !== undefined) return this.#put(index.withNames(known, names), id);
    const placed: LayerRecord[] = [];
    try {
      await this.#place(layerIds, placed);
      await writeFile(this.#configPath(id), configBytes, {mode: 0o600});
      const record = {id, config, manifestDigest, tags: [], digests: [], layers: layerIds};
      const records = index.withNames(record, names);
      this.#parts.journal.append({kind: 'put', images: records, layers: placed});
      layers.commit(placed);
      for (const layer of layerIds) layers.hold(layer);
      for (const changed of records) index.put(changed);
    } catch (error) {
      for (const record of placed) layers.discard(record);
      throw isErrno(error, 'ENOSPC') ? diskFull(error) : error;
    }
    this.#parts.durability.want();
    return this.#imageOf(id);
  }

  /** To its end, once begun: another pull may hold the same layers, and would lose them. */
  async #place(layerIds: readonly LayerId[], placed: LayerRecord[]): Promise<void> {
    const {layers} = this.#parts;
    const lowers: LayerRecord[] = [];
    for (const id of layerIds) {
      let layer = layers.get(id);
      if (layer === undefined) {
        layer = await layers.place(id, lowers);
        placed.push(layer);
      }
      lowers.push(layer);
    }
  }

  #put(images: readonly ImageRecord[], id: Digest): StoredImage {
    this.#parts.journal.append({kind: 'put', images, layers: []});
    for (const image of images) this.#parts.index.put(image);
    this.#parts.durability.want();
    return this.#imageOf(id);
  }

  #imageOf(id: Digest): StoredImage {
    return this.#parts.index.get(id) ?? fail(notFound(id));
  }

  #recordOf(id: Digest): ImageRecord {
    return this.#parts.index.recordOf(id) ?? fail(notFound(id));
  }

  #configPath(id: Digest): string {
    return join(this.#parts.folders.configs, id.slice('sha256:'.length));
  }
}

/** What an image is after it lost the name by which it was found; undefined: it goes altogether. */
function withoutName(record: ImageRecord, {name}: FoundImage): ImageRecord | undefined {
  const tags = record.tags.filter(tag => tag !== name);
  const digests = record.digests.filter(digest => digest !== name);
  const wasTag = tags.length < record.tags.length;
  const left = wasTag ? tags.length : tags.length + digests.length;
  return name === undefined || left === 0 ? undefined : {...record, tags, digests};
}

/** Runs at once; what is thrown rejects. */
async function promised<T>(work: () => T): Promise<T> {
  return new Promise(resolve => {
    resolve(work());
  });
}

function fail(error: Error): never {
  throw error;
}

function notFound(id: Digest): CodedError<RuntimeErrorCode> {
  const hint = 'pull the image again';
  return new CodedError<RuntimeErrorCode>('ERR_IMAGE_NOT_FOUND', `there is no image ${id}`, {hint});
}

function notStaged(id: Digest, layer: LayerId): CodedError<RuntimeErrorCode> {
  return new CodedError<RuntimeErrorCode>(
    'ERR_IMAGE_INVALID',
    `the configuration ${id} names the layer ${layer}, which its manifest does not have`,
    {hint: 'build and push the image again'},
  );
}

function diskFull(cause: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError<RuntimeErrorCode>(
    'ERR_DISK_FULL',
    `the image cannot be stored: ${messageOf(cause)}`,
    {hint: 'remove images or enlarge the file system', cause},
  );
}
