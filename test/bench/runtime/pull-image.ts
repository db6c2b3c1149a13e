import {createHash} from 'node:crypto';
import {createReadStream, createWriteStream} from 'node:fs';
import {lstat, mkdir, readFile, readdir, rename, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createGzip} from 'node:zlib';
import {type TarEntry, tarStream} from '#artifacts/images/tar';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {mediaTypes} from '#shared/oci/manifest';
import {RegistryClient} from '#shared/oci/registry-client';

export const PULL_REPOSITORY = 'bench/pull';

const LAYERS = 10;
const LAYER_UNPACKED_BYTES = 79 * 1024 * 1024; // about 36 MB each once compressed
const SOURCES = ['/usr/lib', '/usr/share', '/usr/bin', '/usr/local'];
const FILE_BYTES_MAX = 64 * 1024 * 1024;

interface LayerFile {
  readonly digest: Digest;
  readonly size: number;
  readonly diffId: Digest;
}

/**
 * Ten gzip layers of this machine's own programs, libraries and documents: real sizes and real
 * compressibility. Made once per folder.
 */
export async function preparePullImage(folder: string): Promise<readonly LayerFile[]> {
  const list = join(folder, 'layers.json');
  const known = await readFile(list, 'utf8').catch(() => undefined);
  if (known !== undefined) return JSON.parse(known) as readonly LayerFile[];
  await mkdir(folder, {recursive: true});
  const files = filesOf(SOURCES);
  const layers: LayerFile[] = [];
  for (let index = 0; index < LAYERS; index += 1) {
    const entries = await nextEntries(files, index);
    if (entries.length === 0) break;
    layers.push(await writeLayer(entries, folder));
  }
  await writeFile(list, JSON.stringify(layers));
  return layers;
}

/** Pushes the layers as one image. */
export async function pushPullImage(
  {folder, registryUrl, signal}: {folder: string; registryUrl: string; signal: AbortSignal},
  layers: readonly LayerFile[],
): Promise<number> {
  const client = new RegistryClient({url: registryUrl});
  const config = JSON.stringify({
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {},
    rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
  });
  const configBlob = {digest: digestOfBytes(config), size: Buffer.byteLength(config)};
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {mediaType: mediaTypes.config, ...configBlob},
    layers: layers.map(({digest, size}) => ({mediaType: mediaTypes.layerGzip, digest, size})),
  });
  const uploads = layers.map(({digest, size}) => ({digest, size, content: pathOf(folder, digest)}));
  for (const upload of [{...configBlob, content: Buffer.from(config)}, ...uploads]) {
    await client.putBlob(PULL_REPOSITORY, upload, signal);
  }
  const target = {repository: PULL_REPOSITORY, name: 'latest'};
  await client.putManifest(target, {text: manifest, mediaType: mediaTypes.manifest}, signal);
  return layers.reduce((sum, {size}) => sum + size, 0);
}

const pathOf = (folder: string, digest: string) => join(folder, digest.replace(':', '-'));

async function* filesOf(roots: readonly string[]): AsyncGenerator<string> {
  for (const root of roots) {
    const entries = await readdir(root, {withFileTypes: true}).catch(() => []);
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(root, entry.name);
      if (entry.isDirectory()) yield* filesOf([path]);
      else if (entry.isFile()) yield path;
    }
  }
}

async function nextEntries(files: AsyncGenerator<string>, index: number): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  let bytes = 0;
  while (bytes < LAYER_UNPACKED_BYTES) {
    const next = await files.next();
    if (next.done === true) break;
    const {size, mode} = await lstat(next.value);
    if (size > FILE_BYTES_MAX || Buffer.byteLength(next.value) > 90) continue;
    const path = `layer${index}${next.value}`;
    const content = await readFile(next.value).catch(() => undefined);
    if (content?.length !== size) continue;
    entries.push({kind: 'file', path, mode: mode & 0o777, sizeBytes: size, content: next.value});
    bytes += size;
  }
  return entries;
}

async function writeLayer(entries: readonly TarEntry[], folder: string): Promise<LayerFile> {
  const diff = createHash('sha256');
  const blob = createHash('sha256');
  const path = join(folder, 'layer.partial');
  await pipeline(
    async function* () {
      for await (const chunk of tarStream(entries)) {
        diff.update(chunk);
        yield chunk;
      }
    },
    createGzip({level: 6}),
    createWriteStream(path),
  );
  for await (const chunk of createReadStream(path)) blob.update(chunk as Uint8Array);
  const digest: Digest = `sha256:${blob.digest('hex')}`;
  await rename(path, pathOf(folder, digest));
  const {size} = await stat(pathOf(folder, digest));
  return {digest, size, diffId: `sha256:${diff.digest('hex')}`};
}
