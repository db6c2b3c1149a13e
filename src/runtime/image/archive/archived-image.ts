import type {Readable} from 'node:stream';
import type {Digest} from '#shared/oci/digest';

/** A layer as it lies in an archive. */
export interface ArchivedLayer {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
  readonly open: (offset: number) => Readable;
}

/** An image that an archive has, ready to be stored. */
export interface ArchivedImage {
  readonly configBytes: Uint8Array;
  readonly manifestBytes: Uint8Array;
  readonly manifestDigest: Digest;
  /** Digest that the image's name stands for: an index or the manifest; absent where the archive
   * has no manifest of a registry. */
  readonly nameDigest?: Digest;
  /** Lowest first. */
  readonly layers: readonly ArchivedLayer[];
  /** As the archive writes them; short names are Docker's. */
  readonly names: readonly string[];
}
