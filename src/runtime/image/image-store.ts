import type {Readable} from 'node:stream';
import type {Digest} from '#shared/oci/digest';
import type {ImageConfig} from './image-config.ts';
import type {LayerId} from './layer-id.ts';

/** An image whose layers are all unpacked. */
export interface StoredImage {
  /** Digest of the configuration: what CRI calls the image's id. */
  readonly id: Digest;
  readonly config: ImageConfig;
  /** Digest of the manifest that the image came by first. */
  readonly manifestDigest: Digest;
  /** `registry/repository:tag` each, in full form (`formatReference`). */
  readonly tags: readonly string[];
  /** `registry/repository@sha256:…` each. */
  readonly digests: readonly string[];
  /** Bytes of content of all layers, unpacked. */
  readonly sizeBytes: number;
  /** Lowest first. */
  readonly layers: readonly LayerId[];
  /** One of its names matches a pattern of the configuration: garbage collection leaves it alone. */
  readonly pinned: boolean;
}

/** A layer as the manifest and the configuration describe it together. */
export interface LayerDescriptor {
  /** Of the bytes as they are transferred. */
  readonly digest: Digest;
  /** Number of bytes as they are transferred. */
  readonly sizeBytes: number;
  /** Tells the compression; where it names none, the first bytes decide. */
  readonly mediaType: string;
  /** Digest of the uncompressed archive, from the configuration. */
  readonly diffId: Digest;
  /** From `layerIdsOf(diffIds)`. */
  readonly id: LayerId;
}

/**
 * Opens the bytes of a layer from `offset` on. It is called with 0 first. When its stream breaks,
 * it is called again with the number of bytes already taken, so what it must do is a range request;
 * when *it* rejects, or when two streams in a row bring nothing, the layer has failed (retries and
 * back-off are its own matter). `signal` aborts with the pull.
 */
export type OpenLayer = (offset: number, signal: AbortSignal) => Promise<Readable>;

export interface StagedLayer {
  /** True where nothing had to be transferred: the layer was there, or another pull brought it. */
  readonly reused: boolean;
}

export interface ImageNames {
  /** `registry/repository:tag` in full form. A tag moves from the image that has it now. */
  readonly tag?: string;
  /** `registry/repository@sha256:…` */
  readonly digest?: string;
}

export interface NewImage extends ImageNames {
  readonly manifestDigest: Digest;
  /** The configuration exactly as transferred; its digest becomes the image's id. */
  readonly configBytes: Uint8Array;
  /** The manifest exactly as transferred; nothing reads it from the store so far. */
  readonly manifestBytes?: Uint8Array;
}

/**
 * One pull or import. Every layer that it has staged or found stays on disk until it is disposed,
 * whatever is removed meanwhile; what was not committed by then is removed.
 *
 * ```ts
 * await using pull = store.beginPull();
 * await Promise.all(layers.map(layer => pull.stageLayer(layer, open, signal)));
 * const image = await pull.commitImage({manifestDigest, configBytes, tag, digest}, signal);
 * ```
 */
export interface ImagePull extends AsyncDisposable {
  /**
   * Sees to it that a layer is unpacked: finds it, joins another pull that is at it, or transfers,
   * verifies (digest, size, diff ID) and unpacks it in one stream in a process of its own. May be
   * called for several layers at once, in any order; as many run at once as the store allows.
   *
   * @throws CodedError ERR_DIGEST_MISMATCH, ERR_LAYER_INVALID, ERR_DISK_FULL; what `open` throws;
   *   the signal's reason
   */
  stageLayer(layer: LayerDescriptor, open: OpenLayer, signal: AbortSignal): Promise<StagedLayer>;

  /**
   * Makes the image known, with its names, in one step. Every layer that the configuration lists
   * must have been staged by this pull. An image that is there already only gets the names.
   *
   * @throws CodedError ERR_IMAGE_INVALID, ERR_LAYER_INVALID (a hard link to a file that no lower
   *   layer has, and what else `settleLayer` refuses), ERR_DISK_FULL; the signal's reason
   */
  commitImage(image: NewImage, signal: AbortSignal): Promise<StoredImage>;
}

export interface ImageStoreUsage {
  /** The store's folder, which tells the kubelet the file system. */
  readonly mountpoint: string;
  /** Bytes on disk of all layers, from what was counted while unpacking. */
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

export interface Rootfs {
  /** The merged tree; mounted. */
  readonly mountpoint: string;
  /** What the container writes. */
  readonly upperDirectory: string;
}

export interface RootfsUsage {
  readonly usedBytes: number;
  readonly inodes: number;
  /** When the walk that counted them ended. */
  readonly measuredAt: Date;
}

/** Images, their layers, and the root file systems of containers made of them; one per root folder. */
export interface ImageStore {
  list(): readonly StoredImage[];
  /** By full name, short name (`busybox`), digest name, id, or the id's hex or a prefix of it (≥ 3). */
  resolve(nameOrId: string): StoredImage | undefined;
  hasLayer(id: LayerId): boolean;
  /** Other patterns of pinned images from now on, see `pinnedBy`. */
  setPinned(patterns: readonly string[]): void;
  /** The configuration's bytes. @throws CodedError ERR_IMAGE_NOT_FOUND */
  readConfig(id: Digest): Promise<Uint8Array>;
  beginPull(): ImagePull;
  /** @throws CodedError ERR_IMAGE_NOT_FOUND */
  addName(id: Digest, names: ImageNames): Promise<StoredImage>;
  /**
   * By id: the image with all its names. By name: that name, and the image when it was the last
   * tag. Layers go when neither an image nor a container nor a pull needs them.
   *
   * @returns false where there was nothing to remove
   */
  remove(nameOrId: string): Promise<boolean>;
  usage(): ImageStoreUsage;

  /**
   * Makes and mounts the root file system of a container. Idempotent.
   *
   * @throws CodedError ERR_IMAGE_NOT_FOUND, ERR_DISK_FULL
   */
  prepareRootfs(containerId: string, image: StoredImage): Promise<Rootfs>;
  /** Mounts it (again), e.g. after a reboot. Idempotent. @throws CodedError ERR_ROOTFS_NOT_FOUND */
  mountRootfs(containerId: string): Promise<Rootfs>;
  /** Idempotent; what is still in use is detached. */
  unmountRootfs(containerId: string): Promise<void>;
  /** Unmounts it and removes what the container wrote. Idempotent. */
  removeRootfs(containerId: string): Promise<void>;
  listRootfs(): readonly string[];
  /**
   * What a container wrote, counted by a slow walk beside the daemon's work; a recent result is
   * given again. undefined for an unknown container.
   */
  rootfsUsage(containerId: string): Promise<RootfsUsage | undefined>;

  /** Ends running unpack processes, makes everything durable. Mounts stay. */
  close(): Promise<void>;
}
