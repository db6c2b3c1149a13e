import {gzipSync, zstdCompressSync} from 'node:zlib';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {mediaTypes} from '#shared/oci/manifest';
import type {RegistryClient} from '#shared/oci/registry-client';
import {platformOf} from '#shared/oci/platform';

export interface AnImageOptions {
  /** Uncompressed layers, lowest first; default one. Any bytes do where nothing is unpacked. */
  readonly layers?: readonly Buffer[];
  readonly compression?: 'gzip' | 'zstd' | 'none';
  readonly layerType?: string;
  readonly configType?: string;
  readonly os?: string;
  readonly architecture?: string;
  /** Makes configurations, and so images, differ. */
  readonly label?: string;
  /** Changes the configuration before it is written. */
  readonly changeConfig?: (config: Record<string, unknown>) => unknown;
  readonly changeManifest?: (manifest: Record<string, unknown>) => unknown;
}

export interface AnImage {
  readonly manifest: string;
  readonly manifestType: string;
  readonly digest: Digest;
  readonly config: Buffer;
  /** The image's id. */
  readonly id: Digest;
  /** As they are transferred. */
  readonly blobs: readonly Buffer[];
  readonly layers: readonly Buffer[];
}

const {architecture: ARCHITECTURE} = platformOf(process.arch);
const COMPRESS = {gzip: gzipSync, zstd: zstdCompressSync, none: (bytes: Buffer) => bytes};
const TYPE = {gzip: mediaTypes.layerGzip, zstd: mediaTypes.layerZstd, none: mediaTypes.layer};

/** A valid image for this machine, in memory. */
export function anImage(options: AnImageOptions = {}): AnImage {
  const {layers = [Buffer.alloc(1024)], compression = 'gzip', label = ''} = options;
  const {os = 'linux', architecture = ARCHITECTURE, configType = mediaTypes.config} = options;
  const {changeConfig = same, changeManifest = same} = options;
  const blobs = layers.map(layer => COMPRESS[compression](layer));
  const config = json(
    changeConfig({
      os,
      architecture,
      config: {Cmd: ['/bin/true'], Labels: {label}},
      rootfs: {type: 'layers', diff_ids: layers.map(layer => digestOfBytes(layer))},
    }),
  );
  const manifestType =
    configType === mediaTypes.dockerConfig ? mediaTypes.dockerManifest : mediaTypes.manifest;
  const manifest = json(
    changeManifest({
      schemaVersion: 2,
      mediaType: manifestType,
      config: {mediaType: configType, digest: digestOfBytes(config), size: config.length},
      layers: blobs.map(blob => ({
        mediaType: options.layerType ?? TYPE[compression],
        digest: digestOfBytes(blob),
        size: blob.length,
      })),
    }),
  ).toString();
  const [digest, id] = [digestOfBytes(manifest), digestOfBytes(config)];
  return {manifest, manifestType, digest, config, id, blobs, layers};
}

/** Puts an image into a registry, under a tag. */
export async function pushImage(
  client: RegistryClient,
  image: AnImage,
  {repository = 'team/app', tag = 'v1'} = {},
): Promise<AnImage> {
  const {signal} = new AbortController();
  for (const content of [image.config, ...image.blobs]) {
    const upload = {digest: digestOfBytes(content), size: content.length, content};
    await client.putBlob(repository, upload, signal);
  }
  const document = {text: image.manifest, mediaType: image.manifestType};
  await client.putManifest({repository, name: tag}, document, signal);
  return image;
}

/** An index of images by platform, in the order given. */
export function anIndex(
  entries: readonly {readonly image: AnImage; readonly platform?: object}[],
  type: string = mediaTypes.index,
): {readonly text: string; readonly digest: Digest; readonly mediaType: string} {
  const manifests = entries.map(({image: {manifest, manifestType, digest}, platform}) => ({
    mediaType: manifestType,
    digest,
    size: manifest.length,
    ...(platform !== undefined && {platform}),
  }));
  const text = JSON.stringify({schemaVersion: 2, mediaType: type, manifests});
  return {text, digest: digestOfBytes(text), mediaType: type};
}

function same(value: unknown): unknown {
  return value;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
