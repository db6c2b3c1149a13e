import {randomUUID} from 'node:crypto';
import type {Platform} from '#shared/oci/platform';
import {formatReference, parseReference} from '#shared/oci/reference';
import type {Log} from '#shared/log';
import type {ImageNames, ImageStore, StoredImage} from '../image-store.ts';
import {stageLayers} from '../stage-layers.ts';
import {archiveInvalid} from './archive-invalid.ts';
import {type Archive, openArchive} from './archive.ts';
import type {ArchivedImage} from './archived-image.ts';
import {imagesOfDockerArchive, isDockerArchive} from './docker-archive.ts';
import {imagesOfLayout, isOciLayout} from './oci-layout.ts';
import {type ArchiveSource, spoolArchive} from './spool-archive.ts';

export interface ImportImagesOptions {
  readonly store: ImageStore;
  readonly platform: Platform;
  /** For archives that cannot be read where they are. */
  readonly directory: string;
  /** Replaces the names in an archive that has one image. */
  readonly names: readonly string[];
  readonly log: Log;
}

/**
 * Stores all images of an archive: an OCI layout, or what `docker save` writes.
 *
 * @throws CodedError ERR_ARCHIVE_INVALID, and what the image store throws; the signal's reason
 */
export async function importImages(
  source: ArchiveSource,
  options: ImportImagesOptions,
  signal: AbortSignal,
): Promise<readonly StoredImage[]> {
  const {directory, platform, names, log} = options;
  await using spooled = await spoolArchive(source, {directory, id: randomUUID()}, signal);
  await using archive = await openArchive(spooled.path, signal);
  const images = await imagesOf(archive, platform, signal);
  if (names.length > 0 && images.length !== 1) {
    throw archiveInvalid(`it has ${images.length} images, so a name cannot be given`);
  }
  const stored: StoredImage[] = [];
  for (const image of images) {
    const named = names.length > 0 ? {...image, names} : image;
    const result = await store(named, options, signal);
    log.info('image imported', {imageId: result.id, names: named.names});
    stored.push(result);
  }
  return stored;
}

async function imagesOf(
  archive: Archive,
  platform: Platform,
  signal: AbortSignal,
): Promise<readonly ArchivedImage[]> {
  if (isOciLayout(archive)) return await imagesOfLayout(archive, platform);
  if (isDockerArchive(archive)) return await imagesOfDockerArchive(archive, signal);
  throw archiveInvalid('it has neither oci-layout nor manifest.json');
}

async function store(
  image: ArchivedImage,
  {store: images, platform, log}: ImportImagesOptions,
  signal: AbortSignal,
): Promise<StoredImage> {
  const {configBytes, manifestBytes, manifestDigest, layers} = image;
  const [first = {}, ...more] = namesOf(image);
  await using pull = images.beginPull();
  const sources = layers.map(({open, ...layer}) => ({
    ...layer,
    open: async (offset: number) => Promise.resolve(open(offset)),
  }));
  const subject = image.names[0] ?? manifestDigest;
  await stageLayers({pull, subject, layers: sources, configBytes, platform, log}, signal);
  const created = {manifestDigest, configBytes, manifestBytes, ...first};
  let stored = await pull.commitImage(created, signal);
  for (const names of more) stored = await images.addName(stored.id, names);
  return stored;
}

function namesOf({names, nameDigest}: ArchivedImage): readonly ImageNames[] {
  return names.map(name => {
    const {registry, repository, tag} = parseReference(name);
    return {
      ...(tag !== undefined && {tag: formatReference({registry, repository, tag})}),
      ...(nameDigest !== undefined && {
        digest: formatReference({registry, repository, digest: nameDigest}),
      }),
    };
  });
}
