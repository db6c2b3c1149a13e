import {readdirSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import type {ImageStore, LayerDescriptor, OpenLayer, StoredImage} from '#runtime/image/image-store';
import {layerIdsOf} from '#runtime/image/layer-id';
import {openImageStore} from '#runtime/image/open-image-store';
import {unmountOverlay} from '#runtime/image/overlay';
import {createLog} from '#shared/log';
import {type Digest, digestOfBytes} from '#shared/oci/digest';

export interface LayerBytes {
  /** As transferred. */
  readonly blob: Buffer;
  readonly diffId: Digest;
}

export interface StoreBench extends AsyncDisposable {
  readonly root: string;
  /** The open store; another one after `reopen`. */
  readonly store: ImageStore;
  readonly logged: readonly string[];
  /** Closes the store and opens it again; `between` may change what is on the disk. */
  reopen(between?: () => Promise<void> | void): Promise<ImageStore>;
  /** Pulls an image of these layers from memory. */
  pull(layers: readonly LayerBytes[], tag?: string): Promise<StoredImage>;
}

const NEVER = new AbortController().signal;

export interface StoreBenchOptions {
  readonly root?: string;
  readonly pinned?: readonly string[];
}

/** A real image store in a folder of its own; its mounts are gone with it. */
export async function anImageStore(options: StoreBenchOptions = {}): Promise<StoreBench> {
  const root = options.root ?? (await mkdtemp(join(tmpdir(), 'slipway-test-images-')));
  const logged: string[] = [];
  const write = (line: string) => {
    logged.push(line);
  };
  const log = createLog({level: 'debug', write});
  const open = () => openImageStore({root, pinned: options.pinned ?? [], log});
  let store = await open();
  return {
    root,
    get store() {
      return store;
    },
    logged,
    async reopen(between) {
      await store.close();
      await between?.();
      store = await open();
      return store;
    },
    pull: (layers, tag) => pullInto(store, layers, tag),
    async [Symbol.asyncDispose]() {
      for (const id of store.listRootfs()) unmountOverlay(join(root, 'rootfs', id, 'merged'));
      await store.close();
      await rm(root, {recursive: true, force: true});
    },
  };
}

/** Pulls an image of these layers from memory, all layers at once. */
export async function pullInto(
  store: ImageStore,
  layers: readonly LayerBytes[],
  tag = 'registry.test/sample:latest',
): Promise<StoredImage> {
  await using pull = store.beginPull();
  const staged = descriptorsOf(layers).map((layer, index) =>
    pull.stageLayer(layer, from(layers[index]?.blob ?? Buffer.alloc(0)), NEVER),
  );
  await Promise.all(staged);
  const manifestDigest = digestOfBytes('manifest');
  return await pull.commitImage({manifestDigest, configBytes: configOf(layers), tag}, NEVER);
}

export function descriptorsOf(layers: readonly LayerBytes[]): readonly LayerDescriptor[] {
  const ids = layerIdsOf(layers.map(({diffId}) => diffId));
  return layers.flatMap(({blob, diffId}, index) => {
    const id = ids[index];
    const digest = digestOfBytes(blob);
    return id === undefined ? [] : [{digest, sizeBytes: blob.length, mediaType: '', diffId, id}];
  });
}

export function configOf(layers: readonly LayerBytes[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
    }),
  );
}

/** A layer with gzip, as most are. */
export function aLayer(
  archive: Buffer,
  compress: (archive: Buffer) => Buffer = gzipSync,
): LayerBytes {
  return {blob: compress(archive), diffId: digestOfBytes(archive)};
}

/** Gives a layer from memory. */
export function from(blob: Buffer): OpenLayer {
  return offset => Promise.resolve(Readable.from([blob.subarray(offset)]));
}

/** Trees of all layers. */
export function layerTrees(bench: StoreBench): readonly string[] {
  const layers = join(bench.root, 'layers');
  return readdirSync(layers).map(name => join(layers, name));
}

/** What a failed pull must not leave. */
export function leftovers(bench: StoreBench): readonly string[] {
  return ['layers', 'staging', 'trash', 'configs'].flatMap(folder =>
    readdirSync(join(bench.root, folder)),
  );
}
