import {writeFile} from 'node:fs/promises';
import {mediaTypes} from '#shared/oci/manifest';
import {RegistryClient} from '#shared/oci/registry-client';
import {waitFor} from '#shared/wait-for';
import {type AnImage, anImage, anIndex, pushImage} from '#test/an-image';
import {aPullSite as aSite, blobReads} from '#test/a-pull-site';
import {imageStoreDouble} from '#test/image-store-double';
import {testPullContract} from '#test/pull-contract';
import {type RegistryDoubleOptions, startRegistryDouble} from '#test/registry-double';
import test from 'ava';

const {signal} = new AbortController();
const three = [1, 2, 3].map(fill => Buffer.alloc(300_000, fill));
const LOGIN = {username: 'user', password: 'secret'};
const platform = {os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64'};

testPullContract(test, 'doubles', {
  open: async () => ({registry: await startRegistryDouble(), store: imageStoreDouble()}),
  layers: three,
});

for (const compression of ['gzip', 'zstd', 'none'] as const) {
  test(`an image with ${compression} layers is pulled by tag, with tag and digest as names`, async t => {
    await using site = await aSite();
    const image = await pushImage(site.client, anImage({layers: three, compression}));
    const pulled = await site.pull();
    t.is(pulled.id, image.id);
    t.deepEqual(pulled.tags, [`${site.host}/team/app:v1`]);
    t.deepEqual(pulled.digests, [`${site.host}/team/app@${image.digest}`]);
    t.is(site.store.staged.length, 3);
    t.is(site.store.openPulls(), 0);
    t.is(String(site.store.manifests.get(image.digest)), image.manifest);
  });
}

test('an image pulled by digest has no tag, also when the name had one', async t => {
  await using site = await aSite();
  const image = await pushImage(site.client, anImage());
  for (const name of [`team/app@${image.digest}`, `team/app:other@${image.digest}`]) {
    const pulled = await site.pull(name);
    t.deepEqual(pulled.tags, []);
    t.deepEqual(pulled.digests, [`${site.host}/team/app@${image.digest}`]);
  }
});

test('an image of Docker’s types is pulled', async t => {
  await using site = await aSite();
  const image = anImage({
    configType: mediaTypes.dockerConfig,
    layerType: mediaTypes.dockerLayerGzip,
  });
  await pushImage(site.client, image);
  t.is((await site.pull()).id, image.id);
});

for (const type of [mediaTypes.index, mediaTypes.dockerManifestList]) {
  test(`of an index (${type}) the image for this machine is pulled and named by the index`, async t => {
    await using site = await aSite();
    const image = await pushImage(site.client, anImage());
    const other = await pushImage(site.client, anImage({label: 'other', architecture: 's390x'}), {
      tag: 'other',
    });
    const index = anIndex(
      [
        {image: other, platform: {os: 'linux', architecture: 's390x'}},
        {image, platform},
      ],
      type,
    );
    await site.client.putManifest({repository: 'team/app', name: 'all'}, index, signal);
    const pulled = await site.pull('team/app:all');
    t.is(pulled.id, image.id);
    t.deepEqual(pulled.digests, [`${site.host}/team/app@${index.digest}`]);
    t.is(pulled.manifestDigest, image.digest);
  });
}

test('an index without an image for this machine is refused, naming what it has', async t => {
  await using site = await aSite();
  const image = await pushImage(site.client, anImage());
  const index = anIndex([{image, platform: {os: 'windows', architecture: 'amd64'}}]);
  await site.client.putManifest({repository: 'team/app', name: 'all'}, index, signal);
  const error = await t.throwsAsync(site.pull('team/app:all'));
  t.like(error, {code: 'ERR_PLATFORM_NOT_FOUND'});
  t.regex(error.message, /windows\/amd64/);
});

test('an image that is here is not transferred again, but the registry is asked', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage({layers: three}));
  await site.pull();
  const reads = blobReads(site.registry).length;
  const asked = site.registry.requests.length;
  await site.pull();
  t.is(blobReads(site.registry).length, reads);
  t.true(site.registry.requests.length > asked);
});

test('an image under a second name gets that name too, and layers that are here stay', async t => {
  await using site = await aSite();
  const first = anImage({layers: three.slice(0, 2)});
  await pushImage(site.client, first);
  await pushImage(site.client, first, {tag: 'v2'});
  await pushImage(site.client, anImage({layers: three}), {tag: 'v3'});
  await site.pull();
  t.deepEqual(
    (await site.pull('team/app:v2')).tags,
    [1, 2].map(n => `${site.host}/team/app:v${n}`),
  );
  await site.pull('team/app:v3');
  t.is(site.store.staged.length, 3);
});

test('a tag moves to the image that the registry has under it now', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage({label: 'old'}));
  const old = await site.pull();
  await pushImage(site.client, anImage({label: 'new'}));
  const fresh = await site.pull();
  t.not(fresh.id, old.id);
  t.deepEqual(site.store.resolve(old.id)?.tags, []);
});

test('an image without layers is pulled', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage({layers: []}));
  t.deepEqual((await site.pull()).layers, []);
});

// Equal pulls

test('equal pulls at the same time are one', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage({layers: three}));
  const pulled = await Promise.all([site.pull(), site.pull(), site.pull()]);
  t.is(new Set(pulled).size, 1);
  t.is(blobReads(site.registry).length, 4);
});

test('pulls with other credentials are not joined', async t => {
  await using site = await aSite({authentication: 'basic'});
  await pushImage(site.client, anImage({layers: three}));
  const wrong = site.pull('team/app:v1', {username: 'user', password: 'wrong'});
  const right = site.pull('team/app:v1', LOGIN);
  await t.throwsAsync(wrong, {code: 'ERR_REGISTRY_DENIED'});
  t.truthy(await right);
});

/** A registry whose layers do not come before they are let go. */
function gate() {
  const opened = Promise.withResolvers<undefined>();
  let closedCount = 0;
  return {
    open: opened.resolve,
    closedCount: () => closedCount,
    options: {
      serveBlob: (request, response, blob) => {
        if (blob.length < 600) return false; // a configuration
        request.socket.on('close', () => (closedCount += 1));
        response.writeHead(200, {'content-length': String(blob.length)}).flushHeaders();
        void opened.promise.then(() => response.end(blob));
        return true;
      },
    } satisfies RegistryDoubleOptions,
  };
}

const until = async (condition: () => boolean) =>
  waitFor(async () => Promise.resolve(condition() || undefined), {
    signal,
    timeoutMs: 30_000,
    intervalMs: 5,
  });

test('a caller that goes away ends its waiting, not the pull of the others', async t => {
  const {options, open} = gate();
  await using site = await aSite(options);
  const image = anImage({layers: three, compression: 'none'});
  await pushImage(site.client, image);
  const gone = new AbortController();
  const name = `${site.host}/team/app:v1`;
  const first = site.puller.pull(name, {signal: gone.signal});
  const second = site.puller.pull(name, {signal});
  await until(() => blobReads(site.registry).length >= 4);
  gone.abort(new Error('gone'));
  await t.throwsAsync(first, {message: 'gone'});
  open(undefined);
  t.is((await second).id, image.id);
});

test('when the last caller has gone the pull ends, and the next one starts anew', async t => {
  const {options, open, closedCount} = gate();
  await using site = await aSite(options);
  const image = anImage({layers: three, compression: 'none'});
  await pushImage(site.client, image);
  const gone = new AbortController();
  const name = `${site.host}/team/app:v1`;
  const waiting = [1, 2].map(async () => site.puller.pull(name, {signal: gone.signal}));
  await until(() => blobReads(site.registry).length >= 4);
  gone.abort(new Error('gone'));
  for (const each of waiting) await t.throwsAsync(each, {message: 'gone'});
  const again = site.pull();
  await until(() => closedCount() >= 3);
  open(undefined);
  t.is((await again).id, image.id);
  await until(() => site.store.openPulls() === 0);
});

// Registries and mirrors

test('a mirror is asked first, under its own name; the image keeps the name it was asked for', async t => {
  await using mirror = await startRegistryDouble();
  const {host} = new URL(mirror.url);
  const rule = `[[registry]]
prefix = "images.example.com"
location = "HOST"
insecure = true
[[registry.mirror]]
location = "${host}/cache"
insecure = true
`;
  await using site = await aSite({}, rule);
  const image = anImage();
  await pushImage(new RegistryClient({url: mirror.url}), image, {repository: 'cache/team/app'});
  const pulled = await site.puller.pull('images.example.com/team/app:v1', {signal});
  t.is(pulled.id, image.id);
  t.deepEqual(pulled.tags, ['images.example.com/team/app:v1']);
  t.is(site.registry.requests.length, 0);
});

const mirrorFaults: readonly [string, RegistryDoubleOptions, ((image: AnImage) => AnImage)?][] = [
  ['does not have the image', {intercept: request => (request.method === 'GET' ? 404 : undefined)}],
  ['denies it', {intercept: request => (request.method === 'GET' ? 403 : undefined)}],
  ['cannot serve now', {intercept: request => (request.method === 'GET' ? 503 : undefined)}],
  [
    'sends other bytes than the digest says',
    {
      serveBlob: (_request, response, blob) => {
        response.end(Buffer.alloc(blob.length, 7));
        return true;
      },
    },
  ],
];
for (const [what, options] of mirrorFaults) {
  test(`when a mirror ${what} the registry itself is asked`, async t => {
    await using mirror = await startRegistryDouble(options);
    const {host} = new URL(mirror.url);
    const rule = `[[registry]]\nprefix = "a.io"\nlocation = "HOST"\ninsecure = true
mirror = [{location = "${host}", insecure = true}]\n`;
    await using site = await aSite({}, rule);
    const image = anImage();
    await pushImage(new RegistryClient({url: mirror.url}), image);
    await pushImage(site.client, image);
    t.is((await site.puller.pull('a.io/team/app:v1', {signal})).id, image.id);
  });
}

test('credentials of the request go to the registry, never to a mirror that asks for them', async t => {
  const seen: (string | undefined)[] = [];
  await using mirror = await startRegistryDouble({
    authentication: 'basic',
    intercept: ({headers: {authorization}}) => {
      seen.push(authorization);
      return undefined;
    },
  });
  const {host} = new URL(mirror.url);
  const rule = `[[registry]]\nprefix = "a.io"\nlocation = "HOST"\ninsecure = true
mirror = [{location = "${host}", insecure = true}]\n`;
  await using site = await aSite({authentication: 'basic'}, rule);
  await pushImage(site.client, anImage());
  await site.puller.pull('a.io/team/app:v1', {auth: LOGIN, signal});
  t.true(seen.length > 0);
  t.deepEqual(new Set(seen), new Set([undefined]));
});

test('a registry that does not answer is reported with the words that a kubelet knows', async t => {
  await using site = await aSite();
  await site.registry[Symbol.asyncDispose]();
  const error = await t.throwsAsync(site.pull());
  t.like(error, {code: 'ERR_REGISTRY_UNREACHABLE'});
  t.regex(error.message, /^RegistryUnavailable: /);
});

test('a registry that has no such image is not called unavailable', async t => {
  await using site = await aSite();
  const error = await t.throwsAsync(site.pull());
  t.like(error, {code: 'ERR_MANIFEST_NOT_FOUND'});
  t.notRegex(error.message, /RegistryUnavailable/);
});

test('a registry that is not said to be insecure is not spoken to without TLS', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage());
  await writeFile(site.config.registriesFile, '');
  const asked = site.registry.requests.length;
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_UNREACHABLE'});
  t.is(site.registry.requests.length, asked);
});

test('changed rules count after a reload; broken ones are refused and the old ones stay', async t => {
  await using site = await aSite();
  await pushImage(site.client, anImage());
  await site.pull();
  const rule = `[[registry]]\nlocation = "${site.host}"\nblocked = true\n`;
  await writeFile(site.config.registriesFile, '[[registry');
  await t.throwsAsync(site.puller.reload(), {code: 'ERR_REGISTRIES_CONF_INVALID'});
  await site.pull();
  await writeFile(site.config.registriesFile, rule);
  await site.pull();
  await site.puller.reload();
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_BLOCKED'});
});
