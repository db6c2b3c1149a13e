import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {zstdDecompressSync} from 'node:zlib';
import {assembleArchive} from '#artifacts/images/archive';
import {type AssembledImage, assembleImage} from '#artifacts/images/assemble';
import {imageCatalogue, imagesFor} from '#artifacts/images/image-catalogue';
import {findImages, pushImages} from '#artifacts/images/push';
import {type TarEntry, tarStream} from '#artifacts/images/tar';
import type {ArtifactProgress} from '#artifacts/progress';
import {run} from '#shared/local-process';
import {digestOfBytes} from '#shared/oci/digest';
import {type ImageConfig, parseManifest} from '#shared/oci/manifest';
import {parseReference} from '#shared/oci/reference';
import {fakeSource, openFakeStore} from '#test/fake-source';
import {temporaryFolder} from '#test/temporary-folder';
import {startRegistryDouble} from '#test/registry-double';
import test from 'ava';

const {signal} = new AbortController();

test('an archive is read by tar, with modes, links and owner root', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'source');
  await writeFile(path, 'x'.repeat(1000));
  const deep = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
  const entries: readonly TarEntry[] = [
    {kind: 'file', path: 'usr/bin/tool', mode: 0o755, sizeBytes: 1000, content: path},
    {kind: 'file', path: 'etc/empty', mode: 0o600, sizeBytes: 0, content: Buffer.alloc(0)},
    {kind: 'file', path: deep, mode: 0o644, sizeBytes: 1, content: Buffer.from('y')},
    {kind: 'directory', path: 'tmp', mode: 0o1777},
    {kind: 'link', path: 'bin', target: 'usr/bin'},
  ];
  const archive = await buffer(tarStream(entries));
  t.deepEqual(await buffer(tarStream(entries.toReversed())), archive, 'order does not matter');
  const argv = ['tar', '--list', '--verbose', '--numeric-owner', '--utc', '--file=-'];
  const {exitCode, stdout, stderr} = await run(argv, {signal, input: archive, env: {LC_ALL: 'C'}});
  t.is(exitCode, 0, stderr);
  const lines = stdout
    .trim()
    .split('\n')
    .map(line => line.replace(/ +/g, ' '));
  t.deepEqual(lines, [
    'lrwxrwxrwx 0/0 0 1970-01-01 00:00 bin -> usr/bin',
    `drwxr-xr-x 0/0 0 1970-01-01 00:00 ${'d'.repeat(90)}/`,
    `-rw-r--r-- 0/0 1 1970-01-01 00:00 ${deep}`,
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 etc/',
    '-rw------- 0/0 0 1970-01-01 00:00 etc/empty',
    'drwxrwxrwt 0/0 0 1970-01-01 00:00 tmp/',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/',
    'drwxr-xr-x 0/0 0 1970-01-01 00:00 usr/bin/',
    '-rwxr-xr-x 0/0 1000 1970-01-01 00:00 usr/bin/tool',
  ]);
});

test('a file that changes its size while it is read, or a path too long, is our own mistake', async t => {
  const content = Buffer.from('abc');
  const short: TarEntry = {kind: 'file', path: 'a', mode: 0o644, sizeBytes: 2, content};
  await t.throwsAsync(buffer(tarStream([short])), {instanceOf: TypeError});
  const long: TarEntry = {kind: 'directory', path: 'x'.repeat(300), mode: 0o755};
  await t.throwsAsync(buffer(tarStream([long])), {instanceOf: TypeError});
});

test('an image holds its programs and base files, and its digests are those of its bytes', async t => {
  await using folder = await temporaryFolder();
  const store = await openFakeStore(folder.path, fakeSource());
  const image = await assembleImage(imageCatalogue.flannel, {store, compression: 'zstd', signal});
  t.is(image.digest, digestOfBytes(image.manifest));
  const manifest = parseManifest(image.manifest, '');
  if (!('layers' in manifest)) return void t.fail();
  t.is(manifest.layers.length, 3);
  for (const {digest, size} of [manifest.config, ...manifest.layers]) {
    const bytes = await blobBytes(image, digest);
    t.is(bytes.length, size);
    t.is(digestOfBytes(bytes), digest);
  }
  const config = JSON.parse(String(await blobBytes(image, manifest.config.digest))) as ImageConfig;
  const archives = manifest.layers.map(async ({digest}) =>
    zstdDecompressSync(await blobBytes(image, digest)),
  );
  t.deepEqual(config.rootfs.diff_ids, (await Promise.all(archives)).map(digestOfBytes));
  t.deepEqual(config.config.Entrypoint, ['/opt/bin/flanneld']);
  const own = (await Promise.all(archives)).at(-1) ?? Buffer.alloc(0);
  const {stdout} = await run(['tar', '--list', '--file=-'], {signal, input: own});
  t.true(stdout.includes('opt/bin/flanneld\nopt/cni/\nopt/cni/bin/\nopt/cni/bin/flannel\n'));
  t.true(stdout.includes('etc/passwd\n'));
});

test('the same programs give the same image, with each compression a different one', async t => {
  await using one = await temporaryFolder();
  await using two = await temporaryFolder();
  const digests = new Set<string>();
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const assemble = async (folder: string) => {
      const store = await openFakeStore(folder, fakeSource());
      return await assembleImage(imageCatalogue.etcd, {store, compression, signal});
    };
    const image = await assemble(one.path);
    t.is((await assemble(two.path)).digest, image.digest);
    t.is((await assemble(one.path)).digest, image.digest, 'from the cache');
    digests.add(image.digest);
  }
  t.is(digests.size, 3);
});

test('an image other than the locked one is refused', async t => {
  await using folder = await temporaryFolder();
  const store = await openFakeStore(folder.path, fakeSource());
  await assembleImage(imageCatalogue.pause, {store, compression: 'none', signal});
  const path = join(folder.path, 'cluster.lock.yaml');
  const text = await readFile(path, 'utf8');
  await writeFile(
    path,
    text.replace(/digest: sha256:[0-9a-f]{64}/, `digest: sha256:${'0'.repeat(64)}`),
  );
  const again = await openFakeStore(folder.path, fakeSource());
  const assembling = assembleImage(imageCatalogue.pause, {
    store: again,
    compression: 'none',
    signal,
  });
  await t.throwsAsync(assembling, {code: 'ERR_ARTIFACT_CHECKSUM'});
});

test('images are pushed under their own names, found there, and not sent twice', async t => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistryDouble();
  const registryUrl = registry.url;
  const {all} = imagesFor({kubernetesVersion: 'v1.36.3'});
  t.is((await findImages({registryUrl, references: all, signal})).size, 0);
  const store = await openFakeStore(folder.path, fakeSource());
  const pushed = await pushImages({registryUrl, store, signal});
  t.deepEqual(pushed.map(({reference}) => reference).sort(), [...all].sort());
  const found = await findImages({registryUrl, references: all, signal});
  t.deepEqual(found, new Map(all.map(each => [each, pushed.find(({reference}) => reference === each)?.digest ?? '']))); // prettier-ignore
  for (const [reference, digest] of found) {
    t.deepEqual(store.lock.imageDigests(reference, 'amd64'), [digest]);
  }
  t.true(registry.requests.includes('PUT /v2/kube-apiserver/manifests/v1.36.3'));
  t.true(registry.requests.includes('PUT /v2/coredns/coredns/manifests/v1.14.3'));

  const before = registry.requests.length;
  const events: ArtifactProgress[] = [];
  const onProgress = (event: ArtifactProgress) => events.push(event);
  t.deepEqual(await pushImages({registryUrl, store, signal, onProgress}), pushed);
  t.true(registry.requests.slice(before).every(request => request.startsWith('HEAD ')));
  t.true(events.every(({state}) => state === 'cached'));
});

test('only the images that are asked for are pushed, and the others are missing', async t => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistryDouble();
  const registryUrl = registry.url;
  const source = fakeSource();
  const store = await openFakeStore(folder.path, source);
  const references = ['registry.k8s.io/pause:3.10.2'];
  await pushImages({registryUrl, store, signal, references, compression: 'none'});
  t.deepEqual(source.made, ['pause']);
  const asked = ['registry.k8s.io/pause:3.10.1', ...references];
  const found = await findImages({registryUrl, references: asked, signal});
  t.deepEqual([...found.keys()], references);
});

test('an image or a Kubernetes version that the catalogue does not have is refused', async t => {
  await using folder = await temporaryFolder();
  const store = await openFakeStore(folder.path, fakeSource());
  const references = ['registry.k8s.io/coredns/coredns:v1.14.2'];
  const pushing = pushImages({registryUrl: 'http://127.0.0.1:1', store, signal, references});
  await t.throwsAsync(pushing, {code: 'ERR_ARTIFACT_VERSION_UNKNOWN'});
  t.throws(() => imagesFor({kubernetesVersion: 'v1.35.4'}), {code: 'ERR_ARTIFACT_VERSION_UNKNOWN'});
});

test('a registry that cannot be reached is a coded error', async t => {
  const asking = findImages({
    registryUrl: 'http://127.0.0.1:1',
    references: ['a.b/c:d'],
    signal,
  });
  await t.throwsAsync(asking, {code: 'ERR_REGISTRY_UNREACHABLE'});
});

test('every image is tagged with a version that is in it', t => {
  const {byRole} = imagesFor({kubernetesVersion: 'v1.36.3'});
  t.is(byRole.apiserver, 'registry.k8s.io/kube-apiserver:v1.36.3');
  t.is(byRole.etcd, 'registry.k8s.io/etcd:3.6.8-0');
  t.is(byRole.coredns, 'registry.k8s.io/coredns/coredns:v1.14.3');
  t.is(byRole.pause, 'registry.k8s.io/pause:3.10.2');
  for (const reference of Object.values(byRole)) t.truthy(parseReference(reference).tag);
});

async function blobBytes({blobs}: AssembledImage, digest: string): Promise<Buffer> {
  const content = blobs.find(blob => blob.digest === digest)?.content ?? '';
  return typeof content === 'string'
    ? await readFile(content)
    : await buffer(Readable.from([content]));
}

test('an archive of images is an OCI layout under their full names, of the size it announces', async t => {
  await using folder = await temporaryFolder();
  const store = await openFakeStore(folder.path, fakeSource());
  const {proof, flannel} = imageCatalogue;
  const references = [proof.reference, flannel.reference];
  const archive = await assembleArchive({store, references, signal});
  const bytes = await buffer(archive.open());
  t.is(bytes.length, archive.sizeBytes);
  t.deepEqual(await buffer(archive.open()), bytes, 'it can be sent to several hosts');
  const read = async (path: string) => {
    const argv = ['tar', '--extract', '--to-stdout', '--file=-', path];
    return (await run(argv, {signal, input: bytes})).stdout;
  };
  t.deepEqual(JSON.parse(await read('oci-layout')), {imageLayoutVersion: '1.0.0'});
  const index = JSON.parse(await read('index.json')) as {
    manifests: {digest: string; annotations: Record<string, string>}[];
  };
  const name = 'org.opencontainers.image.ref.name';
  t.deepEqual(index.manifests.map(({annotations}) => annotations[name]), references); // prettier-ignore
  for (const {digest} of index.manifests) {
    const manifest = await read(`blobs/${digest.replace(':', '/')}`);
    t.is<string, string>(digestOfBytes(manifest), digest);
    const {layers = []} = parseManifest(manifest, '') as {layers?: {digest: string}[]};
    t.true(layers.length > 0);
    for (const layer of layers) {
      const path = `blobs/${layer.digest.replace(':', '/')}`;
      const {stdout} = await run(['tar', '--list', '--file=-', path], {signal, input: bytes});
      t.is(stdout.trim(), path);
    }
  }
  await t.throwsAsync(assembleArchive({store, references: ['example.org/x:1'], signal}), {
    code: 'ERR_ARTIFACT_VERSION_UNKNOWN',
  });
});

test('the lock follows an image with a program of this checkout, and no other', async t => {
  await using folder = await temporaryFolder();
  const {certificates, pause} = imageCatalogue;
  const assemble = async (content: string) => {
    const source = fakeSource({
      key: ({name}) => (name === 'slipway-certs' ? `${name}-${content}` : name),
      content: file => (file === 'slipway-certs' ? content : file),
    });
    const store = await openFakeStore(folder.path, source);
    const {digest} = await assembleImage(certificates, {store, compression: 'none', signal});
    await assembleImage(pause, {store, compression: 'none', signal});
    t.deepEqual(store.lock.imageDigests(certificates.reference, 'amd64'), [digest]);
    return digest;
  };
  const first = await assemble('one');
  t.is(await assemble('one'), first);
  t.not(await assemble('two'), first);
});

test("the controller's image runs as nobody, with small Node flags, and is made for finished clusters", async t => {
  await using folder = await temporaryFolder();
  const store = await openFakeStore(folder.path, fakeSource());
  const {certificates} = imageCatalogue;
  const image = await assembleImage(certificates, {store, compression: 'none', signal});
  const manifest = parseManifest(image.manifest, '');
  if (!('config' in manifest)) return void t.fail();
  const {config} = JSON.parse(
    String(await blobBytes(image, manifest.config.digest)),
  ) as ImageConfig;
  t.is(config.User, '65532:65532');
  t.true(config.Env.includes('UV_THREADPOOL_SIZE=4'));
  t.deepEqual(config.Entrypoint?.slice(-1), ['/opt/slipway/slipway-certs.mjs']);
  const {worker, controlPlane, all} = imagesFor({kubernetesVersion: 'v1.36.3'});
  t.false([...worker, ...controlPlane].includes(certificates.reference));
  t.true(all.includes(certificates.reference));
});
