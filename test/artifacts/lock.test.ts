import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {BuildQueue} from '#artifacts/build-queue';
import {withFileLock} from '#artifacts/component-lock';
import {LockFile} from '#artifacts/lock-file';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const sha256 = 'a'.repeat(64);
const runc = {name: 'runc', arch: 'amd64', version: 'v1.5.2', sha256} as const;
const image = {
  reference: 'registry.k8s.io/pause:3.10.2',
  arch: 'amd64',
  compression: 'zstd',
  digest: `sha256:${sha256}`,
} as const;

test('a lock file names source, versions and digests, sorted, and is read back', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'cluster.lock.yaml');
  const lock = await LockFile.open(path, 'packages');
  const etcd = {...runc, name: 'etcd'};
  await Promise.all([lock.admitArtifact(runc), lock.admitArtifact(etcd), lock.admitImage(image)]);
  t.is(
    await readFile(path, 'utf8'),
    `apiVersion: provision.dev/v1
kind: ClusterLock
source: packages
artifacts:
  - name: etcd
    arch: amd64
    version: v1.5.2
    sha256: ${sha256}
  - name: runc
    arch: amd64
    version: v1.5.2
    sha256: ${sha256}
images:
  - reference: registry.k8s.io/pause:3.10.2
    arch: amd64
    compression: zstd
    digest: sha256:${sha256}
`,
  );
  const again = await LockFile.open(path, 'packages');
  t.deepEqual(again.artifact('runc', 'amd64'), runc);
  t.is(again.artifact('runc', 'arm64'), undefined);
});

test('what the lock names must agree; another architecture or compression is another entry', async t => {
  await using folder = await temporaryFolder();
  const lock = await LockFile.open(join(folder.path, 'lock.yaml'), 'packages');
  await lock.admitArtifact(runc);
  await lock.admitImage(image);
  const other = 'b'.repeat(64);
  await t.throwsAsync(lock.admitArtifact({...runc, sha256: other}), {
    code: 'ERR_ARTIFACT_CHECKSUM',
  });
  await t.throwsAsync(lock.admitArtifact({...runc, version: 'v2'}), {code: 'ERR_LOCK_VERSION'});
  const digest = `sha256:${other}`;
  await t.throwsAsync(lock.admitImage({...image, digest}), {code: 'ERR_ARTIFACT_CHECKSUM'});
  await t.notThrowsAsync(lock.admitArtifact({...runc, arch: 'arm64', sha256: other}));
  await t.notThrowsAsync(lock.admitImage({...image, compression: 'none', digest}));
});

test('the lock of another source is refused', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock.yaml');
  await (await LockFile.open(path, 'packages')).admitArtifact(runc);
  await t.throwsAsync(LockFile.open(path, 'release'), {code: 'ERR_LOCK_SOURCE'});
});

test('a file that is no lock is refused', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock.yaml');
  for (const text of [
    'kind: Cluster\n',
    '[]\n',
    '',
    'apiVersion: provision.dev/v1\nkind: ClusterLock\n',
  ]) {
    await writeFile(path, text);
    await t.throwsAsync(LockFile.open(path, 'packages'), {code: 'ERR_LOCK_INVALID'});
  }
  await t.throwsAsync(LockFile.open(folder.path, 'packages'), {code: 'ERR_LOCK_INVALID'});
});

test('a second holder of a file lock waits for the first', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'locks/etcd');
  const order: string[] = [];
  const waits = Promise.withResolvers<undefined>();
  const onWait = () => {
    order.push('second waits');
    waits.resolve(undefined);
  };
  const work = (text: string) => () => Promise.resolve(order.push(text));
  let second: Promise<unknown> = Promise.resolve();
  await withFileLock(path, {signal, onWait: () => t.fail()}, async () => {
    second = withFileLock(path, {signal, onWait}, work('second works'));
    await waits.promise;
    order.push('first ends');
  });
  await second;
  t.deepEqual(order, ['second waits', 'first ends', 'second works']);
});

test('the file lock of a process that no longer runs is taken over at once', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'etcd');
  const start = (await readFile('/proc/self/stat', 'utf8')).split(' ')[21] ?? '';
  // No such pid; a reused pid; a file that a crash left empty.
  for (const text of ['4194999 1 x', `${process.pid} ${start}1 x`, '']) {
    await writeFile(path, text);
    t.is(await withFileLock(path, {signal, onWait: () => t.fail()}, () => Promise.resolve(1)), 1);
    await t.throwsAsync(readFile(path), {code: 'ENOENT'});
  }
});

test('waiting for a file lock ends when aborted', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'etcd');
  const controller = new AbortController();
  const onWait = () => {
    controller.abort(new Error('stop'));
  };
  await withFileLock(path, {signal, onWait: () => t.fail()}, async () => {
    const second = withFileLock(path, {signal: controller.signal, onWait}, () => Promise.resolve());
    await t.throwsAsync(second, {message: 'stop'});
  });
});

test('a queue runs so many at once, and always the lowest rank next', async t => {
  const queue = new BuildQueue(1);
  const order: number[] = [];
  const gate = Promise.withResolvers<undefined>();
  const add = (rank: number) =>
    queue.run({rank, signal, onWait: () => undefined}, async () => {
      order.push(rank);
      await gate.promise;
    });
  const all = [add(5), add(9), add(1), add(3)];
  t.deepEqual(order, [5]);
  gate.resolve(undefined);
  await Promise.all(all);
  t.deepEqual(order, [5, 1, 3, 9]);
});

test('a failing job frees its place', async t => {
  const queue = new BuildQueue(1);
  const options = {rank: 0, signal, onWait: () => undefined};
  await t.throwsAsync(
    queue.run(options, () => Promise.reject(new Error('no'))),
    {message: 'no'},
  );
  t.is(await queue.run(options, () => Promise.resolve(1)), 1);
});

test('a program of this checkout is recorded as it is now', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'lock.yaml');
  const lock = await LockFile.open(path, 'packages');
  await lock.admitArtifact(runc);
  const own = {...runc, name: 'slipway-cri', version: '0.1.0'};
  await lock.recordArtifact(own);
  const next = {...own, version: '0.2.0', sha256: 'b'.repeat(64)};
  await lock.recordArtifact(next);
  const again = await LockFile.open(path, 'packages');
  t.deepEqual(again.artifact('slipway-cri', 'amd64'), next);
  t.deepEqual(again.artifact('runc', 'amd64'), runc);
});

test('a lock that is held for too long is named, with what to do', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'runc');
  const onWait = () => undefined;
  await withFileLock(path, {signal, onWait}, async () => {
    const second = withFileLock(path, {signal, onWait, timeoutMs: 60}, () => Promise.resolve());
    const error = await t.throwsAsync(second, {code: 'ERR_BUILD_FAILED'});
    t.true(error.message.includes(path));
    const aborted = AbortSignal.abort(new Error('interrupted'));
    const third = withFileLock(path, {signal: aborted, onWait}, () => Promise.resolve());
    await t.throwsAsync(third, {message: 'interrupted'});
  });
});
