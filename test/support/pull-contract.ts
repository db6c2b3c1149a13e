import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {openImagePuller} from '#runtime/image/pull';
import type {ImageStore} from '#runtime/image/image-store';
import {createLog} from '#shared/log';
import {mediaTypes} from '#shared/oci/manifest';
import {RegistryClient} from '#shared/oci/registry-client';
import {type AnImage, anImage, anIndex, pushImage} from '#test/an-image';
import {temporaryFolder} from '#test/temporary-folder';
import type {TestFn} from 'ava';

export interface PullSubject {
  readonly registry: {readonly url: string} & AsyncDisposable;
  readonly store: ImageStore;
  readonly close?: () => Promise<void>;
}

export interface PullContractOptions {
  readonly open: () => Promise<PullSubject>;
  /** Uncompressed layers that the store can unpack. */
  readonly layers: readonly Buffer[];
}

const {signal} = new AbortController();

/**
 * What a pull does, with any registry and any store: the doubles in the unit tests, a real registry
 * and the real store in the integration tests.
 */
export function testPullContract(
  test: TestFn,
  subject: string,
  {open, layers}: PullContractOptions,
): void {
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    test(`${subject}: an image with ${compression} layers is pulled by tag, and again by digest`, async t => {
      await using site = await aSite(open);
      const image = await pushImage(site.client, anImage({layers, compression}));
      const pulled = await site.pull('team/app:v1');
      t.is(pulled.id, image.id);
      t.deepEqual(pulled.tags, [`${site.host}/team/app:v1`]);
      t.deepEqual(pulled.digests, [`${site.host}/team/app@${image.digest}`]);
      t.is(pulled.layers.length, layers.length);
      const again = await site.pull(`team/app@${image.digest}`);
      t.deepEqual(again.tags, pulled.tags);
      t.deepEqual(
        site.store.list().map(({id}) => id),
        [image.id],
      );
    });
  }

  test(`${subject}: Docker's types are pulled, out of a manifest list`, async t => {
    await using site = await aSite(open);
    const {dockerConfig: configType, dockerLayerGzip: layerType} = mediaTypes;
    const image = await pushImage(site.client, anImage({layers, configType, layerType}));
    const platform = {os: 'linux', architecture: process.arch === 'arm64' ? 'arm64' : 'amd64'};
    const list = anIndex([{image, platform}], mediaTypes.dockerManifestList);
    await site.client.putManifest({repository: 'team/app', name: 'all'}, list, signal);
    const pulled = await site.pull('team/app:all');
    t.is(pulled.id, image.id);
    t.deepEqual(pulled.digests, [`${site.host}/team/app@${list.digest}`]);
  });

  test(`${subject}: several images at the same time share what they have in common`, async t => {
    await using site = await aSite(open);
    const images: AnImage[] = [];
    for (const [index] of layers.entries()) {
      const image = anImage({layers: layers.slice(0, index + 1), label: String(index)});
      images.push(await pushImage(site.client, image, {tag: `v${index}`}));
    }
    const names = images.flatMap((_, index) => [`team/app:v${index}`, `team/app:v${index}`]);
    const pulled = await Promise.all(names.map(async name => site.pull(name)));
    t.deepEqual(new Set(pulled.map(({id}) => id)), new Set(images.map(({id}) => id)));
    t.is(site.store.list().length, images.length);
  });

  test(`${subject}: what the registry does not have is not found, and nothing is kept`, async t => {
    await using site = await aSite(open);
    await t.throwsAsync(site.pull('team/app:v9'), {code: 'ERR_MANIFEST_NOT_FOUND'});
    t.deepEqual(site.store.list(), []);
  });

  test(`${subject}: a layer that is not what its digest says is refused`, async t => {
    await using site = await aSite(open);
    const image = anImage({
      layers,
      changeConfig: config => ({
        ...config,
        rootfs: {type: 'layers', diff_ids: layers.map(() => `sha256:${'0'.repeat(64)}`)},
      }),
    });
    await pushImage(site.client, image);
    const pulling = site.pull('team/app:v1');
    if (site.verifiesDiffIds) await t.throwsAsync(pulling, {code: 'ERR_DIGEST_MISMATCH'});
    else await pulling;
    await pushImage(site.client, anImage({layers}));
    t.deepEqual((await site.pull('team/app:v1')).tags, [`${site.host}/team/app:v1`]);
  });
}

async function aSite(open: PullContractOptions['open']) {
  const {registry, store, close} = await open();
  const folder = await temporaryFolder();
  const {host} = new URL(registry.url);
  const registriesFile = join(folder.path, 'registries.conf');
  await writeFile(registriesFile, `[[registry]]\nlocation = "${host}"\ninsecure = true\n`);
  const puller = openImagePuller({
    store,
    config: {
      root: folder.path,
      registriesFile,
      authFile: join(folder.path, 'auth.json'),
      imagePull: {progressTimeoutSeconds: 60},
    },
    log: createLog({level: 'error', write: () => undefined}),
  });
  return {
    host,
    store,
    /** The store double hashes layers as they come, and unpacks none. */
    verifiesDiffIds: close !== undefined,
    client: new RegistryClient({url: registry.url}),
    pull: async (name: string) => puller.pull(`${host}/${name}`, {signal}),
    async [Symbol.asyncDispose]() {
      puller.close();
      await close?.();
      await registry[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
