import {createReadStream} from 'node:fs';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {type ImageConfig, mediaTypes} from '#shared/oci/manifest';
import type {Upload} from '#shared/oci/registry-client';
import type {Arch} from '../artifact.ts';
import {componentOf, isOfCheckout} from '../catalogue.ts';
import type {ArtifactStore} from '../store.ts';
import type {ImageSpecification} from './image-catalogue.ts';
import {type Compression, type Layer, makeLayer} from './layer.ts';
import {type TarEntry, tarStream} from './tar.ts';

/** An image, ready to be pushed: its blobs are files of the cache or bytes at hand. */
export interface AssembledImage {
  readonly reference: string;
  readonly digest: Digest;
  /** The manifest's exact text; `digest` is its digest. */
  readonly manifest: string;
  /** Configuration and layers. */
  readonly blobs: readonly Upload[];
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CREATED = '1970-01-01T00:00:00Z'; // the same inputs make the same image on any day
const BASE_FILES: Readonly<Record<string, string>> = {
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/nsswitch.conf': 'hosts: files dns\n',
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
};
const BASE_DIRECTORIES: Readonly<Record<string, number>> = {root: 0o700, run: 0o755, tmp: 0o1777};

/**
 * Makes an OCI image from programs and layers of the catalogue; what the cache lacks is built. The
 * same programs give the same digest.
 *
 * @throws CodedError as `ArtifactStore.file`; ERR_ARTIFACT_CHECKSUM when the lock names another digest
 */
export async function assembleImage(
  specification: ImageSpecification,
  {
    store,
    compression,
    signal,
  }: {
    readonly store: ArtifactStore;
    readonly compression: Compression;
    readonly signal: AbortSignal;
  },
): Promise<AssembledImage> {
  const parts = {cache: store.cache, signal};
  const layers: Layer[] = [];
  for (const name of specification.baseLayers) {
    const {sha256, path} = await store.file(name);
    const archive = () => createReadStream(path, {highWaterMark: 1024 * 1024});
    layers.push(await makeLayer({identity: sha256, compression, archive}, parts));
  }
  const own = await ownLayer(specification, store);
  layers.push(await makeLayer({...own, compression}, parts));

  const config = formatConfig(specification, store.arch, layers);
  const configBlob = {digest: digestOfBytes(config), size: Buffer.byteLength(config)};
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {mediaType: mediaTypes.config, ...configBlob},
    layers: layers.map(({descriptor}) => descriptor),
  });
  const {reference} = specification;
  const digest = digestOfBytes(manifest);
  const found = {reference, arch: store.arch, compression, digest};
  await (isOwn(specification) ? store.lock.recordImage(found) : store.lock.admitImage(found));
  const layerBlobs = layers.map(({descriptor: {digest, size}, path}) => ({
    digest,
    size,
    content: path,
  }));
  const blobs = [{...configBlob, content: Buffer.from(config)}, ...layerBlobs];
  return {reference, digest, manifest, blobs};
}

/** Whether a program of this checkout is in it: what the image should be, the checkout says. */
function isOwn({programs}: ImageSpecification): boolean {
  return Object.values(programs).some(name => isOfCheckout(componentOf(name)));
}

/** The layer with the image's own programs and the few files that every program may look for. */
async function ownLayer({programs}: ImageSpecification, store: ArtifactStore) {
  const entries: TarEntry[] = [];
  for (const [path, mode] of Object.entries(BASE_DIRECTORIES)) {
    entries.push({kind: 'directory', path, mode});
  }
  for (const [path, text] of Object.entries(BASE_FILES)) {
    const content = Buffer.from(text);
    entries.push({kind: 'file', path, mode: 0o644, sizeBytes: content.length, content});
  }
  const digests: Record<string, string> = {};
  for (const [path, name] of Object.entries(programs)) {
    const blob = await store.file(name);
    digests[path] = blob.sha256;
    entries.push({kind: 'file', path, mode: 0o755, sizeBytes: blob.sizeBytes, content: blob.path});
  }
  const identity = {directories: BASE_DIRECTORIES, files: BASE_FILES, programs: digests};
  return {identity, archive: () => tarStream(entries)};
}

function formatConfig(
  {entrypoint, command, user, environment = {}}: ImageSpecification,
  architecture: Arch,
  layers: readonly Layer[],
): string {
  const config: ImageConfig = {
    architecture,
    os: 'linux',
    created: CREATED,
    config: {
      Env: Object.entries({PATH, ...environment}).map(([name, value]) => `${name}=${value}`),
      ...(user === undefined ? {} : {User: user}),
      ...(entrypoint === undefined ? {} : {Entrypoint: entrypoint}),
      ...(command === undefined ? {} : {Cmd: command}),
      WorkingDir: '/',
    },
    rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
  };
  return JSON.stringify(config);
}
