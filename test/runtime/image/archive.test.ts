import {createReadStream} from 'node:fs';
import {mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {gzipSync, zstdCompressSync} from 'node:zlib';
import {type TarEntry, tarStream} from '#artifacts/images/tar';
import {openImagePuller} from '#runtime/image/pull';
import {createLog} from '#shared/log';
import {digestOfBytes} from '#shared/oci/digest';
import {type AnImage, anImage, anIndex} from '#test/an-image';
import {imageStoreDouble} from '#test/image-store-double';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const three = [1, 2, 3].map(fill => Buffer.alloc(100_000, fill));
const platform = {os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64'};

async function aPuller() {
  const folder = await temporaryFolder();
  const store = imageStoreDouble();
  const puller = openImagePuller({
    store,
    config: {
      root: join(folder.path, 'root'),
      registriesFile: join(folder.path, 'none'),
      authFile: join(folder.path, 'none'),
      imagePull: {progressTimeoutSeconds: 5},
    },
    log: createLog({level: 'error', write: () => undefined}),
  });
  return {
    store,
    folder: folder.path,
    importBytes: async (bytes: Buffer, names: readonly string[] = []) => {
      const path = join(folder.path, 'archive.tar');
      await writeFile(path, bytes);
      return puller.importArchive(path, {names, signal});
    },
    importStream: async (source: AsyncIterable<Uint8Array>) =>
      puller.importArchive(source, {signal}),
    /** What imports have left in their folder. */
    left: async () => readdir(join(folder.path, 'root/import')).catch(() => []),
    [Symbol.asyncDispose]: async () => folder[Symbol.asyncDispose](),
  };
}

type Files = Readonly<Record<string, string | Buffer>>;

async function tarOf(files: Files, links: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  const entries: TarEntry[] = [
    ...Object.entries(files).map(([path, text]) => {
      const content = Buffer.from(text);
      return {kind: 'file', path, mode: 0o644, sizeBytes: content.length, content} as const;
    }),
    ...Object.entries(links).map(([path, target]) => ({kind: 'link', path, target}) as const),
  ];
  return buffer(tarStream(entries));
}

function blobsOf({config, blobs, manifest}: AnImage): Files {
  const all = [config, ...blobs, Buffer.from(manifest)];
  return Object.fromEntries(
    all.map(each => [`blobs/${digestOfBytes(each).replace(':', '/')}`, each]),
  );
}

function layoutOf(image: AnImage, annotations: Readonly<Record<string, string>> = {}): Files {
  const {manifestType: mediaType, digest, manifest} = image;
  const entry = {mediaType, digest, size: manifest.length, annotations};
  return {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify({schemaVersion: 2, manifests: [entry]}),
    ...blobsOf(image),
  };
}

function dockerArchiveOf({id, config, layers}: AnImage, tags: readonly string[] | null): Files {
  const hex = id.slice('sha256:'.length);
  const paths = layers.map((_, index) => `layer${index}/layer.tar`);
  return {
    [`${hex}.json`]: config,
    ...Object.fromEntries(layers.map((layer, index) => [`layer${index}/layer.tar`, layer])),
    'manifest.json': JSON.stringify([{Config: `${hex}.json`, RepoTags: tags, Layers: paths}]),
  };
}

for (const compression of ['gzip', 'zstd', 'none'] as const) {
  test(`an OCI layout with ${compression} layers is imported with name and digest`, async t => {
    await using site = await aPuller();
    const image = anImage({layers: three, compression});
    const name = 'registry.k8s.io/pause:3.10';
    const [stored, ...more] = await site.importBytes(
      await tarOf(layoutOf(image, {'io.containerd.image.name': name})),
    );
    t.deepEqual(more, []);
    t.is(stored?.id, image.id);
    t.deepEqual(stored?.tags, [name]);
    t.deepEqual(stored?.digests, [`registry.k8s.io/pause@${image.digest}`]);
    t.is(site.store.openPulls(), 0);
  });
}

test('a layout’s name may be the reference annotation, but not a bare tag', async t => {
  await using site = await aPuller();
  const key = 'org.opencontainers.image.ref.name';
  const named = await site.importBytes(await tarOf(layoutOf(anImage(), {[key]: 'busybox:1'})));
  t.deepEqual(named[0]?.tags, ['docker.io/library/busybox:1']);
  const image = anImage({label: 'other'});
  const bare = await site.importBytes(await tarOf(layoutOf(image, {[key]: 'v1'})));
  t.deepEqual([bare[0]?.id, bare[0]?.tags], [image.id, []]);
});

test('a given name replaces those of the archive', async t => {
  await using site = await aPuller();
  const bytes = await tarOf(dockerArchiveOf(anImage(), ['a.io/x:1']));
  const [stored] = await site.importBytes(bytes, ['b.io/y:2', 'b.io/y:3']);
  t.deepEqual(stored?.tags, ['b.io/y:2', 'b.io/y:3']);
});

test('of an index in a layout the image for this machine is imported; others need not be there', async t => {
  await using site = await aPuller();
  const image = anImage();
  const index = anIndex([
    {image: anImage({label: 'absent'}), platform: {os: 'linux', architecture: 's390x'}},
    {image, platform},
  ]);
  const entry = {mediaType: index.mediaType, digest: index.digest, size: index.text.length};
  const files = {
    ...layoutOf(image),
    [`blobs/${index.digest.replace(':', '/')}`]: index.text,
    'index.json': JSON.stringify({schemaVersion: 2, manifests: [entry]}),
  };
  t.deepEqual(
    (await site.importBytes(await tarOf(files))).map(({id}) => id),
    [image.id],
  );
});

test('a layout for other machines only is refused', async t => {
  await using site = await aPuller();
  const image = anImage();
  const index = anIndex([{image, platform: {os: 'linux', architecture: 's390x'}}]);
  const files = {...layoutOf(image), 'index.json': index.text};
  await t.throwsAsync(site.importBytes(await tarOf(files)), {code: 'ERR_PLATFORM_NOT_FOUND'});
});

test('what docker save writes is imported with its tags, and without a digest', async t => {
  await using site = await aPuller();
  const image = anImage({layers: three});
  const tags = ['busybox:1', 'a.io/x:2'];
  const [stored] = await site.importBytes(await tarOf(dockerArchiveOf(image, tags)));
  t.is(stored?.id, image.id);
  t.deepEqual(stored?.tags, ['docker.io/library/busybox:1', 'a.io/x:2']);
  t.deepEqual(stored?.digests, []);
});

test('several images, untagged ones, links for equal layers, compressed layers', async t => {
  await using site = await aPuller();
  const first = anImage({layers: three.slice(0, 1), label: 'first'});
  const second = anImage({layers: three.slice(0, 1), label: 'second'});
  const third = anImage({layers: three.slice(1, 2), label: 'third'});
  const entry = ({id}: AnImage, RepoTags: readonly string[] | null, layer: string) => ({
    Config: `${id.slice(7)}.json`,
    RepoTags,
    Layers: [layer],
  });
  const files = {
    ...Object.fromEntries(
      [first, second, third].map(({id, config}) => [`${id.slice(7)}.json`, config]),
    ),
    'one/layer.tar': three[0] ?? '',
    'three/layer.tar': gzipSync(three[1] ?? ''),
    'manifest.json': JSON.stringify([
      entry(first, ['a.io/x:1'], 'one/layer.tar'),
      entry(second, null, 'two/layer.tar'),
      entry(third, [], 'three/layer.tar'),
    ]),
  };
  const bytes = await tarOf(files, {'two/layer.tar': '../one/layer.tar'});
  const stored = await site.importBytes(bytes);
  t.deepEqual(
    stored.map(({id}) => id),
    [first.id, second.id, third.id],
  );
  await t.throwsAsync(site.importBytes(bytes, ['a.io/y:1']), {code: 'ERR_ARCHIVE_INVALID'});
});

for (const [how, compress] of [
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const) {
  test(`an archive that is compressed with ${how} is imported, and leaves no file behind`, async t => {
    await using site = await aPuller();
    const image = anImage({layers: three});
    const bytes = compress(await tarOf(dockerArchiveOf(image, ['a.io/x:1'])));
    t.is((await site.importBytes(bytes))[0]?.id, image.id);
    t.deepEqual(await site.left(), []);
  });
}

test('a stream in pieces of any size is imported, and leaves no file behind', async t => {
  await using site = await aPuller();
  const image = anImage({layers: three});
  const bytes = await tarOf(layoutOf(image));
  const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 2), bytes.subarray(2)];
  t.is((await site.importStream(Readable.from(pieces)))[0]?.id, image.id);
  const path = join(site.folder, 'again.tar');
  await writeFile(path, bytes);
  t.is((await site.importStream(createReadStream(path)))[0]?.id, image.id);
  t.deepEqual(await site.left(), []);
});

test('a stream that fails fails the import, and leaves no file behind', async t => {
  await using site = await aPuller();
  async function* broken() {
    yield await tarOf({x: 'y'});
    throw new Error('broken off');
  }
  await t.throwsAsync(site.importStream(broken()), {message: 'broken off'});
  t.deepEqual(await site.left(), []);
  t.deepEqual(site.store.list(), []);
});

const image = anImage({layers: three});
const layout = layoutOf(image);
const docker = dockerArchiveOf(image, ['a.io/x:1']);
const layerPath = `blobs/${digestOfBytes(image.blobs[0] ?? '').replace(':', '/')}`;
const configPath = `blobs/${image.id.replace(':', '/')}`;
const without = (files: Files, path: string): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => name !== path));

const broken: readonly [string, () => Promise<Buffer>, string][] = [
  ['nothing', async () => Promise.resolve(Buffer.alloc(0)), 'ERR_ARCHIVE_INVALID'],
  ['no tar archive', async () => Promise.resolve(Buffer.alloc(5000, 'x')), 'ERR_ARCHIVE_INVALID'],
  ['another archive', async () => tarOf({'etc/passwd': 'root'}), 'ERR_ARCHIVE_INVALID'],
  ['half an archive', async () => (await tarOf(layout)).subarray(0, 3_000), 'ERR_ARCHIVE_INVALID'],
  ['half a gzip file', async () => gzipSync(await tarOf(layout)).subarray(0, 300), 'ERR_ARCHIVE_INVALID'], // prettier-ignore
  [
    'a layout without a layer',
    async () => tarOf(without(layout, layerPath)),
    'ERR_ARCHIVE_INVALID',
  ],
  ['a layout with a short layer', async () => tarOf({...layout, [layerPath]: 'x'}), 'ERR_ARCHIVE_INVALID'], // prettier-ignore
  ['a layout with another configuration', async () => tarOf({...layout, [configPath]: '{}'}), 'ERR_ARCHIVE_INVALID'], // prettier-ignore
  [
    'an index that is none',
    async () => tarOf({...layout, 'index.json': '[]'}),
    'ERR_ARCHIVE_INVALID',
  ],
  ['a manifest of docker save that is none', async () => tarOf({'manifest.json': '{}'}), 'ERR_ARCHIVE_INVALID'], // prettier-ignore
  ['docker save without a layer', async () => tarOf(without(docker, 'layer1/layer.tar')), 'ERR_ARCHIVE_INVALID'], // prettier-ignore
  ['docker save with another layer', async () => tarOf({...docker, 'layer1/layer.tar': 'x'}), 'ERR_DIGEST_MISMATCH'], // prettier-ignore
  ['a name that is none', async () => tarOf(dockerArchiveOf(image, ['X Y'])), 'ERR_IMAGE_REFERENCE_INVALID'], // prettier-ignore
  ['an artifact', async () => tarOf(layoutOf(anImage({configType: 'application/x'}))), 'ERR_IMAGE_INVALID'], // prettier-ignore
];
for (const [what, bytes, code] of broken) {
  test(`${what}: refused as an archive, and nothing is kept`, async t => {
    await using site = await aPuller();
    await t.throwsAsync(site.importBytes(await bytes()), {code});
    t.deepEqual(site.store.list(), []);
    t.is(site.store.openPulls(), 0);
    t.deepEqual(await site.left(), []);
  });
}

test('what a killed import has left is removed by the next one', async t => {
  await using site = await aPuller();
  await mkdir(join(site.folder, 'root/import'), {recursive: true});
  await writeFile(join(site.folder, 'root/import/old.tar'), 'x');
  await site.importBytes(gzipSync(await tarOf(docker)));
  t.deepEqual(await site.left(), []);
});

test('an archive that is not there is refused', async t => {
  await using site = await aPuller();
  const {folder} = site;
  const puller = openImagePuller({
    store: site.store,
    config: {
      root: folder,
      registriesFile: '',
      authFile: '',
      imagePull: {progressTimeoutSeconds: 5},
    },
    log: createLog({level: 'error', write: () => undefined}),
  });
  const importing = puller.importArchive(join(folder, 'none.tar'), {signal});
  await t.throwsAsync(importing, {code: 'ERR_ARCHIVE_INVALID'});
});

test('links in a circle and out of the archive lead nowhere', async t => {
  await using site = await aPuller();
  const files = without(docker, 'layer1/layer.tar');
  for (const links of [
    {'layer1/layer.tar': '../loop', loop: 'layer1/layer.tar'},
    {'layer1/layer.tar': '/etc/passwd'},
    {'layer1/layer.tar': '../../../../etc/passwd'},
  ]) {
    const bytes = await tarOf(files, links);
    await t.throwsAsync(site.importBytes(bytes), {code: 'ERR_ARCHIVE_INVALID'});
  }
});
