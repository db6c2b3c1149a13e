import {writeFile} from 'node:fs/promises';
import {digestOfBytes} from '#shared/oci/digest';
import {aPullSite as aSite} from '#test/a-pull-site';
import {type AnImage, anImage, anIndex, pushImage} from '#test/an-image';
import {IDENTITY_TOKEN, type RegistryDoubleOptions, TOKEN} from '#test/registry-double';
import test from 'ava';

const {signal} = new AbortController();
const three = [1, 2, 3].map(fill => Buffer.alloc(300_000, fill));
const LOGIN = {username: 'user', password: 'secret'};
const platform = {os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64'};

// Credentials

const auths: readonly [string, Record<string, string>][] = [
  ['user and password', LOGIN],
  ['base 64', {auth: Buffer.from('user:secret').toString('base64')}],
  ['base 64 with NUL bytes behind', {auth: Buffer.from('user:secret\0\0').toString('base64')}],
  ['an identity token', {identityToken: IDENTITY_TOKEN}],
  ['a registry token', {registryToken: TOKEN}],
];
for (const [what, auth] of auths) {
  test(`a request's ${what} lets pull`, async t => {
    await using site = await aSite({authentication: 'bearer'});
    await pushImage(site.client, anImage());
    t.truthy(await site.pull('team/app:v1', auth));
    await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_DENIED'});
  });
}

test('a request’s credentials for another server are not sent', async t => {
  await using site = await aSite({authentication: 'basic'});
  await pushImage(site.client, anImage());
  const other = {...LOGIN, serverAddress: 'https://b.io/v1/'};
  await t.throwsAsync(site.pull('team/app:v1', other), {code: 'ERR_REGISTRY_DENIED'});
  const own = {...LOGIN, serverAddress: `http://${site.host}/v2/`};
  t.truthy(await site.pull('team/app:v1', own));
});

test('auth.json gives credentials by the longest part of the name, anew for each pull', async t => {
  await using site = await aSite({authentication: 'basic'});
  await pushImage(site.client, anImage());
  const good = {auth: Buffer.from('user:secret').toString('base64')};
  const bad = {auth: Buffer.from('user:wrong').toString('base64')};
  const write = async (auths: object) =>
    writeFile(site.config.authFile, JSON.stringify({auths, credsStore: 'x'}));
  await write({[site.host]: bad, [`${site.host}/team`]: bad, [`${site.host}/team/app`]: good});
  t.truthy(await site.pull());
  await write({[site.host]: good, [`${site.host}/team`]: bad});
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_DENIED'});
  await write({[`https://${site.host}/v2/`]: good, [`${site.host}/tea`]: bad});
  t.truthy(await site.pull());
  await write({[site.host]: good});
  await t.throwsAsync(site.pull('team/app:v1', {...LOGIN, password: 'wrong'}), {
    code: 'ERR_REGISTRY_DENIED',
  });
});

test('broken credentials are refused without being shown', async t => {
  await using site = await aSite();
  await t.throwsAsync(site.pull('team/app:v1', {auth: 'hunter2 is no base 64'}), {
    code: 'ERR_AUTH_INVALID',
    message: /^(?!.*hunter2)/s,
  });
  for (const text of ['{"hunter2', '{"auths": {"a.io": {"auth": ["hunter2"]}}}', '["hunter2"]']) {
    await writeFile(site.config.authFile, text);
    await t.throwsAsync(site.pull(), {code: 'ERR_AUTH_FILE_INVALID', message: /^(?!.*hunter2)/s});
  }
});

test('no line of the log has credentials', async t => {
  await using site = await aSite({authentication: 'bearer'});
  await pushImage(site.client, anImage());
  await site.pull('team/app:v1', LOGIN);
  await t.throwsAsync(site.pull('team/app:v1', {...LOGIN, password: 'hunter2'}));
  const basic = Buffer.from('user:secret').toString('base64');
  for (const line of site.lines) t.false(/secret|hunter2/.test(line) || line.includes(basic), line);
  t.true(site.lines.some(line => line.includes('image pulled')));
});

// What registries should not send

const badImages: readonly [string, Parameters<typeof anImage>[0], string][] = [
  ['an artifact', {configType: 'application/vnd.cncf.helm.config.v1+json'}, 'ERR_IMAGE_INVALID'],
  ['an artifact without configuration', {configType: 'application/vnd.oci.empty.v1+json'}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['foreign layers', {layerType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['layers that may not be given away', {layerType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['encrypted layers', {layerType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted'}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['an image for Windows', {os: 'windows'}, 'ERR_IMAGE_INVALID'],
  ['fewer diff IDs than layers', {changeConfig: config => ({...config, rootfs: {type: 'layers', diff_ids: []}})}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['a configuration that is no object', {changeConfig: () => []}, 'ERR_IMAGE_INVALID'],
  ['layers of absurd size', {changeManifest: manifest => ({...manifest, layers: (manifest['layers'] as object[]).map(layer => ({...layer, size: 2 ** 50}))})}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['a configuration of absurd size', {changeManifest: manifest => ({...manifest, config: {...(manifest['config'] as object), size: 2 ** 40}})}, 'ERR_IMAGE_INVALID'], // prettier-ignore
  ['a configuration of another size', {changeManifest: manifest => ({...manifest, config: {...(manifest['config'] as object), size: 3}})}, 'ERR_REGISTRY_ANSWER'], // prettier-ignore
  ['a manifest of schema 1', {changeManifest: manifest => ({...manifest, schemaVersion: 1})}, 'ERR_MANIFEST_INVALID'], // prettier-ignore
];
for (const [what, options, code] of badImages) {
  test(`${what}: refused, and nothing is kept`, async t => {
    await using site = await aSite();
    await pushImage(site.client, anImage(options));
    await t.throwsAsync(site.pull(), {code});
    t.deepEqual(site.store.list(), []);
    t.is(site.store.openPulls(), 0);
  });
}

test('a manifest larger than any registry takes is refused', async t => {
  await using site = await aSite({isBloating: true});
  await pushImage(site.client, anImage());
  await t.throwsAsync(site.pull(), {code: 'ERR_REGISTRY_ANSWER'});
});

test('indexes in indexes have an end', async t => {
  await using site = await aSite();
  const image = await pushImage(site.client, anImage());
  let inner: AnImage = image;
  for (const name of ['one', 'two', 'three']) {
    const index = anIndex([{image: inner, platform}]);
    await site.client.putManifest({repository: 'team/app', name}, index, signal);
    inner = {...image, manifest: index.text, digest: index.digest, manifestType: index.mediaType};
  }
  t.is((await site.pull('team/app:two')).id, image.id);
  await t.throwsAsync(site.pull('team/app:three'), {code: 'ERR_IMAGE_INVALID'});
});

type Serve = NonNullable<RegistryDoubleOptions['serveBlob']>;
const layerFaults: readonly [string, Serve, string][] = [
  [
    'has other bytes than its digest',
    (_request, response, blob) => {
      response.end(Buffer.alloc(blob.length, 7));
      return true;
    },
    'ERR_DIGEST_MISMATCH',
  ],
  [
    'stops coming',
    (_request, response, blob) => {
      response.writeHead(200, {'content-length': String(blob.length)});
      response.write(blob.subarray(0, 100));
      return true;
    },
    'ERR_PULL_STALLED',
  ],
  [
    'has no end',
    (_request, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(100_000)));
      };
      response.writeHead(200).on('drain', more);
      more();
      return true;
    },
    'ERR_REGISTRY_ANSWER',
  ],
  [
    'breaks off again and again',
    (_request, response) => {
      response.destroy();
      return true;
    },
    'ERR_REGISTRY_UNREACHABLE',
  ],
  [
    'is gone',
    (_request, response) => {
      response.writeHead(404).end();
      return true;
    },
    'ERR_REGISTRY_REFUSED',
  ],
];
for (const [what, serve, code] of layerFaults) {
  test(`a layer that ${what} fails the pull, and the retry works`, async t => {
    let isFaulty = true;
    const image = anImage({layers: three, compression: 'none'});
    const bad = image.blobs[1];
    const serveBlob: Serve = (request, response, blob) =>
      isFaulty && bad?.equals(blob) === true && serve(request, response, blob);
    await using site = await aSite({serveBlob}, '', code === 'ERR_PULL_STALLED' ? 3 : 60);
    await pushImage(site.client, image);
    await t.throwsAsync(site.pull(), {code});
    t.deepEqual(site.store.list(), []);
    t.is(site.store.openPulls(), 0);
    isFaulty = false;
    t.is((await site.pull()).id, image.id);
    t.is(digestOfBytes(image.config), image.id);
  });
}
