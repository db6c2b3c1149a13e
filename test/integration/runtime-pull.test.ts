import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {type TarEntry, tarStream} from '#artifacts/images/tar';
import {openImageStore} from '#runtime/image/open-image-store';
import {openImagePuller} from '#runtime/image/pull';
import {createLog} from '#shared/log';
import {run} from '#shared/local-process';
import {digestOfBytes} from '#shared/oci/digest';
import {RegistryClient} from '#shared/oci/registry-client';
import {Secret} from '#shared/secret';
import {type AnImage, anImage, pushImage} from '#test/an-image';
import {debianRegistry, type DebianRegistryOptions} from '#test/debian-registry';
import {testPullContract} from '#test/pull-contract';
import {startRegistryDouble} from '#test/registry-double';
import {temporaryFolder} from '#test/temporary-folder';
import test, {type ExecutionContext} from 'ava';

const {signal} = new AbortController();
const log = createLog({level: 'error', write: () => undefined});
const fetched = debianRegistry();

test.before('the package is fetched', async () => {
  await fetched;
});

test.after.always(async () => {
  await (await fetched)[Symbol.asyncDispose]();
});

const layers = await Promise.all(
  ['one', 'two', 'three'].map(async name =>
    layerOf({[`${name}/file`]: `content of ${name}`, shared: name, [`${name}/big`]: big(name)}),
  ),
);

async function layerOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const entries = Object.entries(files).map(([path, text]): TarEntry => {
    const content = Buffer.from(text);
    return {kind: 'file', path, mode: 0o644, sizeBytes: content.length, content};
  });
  return buffer(tarStream(entries));
}

function big(name: string): string {
  return name.repeat(700_000);
}

async function aStore() {
  const folder = await temporaryFolder();
  const root = join(folder.path, 'images');
  const open = async () => openImageStore({root, pinned: [], log});
  return {folder: folder.path, root, open, dispose: async () => folder[Symbol.asyncDispose]()};
}

const open = async () => {
  const {open: openStore, dispose} = await aStore();
  const store = await openStore();
  const close = async () => {
    await store.close();
    await dispose();
  };
  return {store, close};
};

testPullContract(test, "Debian's docker-registry and the image store", {
  open: async () => ({...(await open()), registry: await (await fetched).start()}),
  layers,
});

testPullContract(test, 'the registry double and the image store', {
  open: async () => ({...(await open()), registry: await startRegistryDouble()}),
  layers,
});

/** A registry as it is in life, and a puller with a store of its own. */
async function aSite(options: DebianRegistryOptions = {}, insecure = true) {
  const registry = await (await fetched).start(options);
  const {folder, root, open: openStore, dispose} = await aStore();
  const {host} = new URL(registry.url);
  const registriesFile = join(folder, 'registries.conf');
  await writeFile(
    registriesFile,
    insecure ? `[[registry]]\nlocation = "${host}"\ninsecure = true\n` : '',
  );
  const store = await openStore();
  const config = {
    root: folder,
    registriesFile,
    authFile: join(folder, 'auth.json'),
    certsDirectory: join(folder, 'certs.d'),
    imagePull: {progressTimeoutSeconds: 60},
  };
  const puller = openImagePuller({store, config, log});
  return {
    host,
    url: registry.url,
    folder,
    root,
    store,
    puller,
    pull: async (auth = {}) => puller.pull(`${host}/team/app:v1`, {auth, signal}),
    async [Symbol.asyncDispose]() {
      puller.close();
      await store.close();
      await registry[Symbol.asyncDispose]();
      await dispose();
    },
  };
}

async function checkRootfs(t: ExecutionContext, site: Awaited<ReturnType<typeof aSite>>) {
  const image = site.store.list()[0];
  if (image === undefined) throw new Error('no image');
  const {mountpoint} = await site.store.prepareRootfs('c1', image);
  try {
    for (const name of ['one', 'two', 'three']) {
      t.is(await readFile(join(mountpoint, name, 'file'), 'utf8'), `content of ${name}`);
      t.is((await stat(join(mountpoint, name, 'big'))).size, big(name).length);
    }
    t.is(await readFile(join(mountpoint, 'shared'), 'utf8'), 'three');
  } finally {
    await site.store.removeRootfs('c1');
  }
}

test('what was pulled is the root file system of a container', async t => {
  await using site = await aSite();
  await pushImage(new RegistryClient({url: site.url}), anImage({layers, compression: 'zstd'}));
  await site.pull();
  await checkRootfs(t, site);
});

test('a registry that wants a password gets it from the request or the file', async t => {
  await using site = await aSite({authentication: true});
  const credentials = {username: 'user', password: new Secret('secret')};
  await pushImage(new RegistryClient({url: site.url, credentials}), anImage({layers}));
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_DENIED'});
  await t.throwsAsync(site.pull({username: 'user', password: 'x'}), {code: 'ERR_REGISTRY_DENIED'});
  t.truthy(await site.pull({username: 'user', password: 'secret'}));
  const auth = Buffer.from('user:secret').toString('base64');
  await writeFile(join(site.folder, 'auth.json'), JSON.stringify({auths: {[site.host]: {auth}}}));
  t.truthy(await site.pull());
});

test('a certificate of one’s own is trusted where certs.d or registries.conf says so', async t => {
  await using folder = await temporaryFolder();
  const [certificate, key] = ['tls.crt', 'tls.key'].map(name => join(folder.path, name));
  if (certificate === undefined || key === undefined) throw new Error('two names');
  const openssl = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=registry', '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', key, '-out', certificate]; // prettier-ignore
  t.is((await run(openssl, {signal})).exitCode, 0);
  await using site = await aSite({tls: {certificate, key}}, false);
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_UNREACHABLE', message: /certificate/});
  await mkdir(join(site.folder, 'certs.d', site.host), {recursive: true});
  await writeFile(join(site.folder, 'certs.d', site.host, 'ca.crt'), await readFile(certificate));
  await site.puller.reload();
  await t.throwsAsync(site.pull(), {code: 'ERR_MANIFEST_NOT_FOUND'});
  await using unsafe = await aSite({tls: {certificate, key}}, true);
  await t.throwsAsync(unsafe.pull(), {code: 'ERR_MANIFEST_NOT_FOUND'});
});

test('archives are imported: docker save, compressed, streamed', async t => {
  await using site = await aSite();
  const image = anImage({layers});
  const path = join(site.folder, 'image.tar');
  await writeFile(path, await dockerArchive(image));
  const [stored] = await site.puller.importArchive(path, {signal});
  t.deepEqual(stored?.tags, ['docker.io/library/x:1']);
  await checkRootfs(t, site);
  await run(['gzip', '-k', path], {signal});
  const bytes = await readFile(`${path}.gz`);
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
    return Promise.resolve();
  }
  const [streamed] = await site.puller.importArchive(pieces(), {names: ['a.io/y:2'], signal});
  t.is(streamed?.id, image.id);
  t.deepEqual(new Set(streamed?.tags), new Set(['docker.io/library/x:1', 'a.io/y:2']));
});

async function dockerArchive({id, config, layers: all}: AnImage): Promise<Buffer> {
  const hex = id.slice('sha256:'.length);
  const files: readonly (readonly [string, Buffer])[] = [
    [`${hex}.json`, config],
    ...all.map(layer => [`${digestOfBytes(layer).slice(7)}.tar`, layer] as const),
    ['manifest.json', Buffer.from(JSON.stringify([{
      Config: `${hex}.json`, RepoTags: ['x:1'],
      Layers: all.map(layer => `${digestOfBytes(layer).slice(7)}.tar`),
    }]))], // prettier-ignore
  ];
  return buffer(
    tarStream(
      files.map(([path, content]) => ({kind: 'file', path, mode: 0o644, sizeBytes: content.length, content}) as const), // prettier-ignore
    ),
  );
}

test('an aborted pull leaves nothing, and the next one gets everything', async t => {
  await using site = await aSite();
  await pushImage(new RegistryClient({url: site.url}), anImage({layers, compression: 'none'}));
  const controller = new AbortController();
  const pulling = site.puller.pull(`${site.host}/team/app:v1`, {signal: controller.signal});
  setImmediate(() => {
    controller.abort(new Error('stop'));
  });
  await t.throwsAsync(pulling, {message: 'stop'});
  t.deepEqual(site.store.list(), []);
  await site.pull();
  await checkRootfs(t, site);
  t.false((await readdir(site.root)).some(name => name.includes('import')));
});
