import {closeSync, openSync} from 'node:fs';
import {mkdir, readdir, readFile, realpath, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {Log} from '#shared/log';
import {flock} from '../sys/files.ts';
import {Durability} from './durability.ts';
import {ImageIndex} from './image-index.ts';
import type {ImageRecords} from './image-records.ts';
import type {ImageStore} from './image-store.ts';
import {Journal} from './journal.ts';
import {LayerStore} from './layer-store.ts';
import {OverlayImageStore} from './overlay-image-store.ts';
import {probeOverlay} from './overlay.ts';
import {pinnedBy} from './pinned-images.ts';
import {RootfsStore} from './rootfs-store.ts';
import {makeStoreFolders, type StoreFolders} from './store-folders.ts';
import {Trash} from './trash.ts';
import {UnpackPool} from './unpack-pool.ts';
import {UnusedLayers} from './unused-layers.ts';

export interface ImageStoreOptions {
  /** A folder of the store's own, on a file system that overlay mounts can have layers on. */
  readonly root: string;
  /** Patterns of names, see `pinnedBy`. */
  readonly pinned: readonly string[];
  readonly log: Log;
  /** Layers unpacked at the same time; default 3. */
  readonly concurrentLayers?: number;
}

const CONCURRENT_LAYERS = 3;

/**
 * Opens the images of a folder, which is made when missing, and removes what a crash left in it:
 * layers are not looked into, only their names are compared with the journal.
 *
 * @throws CodedError ERR_STORE_UNSUPPORTED, ERR_STORE_LOCKED
 */
export async function openImageStore({
  root,
  pinned,
  log,
  concurrentLayers = CONCURRENT_LAYERS,
}: ImageStoreOptions): Promise<ImageStore> {
  await mkdir(root, {recursive: true});
  const folders = await makeStoreFolders(await realpath(root)); // as mountinfo shows it
  const unlock = lock(folders.lock);
  try {
    probeOverlay(folders.root);
    const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const {journal, records, brokenLines} = await Journal.open(folders.journal, bootId);
    if (brokenLines > 0) log.warn('the image journal had broken lines', {brokenLines});
    const present = new Set(await readdir(folders.layers));
    const found = presentRecords(records, present, log);
    const pool = new UnpackPool({layersMax: concurrentLayers});
    const trash = new Trash({directory: folders.trash, pool, log});
    await sweep(folders, found, trash);
    const discard = (layer: Parameters<LayerStore['discard']>[0]) => {
      layers.discard(layer);
    };
    const unused = new UnusedLayers({journal, discard, log});
    const layers = new LayerStore({
      folders,
      pool,
      trash,
      layers: found.layers,
      onUnused: layer => {
        unused.add(layer);
      },
    });
    const index = new ImageIndex({
      images: found.images.values(),
      layerOf: id => layers.get(id),
      isPinned: pinnedBy(pinned),
    });
    for (const image of found.images.values()) for (const id of image.layers) layers.hold(id);
    const rootfs = new RootfsStore({folders, layers, trash});
    layers.dropUnheld();
    void trash.empty();
    const durability = new Durability({journal, pool, root: folders.root, log});
    if (!records.isDurable) durability.want();
    return new OverlayImageStore({
      folders,
      journal,
      index,
      layers,
      unused,
      rootfs,
      durability,
      trash,
      pool,
      unlock,
    });
  } catch (error) {
    unlock();
    throw error;
  }
}

function lock(path: string): () => void {
  const fd = openSync(path, 'a', 0o600);
  if (flock(fd)) {
    return () => {
      closeSync(fd);
    };
  }
  closeSync(fd);
  throw new CodedError<RuntimeErrorCode>(
    'ERR_STORE_LOCKED',
    `another daemon uses the images beside ${path}`,
    {hint: 'stop it, or give this one a root of its own'},
  );
}

/** What the journal tells of and is really there: a full disk can lose the note of a removal. */
function presentRecords(
  {images, layers}: ImageRecords,
  directories: ReadonlySet<string>,
  log: Log,
): Pick<ImageRecords, 'images' | 'layers'> {
  const isPresent = ([, layer]: readonly [unknown, {readonly directory: string}]) =>
    directories.has(layer.directory);
  const found = new Map([...layers].filter(isPresent));
  const whole = new Map([...images].filter(([, image]) => image.layers.every(id => found.has(id))));
  const [lostLayers, lostImages] = [layers.size - found.size, images.size - whole.size];
  if (lostLayers > 0) log.warn('layers of the journal are missing', {lostLayers, lostImages});
  return {images: whole, layers: found};
}

/** Takes away what the journal does not tell of: pulls that were cut off, removals half done. */
async function sweep(
  folders: StoreFolders,
  {images, layers}: Pick<ImageRecords, 'images' | 'layers'>,
  trash: Trash,
): Promise<void> {
  const directories = new Set([...layers.values()].map(({directory}) => directory));
  for (const name of await readdir(folders.layers)) {
    if (!directories.has(name)) trash.take(join(folders.layers, name));
  }
  for (const name of await readdir(folders.staging)) trash.take(join(folders.staging, name));
  for (const name of await readdir(folders.configs)) {
    if (!images.has(`sha256:${name}`)) await rm(join(folders.configs, name), {force: true});
  }
}
