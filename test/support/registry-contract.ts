import {randomBytes} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {digestOfBytes} from '#shared/oci/digest';
import {mediaTypes} from '#shared/oci/manifest';
import {RegistryClient} from '#shared/oci/registry-client';
import {temporaryFolder} from '#test/temporary-folder';
import type {TestFn} from 'ava';

const {signal} = new AbortController();

/**
 * What our client needs of a registry. Run against the double in the unit tests and against a real
 * registry in the integration tests, so that the double cannot drift away from life.
 */
export function testRegistryContract(
  test: TestFn,
  subject: string,
  start: () => Promise<{readonly url: string} & AsyncDisposable>,
): void {
  test(`${subject}: an image that was pushed is found by tag and by digest, with its bytes`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const {text, digest} = await pushSample(client);
    const byTag = {repository: 'team/app', name: 'v1'};
    const byDigest = {repository: 'team/app', name: digest};
    t.is(await client.headManifest(byTag, signal), digest);
    t.is(await client.headManifest(byDigest, signal), digest);
    const fetched = await client.getManifest(byTag, signal);
    t.is(fetched.text, text);
    t.is(fetched.digest, digest);
    t.true('layers' in fetched.manifest && fetched.manifest.layers.length === 1);
  });

  test(`${subject}: what was never pushed is absent, not an error`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    t.is(await client.headManifest({repository: 'team/app', name: 'v1'}, signal), undefined);
    t.false(await client.hasBlob('team/app', digestOfBytes('nothing'), signal));
  });

  test(`${subject}: a manifest that is absent cannot be read`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const reading = client.getManifest({repository: 'team/app', name: 'v9'}, signal);
    await t.throwsAsync(reading, {code: 'ERR_MANIFEST_NOT_FOUND'});
  });

  test(`${subject}: a blob is uploaded from a file and from bytes, and known in its repository only`, async t => {
    await using registry = await start();
    await using folder = await temporaryFolder();
    const client = new RegistryClient({url: registry.url});
    const bytes = Buffer.alloc(3_000_000, 'slipway');
    const path = join(folder.path, 'blob');
    await writeFile(path, bytes);
    const digest = digestOfBytes(bytes);
    await client.putBlob('one', {digest, size: bytes.length, content: path}, signal);
    t.true(await client.hasBlob('one', digest, signal));
    t.false(await client.hasBlob('two', digest, signal));
    await client.putBlob('two', {digest, size: bytes.length, content: bytes}, signal);
    t.true(await client.hasBlob('two', digest, signal));
  });

  test(`${subject}: a blob is read as a whole, from a place in it, and one of no bytes`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const bytes = randomBytes(3_000_000);
    for (const [content, offset] of [
      [bytes, 0],
      [bytes, 1_234_567],
      [Buffer.alloc(0), 0],
    ] as const) {
      const [digest, sizeBytes] = [digestOfBytes(content), content.length];
      await client.putBlob('one', {digest, size: sizeBytes, content}, signal);
      const request = {repository: 'one', digest, sizeBytes, stallTimeoutMs: 10_000, offset};
      const read = await buffer(client.openBlob(request, signal));
      t.true(read.equals(content.subarray(offset)));
    }
  });

  test(`${subject}: a blob that is absent cannot be read`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const digest = digestOfBytes('nothing');
    const request = {repository: 'one', digest, sizeBytes: 7, stallTimeoutMs: 10_000};
    await t.throwsAsync(client.getBlob(request, signal), {code: 'ERR_REGISTRY_REFUSED'});
  });

  test(`${subject}: an index leads to its manifests`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const {text, digest} = await pushSample(client);
    const platform = {os: 'linux', architecture: 'amd64'};
    const entry = {mediaType: mediaTypes.manifest, digest, size: text.length, platform};
    const index = {schemaVersion: 2, mediaType: mediaTypes.index, manifests: [entry]};
    const document = {text: JSON.stringify(index), mediaType: mediaTypes.index};
    await client.putManifest({repository: 'team/app', name: 'all'}, document, signal);
    const fetched = await client.getManifest({repository: 'team/app', name: 'all'}, signal);
    t.true('manifests' in fetched.manifest);
    t.is(fetched.digest, digestOfBytes(document.text));
  });

  test(`${subject}: a blob whose bytes are not its digest is refused`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const upload = {digest: digestOfBytes('good'), size: 3, content: Buffer.from('bad')};
    await t.throwsAsync(client.putBlob('one', upload, signal), {code: 'ERR_REGISTRY_REFUSED'});
  });

  test(`${subject}: a manifest whose layers are absent is refused`, async t => {
    await using registry = await start();
    const client = new RegistryClient({url: registry.url});
    const document = {text: sampleManifest().text, mediaType: mediaTypes.manifest};
    const putting = client.putManifest({repository: 'one', name: 'v1'}, document, signal);
    await t.throwsAsync(putting, {code: 'ERR_REGISTRY_REFUSED'});
  });
}

const CONFIG = Buffer.from('{"architecture":"amd64","os":"linux"}');
const LAYER = Buffer.from('a layer');

/** A manifest of one layer with its parts, pushed as `team/app:v1`. */
export async function pushSample(client: RegistryClient, repository = 'team/app') {
  for (const content of [CONFIG, LAYER]) {
    const upload = {digest: digestOfBytes(content), size: content.length, content};
    await client.putBlob(repository, upload, signal);
  }
  const sample = sampleManifest();
  const document = {text: sample.text, mediaType: mediaTypes.manifest};
  await client.putManifest({repository, name: 'v1'}, document, signal);
  return sample;
}

function sampleManifest() {
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: {mediaType: mediaTypes.config, digest: digestOfBytes(CONFIG), size: CONFIG.length},
    layers: [{mediaType: mediaTypes.layer, digest: digestOfBytes(LAYER), size: LAYER.length}],
  });
  return {text, digest: digestOfBytes(text)};
}
