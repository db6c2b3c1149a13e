import {createHash} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {join} from 'node:path';
import {PassThrough, Transform} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {constants, createGzip, createZstdCompress} from 'node:zlib';
import {digestOf} from '#shared/digest';
import {type Digest, parseDigest} from '#shared/oci/digest';
import {type Descriptor, mediaTypes} from '#shared/oci/manifest';
import type {ArtifactCache} from '../cache.ts';

/** How layers travel; `zstd` costs hosts the least CPU for what it saves on the wire. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** One layer in the cache. */
export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed archive. */
  readonly diffId: Digest;
  readonly path: string;
}

/** Raise it when equal inputs begin to give other bytes. */
const METHOD_VERSION = 1;
const ZSTD_LEVEL = 3;
const GZIP_LEVEL = 1;
const LAYER_TYPE = {
  none: mediaTypes.layer,
  gzip: mediaTypes.layerGzip,
  zstd: mediaTypes.layerZstd,
} as const;

/**
 * A compressed layer from an uncompressed archive, made once per cache.
 *
 * @param identity names the archive's content: equal identity, equal bytes
 */
export async function makeLayer(
  {
    identity,
    compression,
    archive,
  }: {
    readonly identity: unknown;
    readonly compression: Compression;
    readonly archive: () => AsyncIterable<Uint8Array>;
  },
  {cache, signal}: {readonly cache: ArtifactCache; readonly signal: AbortSignal},
): Promise<Layer> {
  const compressor = `${process.versions.zlib} ${process.versions['zstd'] ?? ''}`; // others give other bytes
  const key = digestOf({layer: METHOD_VERSION, identity, compression, compressor});
  const record = await cache.record(key);
  const known = record?.files['layer'];
  if (known !== undefined && record?.notes?.['diffId'] !== undefined) {
    return toLayer(cache, {...known, compression, diffId: record.notes['diffId']});
  }
  const startMs = performance.now();
  return await cache.withWorkFolder(async folder => {
    const path = join(folder, 'layer');
    const hash = createHash('sha256');
    const hashed = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    await pipeline(archive, hashed, compress(compression), createWriteStream(path), {signal});
    const diffId = `sha256:${hash.digest('hex')}`;
    const {sha256, sizeBytes} = await cache.adopt(path);
    const seconds = Math.round(performance.now() - startMs) / 1000;
    await cache.writeRecord(key, {files: {layer: {sha256, sizeBytes}}, seconds, notes: {diffId}});
    return toLayer(cache, {sha256, sizeBytes, compression, diffId});
  });
}

function toLayer(
  cache: ArtifactCache,
  made: {sha256: string; sizeBytes: number; compression: Compression; diffId: string},
): Layer {
  const digest = parseDigest(`sha256:${made.sha256}`);
  const descriptor = {mediaType: LAYER_TYPE[made.compression], digest, size: made.sizeBytes};
  return {descriptor, diffId: parseDigest(made.diffId), path: cache.blobPath(made.sha256)};
}

function compress(compression: Compression): Transform {
  switch (compression) {
    case 'none':
      return new PassThrough();
    case 'gzip':
      return createGzip({level: GZIP_LEVEL});
    case 'zstd':
      return createZstdCompress({params: {[constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL}});
    default:
      return compression satisfies never;
  }
}
