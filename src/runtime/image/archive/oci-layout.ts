import {messageOf} from '#shared/errors';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  MANIFEST_BYTES_MAX,
  parseManifest,
} from '#shared/oci/manifest';
import {chooseManifest, type Platform} from '#shared/oci/platform';
import {CONFIG_BYTES_MAX} from '../image-config.ts';
import {checkManifest} from '../image-manifest.ts';
import {archiveInvalid} from './archive-invalid.ts';
import type {Archive} from './archive.ts';
import type {ArchivedImage} from './archived-image.ts';

const INDEX = 'index.json';
const INDEX_DEPTH_MAX = 2;
/** The first is a full name; the second a full name or, from some builders, a bare tag. */
const NAME_ANNOTATIONS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'] as const;

/** Whether an archive is an OCI image layout (OCI image specification 1.1, image-layout.md). */
export function isOciLayout(archive: Archive): boolean {
  return archive.has('oci-layout') && archive.has(INDEX);
}

/**
 * The images of a layout for this platform.
 *
 * @throws CodedError ERR_ARCHIVE_INVALID, ERR_MANIFEST_INVALID, ERR_IMAGE_INVALID,
 *   ERR_PLATFORM_NOT_FOUND when none is for this platform
 */
export async function imagesOfLayout(
  archive: Archive,
  platform: Platform,
): Promise<readonly ArchivedImage[]> {
  const index = parseIndex(await archive.read(INDEX, MANIFEST_BYTES_MAX));
  const isOther = ({platform: own}: ImageIndex['manifests'][number]) =>
    own !== undefined && (own.os !== platform.os || own.architecture !== platform.architecture);
  const fitting = index.manifests.filter(entry => !isOther(entry));
  if (fitting.length === 0) chooseManifest(index, platform); // says what there is instead
  const images: ArchivedImage[] = [];
  for (const entry of fitting) images.push(await imageOf(archive, entry, platform));
  return images;
}

async function imageOf(
  archive: Archive,
  entry: Descriptor,
  platform: Platform,
): Promise<ArchivedImage> {
  let {descriptor, bytes, manifest} = await readManifest(archive, entry);
  for (let depth = 0; 'manifests' in manifest; depth += 1) {
    if (depth === INDEX_DEPTH_MAX) throw archiveInvalid('its indexes are nested too deeply');
    const chosen = chooseManifest(manifest, platform);
    ({descriptor, bytes, manifest} = await readManifest(archive, chosen));
  }
  checkManifest(descriptor.digest, manifest);
  return {
    configBytes: await readBlob(archive, manifest.config.digest, CONFIG_BYTES_MAX),
    manifestBytes: bytes,
    manifestDigest: descriptor.digest,
    nameDigest: entry.digest,
    layers: manifest.layers.map(layer => ({
      digest: layer.digest,
      mediaType: layer.mediaType,
      sizeBytes: sizeOfLayer(archive, layer),
      open: offset => archive.openMember(blobPath(layer.digest), offset),
    })),
    names: namesOf(entry),
  };
}

async function readManifest(
  archive: Archive,
  descriptor: Descriptor,
): Promise<{
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly manifest: ImageManifest | ImageIndex;
}> {
  const bytes = await readBlob(archive, descriptor.digest, MANIFEST_BYTES_MAX);
  const manifest = parseManifest(new TextDecoder().decode(bytes), descriptor.mediaType);
  return {descriptor, bytes, manifest};
}

async function readBlob(archive: Archive, digest: Digest, bytesMax: number): Promise<Uint8Array> {
  const bytes = await archive.read(blobPath(digest), bytesMax);
  const found = digestOfBytes(bytes);
  if (found === digest) return bytes;
  throw archiveInvalid(`${blobPath(digest)} has the digest ${found}`);
}

function sizeOfLayer(archive: Archive, {digest, size}: Descriptor): number {
  const found = archive.sizeOf(blobPath(digest));
  if (found === size) return size;
  throw archiveInvalid(`${blobPath(digest)} has ${found} bytes instead of ${size}`);
}

function namesOf({annotations = {}}: Descriptor): readonly string[] {
  const [full, reference] = NAME_ANNOTATIONS.map(key => annotations[key]);
  if (full !== undefined) return [full];
  return reference !== undefined && /[/:]/.test(reference) ? [reference] : [];
}

function parseIndex(bytes: Buffer): ImageIndex {
  const announced = 'application/vnd.oci.image.index.v1+json';
  try {
    const parsed = parseManifest(bytes.toString('utf8'), announced);
    if ('manifests' in parsed) return parsed;
  } catch (error) {
    throw archiveInvalid(`${INDEX}: ${messageOf(error)}`, error);
  }
  throw archiveInvalid(`${INDEX} is no index`);
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}
