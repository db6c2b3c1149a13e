import {appendFile, readFile, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {ArtifactProgress} from '#artifacts/progress';
import {openArtifactStore} from '#artifacts/store';
import {CodedError} from '#shared/errors';
import {fakeSource, openFakeStore} from '#test/fake-source';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();

test('a component is made once for callers at the same time, and never again for the next store', async t => {
  await using folder = await temporaryFolder();
  const source = fakeSource();
  const firstEvents: ArtifactProgress[] = [];
  const store = await openFakeStore(folder.path, source, {events: firstEvents});
  const names = ['kubeadm', 'kubelet', 'kubectl', 'kubeadm'] as const;
  const artifacts = await Promise.all(names.map(name => store.artifact(name)));
  t.deepEqual(source.made, ['kubernetes']);
  t.deepEqual(
    firstEvents.map(({state}) => state),
    ['building', 'done'],
  );
  t.like(artifacts[0], {name: 'kubeadm', version: 'v1.36.3', arch: 'amd64', sizeBytes: 18});
  t.is(await readFile(artifacts[0]?.path ?? '', 'utf8'), 'content of kubeadm');

  const again = fakeSource();
  const second = await openFakeStore(folder.path, again);
  t.deepEqual(await second.artifact('kubelet'), artifacts[1]);
  t.deepEqual(again.made, []);
});

test('a damaged file of the cache is noticed and made again', async t => {
  await using folder = await temporaryFolder();
  const {path} = await (await openFakeStore(folder.path, fakeSource())).artifact('runc');
  await appendFile(path, 'x');
  const source = fakeSource();
  const artifact = await (await openFakeStore(folder.path, source)).artifact('runc');
  t.deepEqual(source.made, ['runc']);
  t.is(await readFile(artifact.path, 'utf8'), 'content of runc');
});

test('a file with another time and the same content is taken as it is', async t => {
  await using folder = await temporaryFolder();
  const {path} = await (await openFakeStore(folder.path, fakeSource())).artifact('runc');
  await utimes(path, 1, 1);
  const source = fakeSource();
  await (await openFakeStore(folder.path, source)).artifact('runc');
  t.deepEqual(source.made, []);
});

test('another key makes the component again', async t => {
  await using folder = await temporaryFolder();
  await (await openFakeStore(folder.path, fakeSource())).buildAll();
  const source = fakeSource({key: ({name}) => (name === 'etcd' ? 'new' : `key-${name}`)});
  await (await openFakeStore(folder.path, source)).buildAll();
  t.deepEqual(source.made, ['etcd']);
});

test('what is locked and in the cache is used without asking the source', async t => {
  await using folder = await temporaryFolder();
  const first = await (await openFakeStore(folder.path, fakeSource())).artifact('etcd');
  const source = fakeSource({
    key: () => {
      throw new Error('no compiler here');
    },
  });
  t.deepEqual(await (await openFakeStore(folder.path, source)).artifact('etcd'), first);
});

test('a program of this checkout is made anew when its sources change, whatever is locked', async t => {
  await using folder = await temporaryFolder();
  const first = await (await openFakeStore(folder.path, fakeSource())).artifact('slipway-cri');
  const source = fakeSource({key: () => 'changed', content: () => 'another text'});
  const second = await (await openFakeStore(folder.path, source)).artifact('slipway-cri');
  t.deepEqual(source.made, ['slipway-cri']);
  t.not(second.sha256, first.sha256);
  const text = await readFile(join(folder.path, 'cluster.lock.yaml'), 'utf8');
  t.true(text.includes(second.sha256) && !text.includes(first.sha256));
});

test('other bytes than the locked ones are refused', async t => {
  await using folder = await temporaryFolder();
  const {path} = await (await openFakeStore(folder.path, fakeSource())).artifact('runc');
  await writeFile(path, 'gone');
  const source = fakeSource({content: () => 'from another compiler'});
  const store = await openFakeStore(folder.path, source);
  await t.throwsAsync(store.artifact('runc'), {code: 'ERR_ARTIFACT_CHECKSUM'});
});

test('another version than the locked one is refused before anything is made', async t => {
  await using folder = await temporaryFolder();
  await (await openFakeStore(folder.path, fakeSource())).artifact('runc');
  const lock = join(folder.path, 'cluster.lock.yaml');
  await writeFile(lock, (await readFile(lock, 'utf8')).replace('v1.5.2', 'v1.5.1'));
  const source = fakeSource();
  const store = await openFakeStore(folder.path, source);
  await t.throwsAsync(store.artifact('runc'), {code: 'ERR_LOCK_VERSION'});
  t.deepEqual(source.made, []);
});

test('a failed component fails by its own error, and may be tried again', async t => {
  await using folder = await temporaryFolder();
  let isBroken = true;
  const broken = new CodedError('ERR_BUILD_FAILED', 'broken', {hint: 'mend it'});
  const source = fakeSource({
    beforeProvide: ({name}) =>
      name === 'etcd' && isBroken ? Promise.reject(broken) : Promise.resolve(),
  });
  const events: ArtifactProgress[] = [];
  const store = await openFakeStore(folder.path, source, {events});
  t.is(await t.throwsAsync(store.buildAll()), broken);
  t.true(source.made.includes('coredns'), 'the others are made all the same');
  t.true(events.some(({component, state}) => component === 'etcd' && state === 'failed'));
  isBroken = false;
  t.is((await store.artifact('etcd')).name, 'etcd');
});

test('a full disk is a coded error', async t => {
  await using folder = await temporaryFolder();
  const full = Object.assign(new Error('write'), {code: 'ENOSPC'});
  const source = fakeSource({beforeProvide: () => Promise.reject(full)});
  const store = await openFakeStore(folder.path, source);
  await t.throwsAsync(store.artifact('runc'), {code: 'ERR_ARTIFACT_DISK_FULL'});
});

test('an aborted store makes nothing', async t => {
  await using folder = await temporaryFolder();
  const source = fakeSource();
  const aborted = AbortSignal.abort(new Error('stop'));
  const store = await openFakeStore(folder.path, source, {signal: aborted});
  await t.throwsAsync(store.buildAll(), {message: 'stop'});
  t.deepEqual(source.made, []);
});

for (const source of ['release', 'bundle'] as const) {
  test(`the source ${source} is refused by name`, async t => {
    await using folder = await temporaryFolder();
    const opening = openArtifactStore({source, cacheDirectory: folder.path, signal});
    await t.throwsAsync(opening, {code: 'ERR_ARTIFACT_SOURCE_UNAVAILABLE'});
  });
}

test('a cache that cannot be written is a coded error', async t => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'cache');
  await writeFile(file, 'a file where the folder should be');
  const opening = openArtifactStore({source: 'packages', cacheDirectory: file, signal});
  await t.throwsAsync(opening, {code: 'ERR_ARTIFACT_CACHE'});
});
