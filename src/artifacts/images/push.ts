import {mapLimited} from '#shared/map-limited';
import {mediaTypes} from '#shared/oci/manifest';
import {manifestName, parseReference} from '#shared/oci/reference';
import {type Credentials} from '#shared/oci/registry-login';
import {RegistryClient} from '#shared/oci/registry-client';
import type {ImageReferenceAndDigest} from '../artifact.ts';
import {type OnProgress, reportWork} from '../progress.ts';
import type {ArtifactStore} from '../store.ts';
import {type AssembledImage, assembleImage} from './assemble.ts';
import {selectImages} from './image-catalogue.ts';
import type {Compression} from './layer.ts';

export interface PushOptions {
  /** Origin of the registry, e.g. `http://10.89.0.2:5000`. */
  readonly registryUrl: string;
  readonly store: ArtifactStore;
  /** Default: every image of the catalogue. */
  readonly references?: readonly string[];
  /** Default `zstd`. */
  readonly compression?: Compression;
  readonly credentials?: Credentials;
  readonly signal: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** Images at the same time: hashing is one thread, compressing and the registry are others. */
const PUSHES_AT_ONCE_MAX = 3;
const QUERIES_AT_ONCE_MAX = 8;

/**
 * Assembles images and puts them into a registry under their own repository and tag (the registry
 * in the reference is left out, as a mirror expects). What the registry has already is not sent.
 *
 * @throws CodedError of `errors.ts` and of `shared/oci/errors.ts`
 */
export async function pushImages(
  options: PushOptions,
): Promise<readonly ImageReferenceAndDigest[]> {
  const {registryUrl, store, references, compression = 'zstd', credentials, signal} = options;
  const {onProgress = () => undefined} = options;
  const client = new RegistryClient({url: registryUrl, ...(credentials && {credentials})});
  const specifications = selectImages(references);
  return await mapLimited(specifications, PUSHES_AT_ONCE_MAX, async specification => {
    const image = await assembleImage(specification, {store, compression, signal});
    const {reference, digest} = image;
    const {repository, ...named} = parseReference(reference);
    const name = manifestName({repository, ...named});
    if ((await client.headManifest({repository, name}, signal)) === digest) {
      onProgress({component: reference, state: 'cached', seconds: 0});
      return {reference, digest};
    }
    const detail = `pushing to ${registryUrl}`;
    await reportWork({component: reference, onProgress, detail}, () =>
      push(client, {repository, name}, image, signal),
    );
    return {reference, digest};
  });
}

/**
 * The digests of what a registry has under these references; what it lacks is absent.
 *
 * @throws CodedError of `shared/oci/errors.ts`
 */
export async function findImages({
  registryUrl,
  references,
  credentials,
  signal,
}: {
  readonly registryUrl: string;
  readonly references: readonly string[];
  readonly credentials?: Credentials;
  readonly signal: AbortSignal;
}): Promise<ReadonlyMap<string, string>> {
  const client = new RegistryClient({url: registryUrl, ...(credentials && {credentials})});
  const found = await mapLimited(references, QUERIES_AT_ONCE_MAX, async text => {
    const reference = parseReference(text);
    const name = manifestName(reference);
    return await client.headManifest({repository: reference.repository, name}, signal);
  });
  return new Map(
    references.flatMap((reference, index) => {
      const digest = found[index];
      return digest === undefined ? [] : [[reference, digest] as const];
    }),
  );
}

async function push(
  client: RegistryClient,
  {repository, name}: {readonly repository: string; readonly name: string},
  {manifest, blobs}: AssembledImage,
  signal: AbortSignal,
): Promise<void> {
  for (const blob of blobs) {
    if (await client.hasBlob(repository, blob.digest, signal)) continue;
    await client.putBlob(repository, blob, signal);
  }
  const document = {text: manifest, mediaType: mediaTypes.manifest};
  await client.putManifest({repository, name}, document, signal);
}
