import {createHash} from 'node:crypto';
import {CodedError} from '#shared/errors';
import {digestOfBytes} from '#shared/oci/digest';
import {parseImageConfig} from '#runtime/image/image-config';
import type {
  ImageNames,
  ImagePull,
  ImageStore,
  LayerDescriptor,
  NewImage,
  StoredImage,
} from '#runtime/image/image-store';
import {layerIdsOf} from '#runtime/image/layer-id';

export interface ImageStoreDouble extends ImageStore {
  /** Digests of the layers that were read to their end, in that order. */
  readonly staged: readonly string[];
  /** Pulls that were begun and not disposed. */
  readonly openPulls: () => number;
  readonly manifests: ReadonlyMap<string, Uint8Array>;
}

/** An image store in memory that reads layers and checks their digests, and unpacks nothing. */
export function imageStoreDouble(): ImageStoreDouble {
  const images = new Map<string, StoredImage>();
  const manifests = new Map<string, Uint8Array>();
  const layers = new Set<string>();
  const staged: string[] = [];
  let openPulls = 0;

  function name(id: string, {tag, digest}: ImageNames): StoredImage {
    const image = images.get(id);
    if (image === undefined) throw new CodedError('ERR_IMAGE_NOT_FOUND', id, {hint: 'pull it'});
    for (const other of images.values()) {
      const tags = other.tags.filter(each => each !== tag);
      images.set(other.id, {...other, tags});
    }
    const named = {
      ...image,
      tags: [...new Set([...image.tags, ...(tag === undefined ? [] : [tag])])],
      digests: [...new Set([...image.digests, ...(digest === undefined ? [] : [digest])])],
    };
    images.set(id, named);
    return named;
  }

  function beginPull(): ImagePull {
    openPulls += 1;
    return {
      async stageLayer(layer, open, signal) {
        if (layers.has(layer.id)) return {reused: true};
        await read(layer, await open(0, signal));
        layers.add(layer.id);
        staged.push(layer.digest);
        return {reused: false};
      },
      async commitImage({manifestDigest, configBytes, manifestBytes, ...names}: NewImage) {
        const id = digestOfBytes(configBytes);
        const {config, diffIds} = parseImageConfig(configBytes);
        const ids = layerIdsOf(diffIds);
        if (!ids.every(each => layers.has(each))) throw new Error('a layer was not staged');
        if (manifestBytes !== undefined) manifests.set(manifestDigest, manifestBytes);
        if (!images.has(id)) {
          const empty = {tags: [], digests: [], sizeBytes: 0, pinned: false};
          images.set(id, {id, config, manifestDigest, layers: ids, ...empty});
        }
        return Promise.resolve(name(id, names));
      },
      async [Symbol.asyncDispose]() {
        openPulls -= 1;
        return Promise.resolve();
      },
    };
  }

  return {
    staged,
    manifests,
    openPulls: () => openPulls,
    list: () => [...images.values()],
    resolve: wanted =>
      [...images.values()].find(({id, tags, digests}) =>
        [id, ...tags, ...digests].includes(wanted),
      ),
    hasLayer: id => layers.has(id),
    beginPull,
    addName: async (id, names) => Promise.resolve(name(id, names)),
    ...unused(),
  };
}

async function read(
  {digest, sizeBytes}: LayerDescriptor,
  stream: AsyncIterable<Uint8Array>,
): Promise<void> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    hash.update(chunk);
  }
  if (size === sizeBytes && `sha256:${hash.digest('hex')}` === digest) return;
  throw new CodedError('ERR_DIGEST_MISMATCH', 'other bytes', {hint: 'pull again'});
}

function unused() {
  const fail = () => {
    throw new Error('a puller has no use for this');
  };
  return {
    readConfig: fail,
    setPinned: fail,
    remove: fail,
    usage: fail,
    prepareRootfs: fail,
    mountRootfs: fail,
    unmountRootfs: fail,
    removeRootfs: fail,
    listRootfs: fail,
    rootfsUsage: fail,
    close: fail,
  };
}
