import {isCoded} from '#shared/errors';
import type {Digest} from '#shared/oci/digest';
import {formatReference, parseReference} from '#shared/oci/reference';
import type {ImageRecord, LayerRecord} from './image-records.ts';
import type {ImageNames, StoredImage} from './image-store.ts';
import type {LayerId} from './layer-id.ts';
import type {IsPinned} from './pinned-images.ts';

export interface ImageIndexOptions {
  readonly images: Iterable<ImageRecord>;
  readonly layerOf: (id: LayerId) => LayerRecord | undefined;
  readonly isPinned: IsPinned;
}

/** An image, and the name that led to it; no name where its id did. */
export interface FoundImage {
  readonly image: StoredImage;
  readonly name?: string;
}

const ID_PREFIX_LENGTH_MIN = 3;

/** The images in memory, by id and by every name. */
export class ImageIndex {
  readonly #layerOf: (id: LayerId) => LayerRecord | undefined;
  #isPinned: IsPinned;
  readonly #images = new Map<Digest, StoredImage>();
  readonly #records = new Map<Digest, ImageRecord>();
  readonly #names = new Map<string, Digest>();

  constructor({images, layerOf, isPinned}: ImageIndexOptions) {
    this.#layerOf = layerOf;
    this.#isPinned = isPinned;
    for (const image of images) this.put(image);
  }

  list(): readonly StoredImage[] {
    return [...this.#images.values()];
  }

  get(id: Digest): StoredImage | undefined {
    return this.#images.get(id);
  }

  /** By full name, id, short name (`busybox`), or the start of an id that only one image has. */
  find(nameOrId: string): FoundImage | undefined {
    const byName = this.#byName(nameOrId);
    if (byName !== undefined) return byName;
    const hex = nameOrId.startsWith('sha256:') ? nameOrId.slice('sha256:'.length) : nameOrId;
    const exact = this.#images.get(`sha256:${hex}`);
    if (exact !== undefined) return {image: exact};
    const full = fullNameOf(nameOrId);
    return (full === undefined ? undefined : this.#byName(full)) ?? this.#byPrefix(hex);
  }

  /**
   * What the journal has to say when an image gets names: the image itself, and the one that has
   * the tag now.
   */
  withNames(record: ImageRecord, {tag, digest}: ImageNames): readonly ImageRecord[] {
    const named = {
      ...record,
      tags: tag === undefined ? record.tags : [...new Set([...record.tags, tag])],
      digests: digest === undefined ? record.digests : [...new Set([...record.digests, digest])],
    };
    const holderId = tag === undefined ? undefined : this.#names.get(tag);
    const holder = holderId === undefined ? undefined : this.#records.get(holderId);
    if (holder === undefined || holder.id === record.id) return [named];
    return [{...holder, tags: holder.tags.filter(other => other !== tag)}, named];
  }

  recordOf(id: Digest): ImageRecord | undefined {
    return this.#records.get(id);
  }

  /** Other patterns from now on. */
  setPinned(isPinned: IsPinned): void {
    this.#isPinned = isPinned;
    for (const record of [...this.#records.values()]) this.put(record);
  }

  /** Adds an image, or replaces it. */
  put(record: ImageRecord): void {
    this.delete(record.id);
    const names = [...record.tags, ...record.digests];
    this.#records.set(record.id, record);
    this.#images.set(record.id, {
      ...record,
      sizeBytes: record.layers.reduce((sum, id) => sum + (this.#layerOf(id)?.sizeBytes ?? 0), 0),
      pinned: names.some(this.#isPinned),
    });
    for (const name of names) this.#names.set(name, record.id);
  }

  delete(id: Digest): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    for (const name of [...record.tags, ...record.digests]) {
      if (this.#names.get(name) === id) this.#names.delete(name);
    }
    this.#records.delete(id);
    this.#images.delete(id);
  }

  #byName(name: string): FoundImage | undefined {
    const id = this.#names.get(name);
    const image = id === undefined ? undefined : this.#images.get(id);
    return image === undefined ? undefined : {image, name};
  }

  #byPrefix(hex: string): FoundImage | undefined {
    if (hex.length < ID_PREFIX_LENGTH_MIN || !/^[0-9a-f]+$/.test(hex)) return undefined;
    const [only, ...others] = this.list().filter(({id}) => id.startsWith(`sha256:${hex}`));
    return only === undefined || others.length > 0 ? undefined : {image: only};
  }
}

/** The form that names are kept in; a digest makes the tag beside it meaningless. */
function fullNameOf(text: string): string | undefined {
  try {
    const {registry, repository, tag, digest} = parseReference(text);
    const isByDigest = digest !== undefined;
    return formatReference({registry, repository, ...(isByDigest ? {digest} : {tag: tag ?? ''})});
  } catch (error) {
    if (isCoded(error)) return undefined; // an id, or nothing that could be stored
    throw error;
  }
}
