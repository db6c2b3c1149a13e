import {Readable} from 'node:stream';
import type {Digest} from '#shared/oci/digest';
import {mediaTypes} from '#shared/oci/manifest';
import type {ArtifactStore} from '../store.ts';
import {type AssembledImage, assembleImage} from './assemble.ts';
import type {Compression} from './layer.ts';
import {selectImages} from './image-catalogue.ts';
import {type TarEntry, tarSizeBytes, tarStream} from './tar.ts';

/** An OCI image layout as one tar, streamed from the cache. */
export interface ImageArchive {
  readonly sizeBytes: number;
  /** Yields exactly `sizeBytes`; may be called again. */
  open(): Readable;
}

/**
 * Assembles images of the catalogue and packs them into one archive, under their full references
 * (OCI image layout 1.1; containerd reads the name from an annotation of its own).
 *
 * @throws CodedError as `assembleImage`; ERR_ARTIFACT_VERSION_UNKNOWN for an image that we do not make
 */
export async function assembleArchive({
  store,
  references,
  compression = 'zstd',
  signal,
}: {
  readonly store: ArtifactStore;
  readonly references: readonly string[];
  readonly compression?: Compression;
  readonly signal: AbortSignal;
}): Promise<ImageArchive> {
  const images: AssembledImage[] = [];
  for (const specification of selectImages(references)) {
    images.push(await assembleImage(specification, {store, compression, signal}));
  }
  const entries = archiveEntries(images);
  return {
    sizeBytes: tarSizeBytes(entries),
    open: () => Readable.from(tarStream(entries), {objectMode: false}),
  };
}

/** The members of an image layout. */
export function archiveEntries(images: readonly AssembledImage[]): readonly TarEntry[] {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: images.map(({reference, digest, manifest}) => ({
      mediaType: mediaTypes.manifest,
      digest,
      size: Buffer.byteLength(manifest),
      annotations: {
        'org.opencontainers.image.ref.name': reference,
        'io.containerd.image.name': reference,
      },
    })),
  };
  const blobs = images.flatMap(({digest, manifest, blobs}) => [
    blob(digest, Buffer.from(manifest)),
    ...blobs.map(each => blob(each.digest, each.content, each.size)),
  ]);
  return [
    text('oci-layout', JSON.stringify({imageLayoutVersion: '1.0.0'})),
    text('index.json', JSON.stringify(index)),
    ...blobs,
  ];
}

function text(path: string, content: string): TarEntry {
  return fileEntry(path, Buffer.from(content));
}

function blob(digest: Digest, content: Uint8Array | string, sizeBytes?: number): TarEntry {
  return fileEntry(`blobs/${digest.replace(':', '/')}`, content, sizeBytes);
}

function fileEntry(
  path: string,
  content: Uint8Array | string,
  sizeBytes = Buffer.byteLength(content),
): TarEntry {
  return {kind: 'file', path, mode: 0o644, sizeBytes, content};
}
