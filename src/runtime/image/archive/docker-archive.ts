import {createHash} from 'node:crypto';
import type {Readable} from 'node:stream';
import {messageOf} from '#shared/errors';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {MANIFEST_BYTES_MAX, mediaTypes} from '#shared/oci/manifest';
import {z} from 'zod';
import {CONFIG_BYTES_MAX, LAYERS_MAX, parseImageConfig} from '../image-config.ts';
import {archiveInvalid} from './archive-invalid.ts';
import type {Archive} from './archive.ts';
import type {ArchivedImage, ArchivedLayer} from './archived-image.ts';

const MANIFEST = 'manifest.json';
const IMAGES_MAX = 1_000;

const manifestSchema = z
  .array(
    z.object({
      Config: z.string(),
      RepoTags: z.array(z.string()).nullish(),
      Layers: z.array(z.string()).max(LAYERS_MAX),
    }),
  )
  .max(IMAGES_MAX);

type Entry = z.infer<typeof manifestSchema>[number];

/** Whether an archive is what `docker save` writes (Docker image specification 1.2, "Combined"). */
export function isDockerArchive(archive: Archive): boolean {
  return archive.has(MANIFEST);
}

/**
 * The images of such an archive. It has no manifests as registries have them, so they get one, and
 * no digest to be named by.
 *
 * @throws CodedError ERR_ARCHIVE_INVALID, ERR_IMAGE_INVALID; the signal's reason
 */
export async function imagesOfDockerArchive(
  archive: Archive,
  signal: AbortSignal,
): Promise<readonly ArchivedImage[]> {
  const entries = parseEntries((await archive.read(MANIFEST, MANIFEST_BYTES_MAX)).toString('utf8'));
  const images: ArchivedImage[] = [];
  for (const entry of entries) images.push(await imageOf(archive, entry, signal));
  return images;
}

async function imageOf(
  archive: Archive,
  {Config: configPath, Layers: paths, RepoTags: names}: Entry,
  signal: AbortSignal,
): Promise<ArchivedImage> {
  const configBytes = await archive.read(configPath, CONFIG_BYTES_MAX);
  const {diffIds} = parseImageConfig(configBytes);
  const layers: ArchivedLayer[] = [];
  for (const [index, path] of paths.entries()) {
    const diffId = diffIds[index];
    if (diffId === undefined) throw archiveInvalid(`${configPath} has too few diff IDs`);
    layers.push(await layerOf(archive, path, diffId, signal));
  }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {
      mediaType: mediaTypes.config,
      digest: digestOfBytes(configBytes),
      size: configBytes.length,
    },
    layers: layers.map(({digest, sizeBytes, mediaType}) => ({mediaType, digest, size: sizeBytes})),
  });
  return {
    configBytes,
    manifestBytes: Buffer.from(manifest),
    manifestDigest: digestOfBytes(manifest),
    layers,
    names: names ?? [],
  };
}

/** Layers are plain tar, whose digest is the diff ID; some tools write compressed ones instead. */
async function layerOf(
  archive: Archive,
  path: string,
  diffId: Digest,
  signal: AbortSignal,
): Promise<ArchivedLayer> {
  const open = (offset: number) => archive.openMember(path, offset);
  const sizeBytes = archive.sizeOf(path);
  const start = sizeBytes < 4 ? '' : (await firstBytes(open(0), 4)).toString('hex');
  const compressed = {'1f8b': mediaTypes.layerGzip, '28b5': mediaTypes.layerZstd}[
    start.slice(0, 4)
  ];
  if (compressed === undefined) {
    return {digest: diffId, sizeBytes, mediaType: mediaTypes.layer, open};
  }
  return {digest: await digestOf(open(0), signal), sizeBytes, mediaType: compressed, open};
}

async function firstBytes(stream: Readable, count: number): Promise<Buffer> {
  for await (const chunk of stream as AsyncIterable<Buffer>) return chunk.subarray(0, count);
  return Buffer.alloc(0);
}

async function digestOf(stream: Readable, signal: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256');
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return `sha256:${hash.digest('hex')}`;
}

function parseEntries(text: string): readonly Entry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw archiveInvalid(`${MANIFEST}: ${messageOf(error)}`, error);
  }
  const parsed = manifestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw archiveInvalid(`${MANIFEST}: ${z.prettifyError(parsed.error)}`);
}
