import type {Digest} from '#shared/oci/digest';
import type {Descriptor, ImageIndex, ImageManifest} from '#shared/oci/manifest';
import {chooseManifest, type Platform} from '#shared/oci/platform';
import {formatReference, type ImageReference, manifestName} from '#shared/oci/reference';
import type {FetchedManifest, RegistryClient} from '#shared/oci/registry-client';
import type {Log} from '#shared/log';
import {checkManifest, imageInvalid} from './image-manifest.ts';
import type {ImageNames, ImageStore, OpenLayer, StoredImage} from './image-store.ts';
import {stageLayers} from './stage-layers.ts';

export interface PullImageOptions {
  readonly client: RegistryClient;
  /** As the registry that is asked knows it. */
  readonly source: ImageReference;
  /** As the image was asked for, and is named here. */
  readonly wanted: ImageReference;
  readonly store: ImageStore;
  readonly platform: Platform;
  readonly stallTimeoutMs: number;
  readonly log: Log;
}

/** Index, index in it, image: no builder nests deeper. */
const INDEX_DEPTH_MAX = 2;

interface FoundImage {
  readonly manifest: ImageManifest;
  /** What the name stands for: the digest of the index, or of the manifest without one. */
  readonly nameDigest: Digest;
  readonly manifestDigest: Digest;
  readonly manifestBytes: Uint8Array;
}

/**
 * Pulls an image from one registry: manifest, configuration, then all layers at once, each of them
 * verified and unpacked as it comes. What is here already is not transferred again, but the registry
 * is always asked: a kubelet learns by a pull whether a pod's credentials may read an image.
 *
 * @throws CodedError of `shared/oci/errors.ts` and of the image store; the signal's reason
 */
export async function pullImage(
  options: PullImageOptions,
  signal: AbortSignal,
): Promise<StoredImage> {
  const {store, wanted, client, source} = options;
  const {manifest, nameDigest, manifestDigest, manifestBytes} = await findImage(options, signal);
  const names = namesOf(wanted, nameDigest);
  const known = store.resolve(manifest.config.digest);
  if (known !== undefined) return await store.addName(known.id, names);
  const {repository} = source;
  const {digest, size: sizeBytes} = manifest.config;
  const configBlob = {repository, digest, sizeBytes, stallTimeoutMs: options.stallTimeoutMs};
  const configBytes = await client.getBlob(configBlob, signal);
  await using pull = store.beginPull();
  const {platform, stallTimeoutMs, log} = options;
  const layers = manifest.layers.map(layer => ({
    digest: layer.digest,
    sizeBytes: layer.size,
    mediaType: layer.mediaType,
    open: openerOf(client, {repository, layer, stallTimeoutMs}),
  }));
  const subject = formatReference(source);
  await stageLayers({pull, subject, layers, configBytes, platform, log}, signal);
  return await pull.commitImage({manifestDigest, configBytes, manifestBytes, ...names}, signal);
}

async function findImage(options: PullImageOptions, signal: AbortSignal): Promise<FoundImage> {
  const {client, source, platform} = options;
  const {repository} = source;
  const first = await client.getManifest({repository, name: manifestName(source)}, signal);
  let found: FetchedManifest = first;
  for (let depth = 0; 'manifests' in found.manifest; depth += 1) {
    if (depth === INDEX_DEPTH_MAX)
      throw imageInvalid(formatReference(source), 'its indexes are nested too deeply');
    const index: ImageIndex = found.manifest;
    const entry = chooseManifest(index, platform);
    found = await client.getManifest({repository, name: entry.digest}, signal);
  }
  checkManifest(formatReference(source), found.manifest);
  return {
    manifest: found.manifest,
    nameDigest: first.digest,
    manifestDigest: found.digest,
    manifestBytes: found.bytes,
  };
}

/** Connections that break are resumed inside; whatever still fails is final. */
function openerOf(
  client: RegistryClient,
  {
    repository,
    layer: {digest, size: sizeBytes},
    stallTimeoutMs,
  }: {
    readonly repository: string;
    readonly layer: Descriptor;
    readonly stallTimeoutMs: number;
  },
): OpenLayer {
  let failure: Error | undefined;
  return async (offset, signal) => {
    if (failure !== undefined) throw failure;
    const blob = {repository, digest, sizeBytes, offset, stallTimeoutMs};
    const stream = client.openBlob(blob, signal);
    stream.once('error', error => {
      failure = error;
    });
    return Promise.resolve(stream);
  };
}

/** By tag: tag and digest. By digest: the digest alone (CRI: no RepoTags). */
function namesOf(wanted: ImageReference, nameDigest: Digest): ImageNames {
  const {registry, repository, tag} = wanted;
  const digest = formatReference({registry, repository, digest: nameDigest});
  if (wanted.digest !== undefined || tag === undefined) return {digest};
  return {digest, tag: formatReference({registry, repository, tag})};
}
