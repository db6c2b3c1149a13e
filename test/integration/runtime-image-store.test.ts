import {execFileSync} from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {PassThrough, Readable} from 'node:stream';
import {zstdCompressSync, gzipSync} from 'node:zlib';
import {openImageStore} from '#runtime/image/open-image-store';
import {unmountOverlay} from '#runtime/image/overlay';
import {createLog} from '#shared/log';
import {
  aLayer,
  anImageStore,
  configOf,
  descriptorsOf,
  from,
  leftovers,
  pullInto,
} from '#test/an-image-store';
import {directory, file, tarOf} from '#test/tar-builder';
import {eventually} from '#test/eventually';
import test from 'ava';

const NEVER = new AbortController().signal;
const base = aLayer(tarOf(file('base', 'the base')));
const upper = aLayer(tarOf(file('upper', 'the upper')));
const other = aLayer(tarOf(file('other', 'the other')));
const TAG = 'registry.test/sample:latest';

test('layers come as gzip in several members, zstd in several frames, or plain', async t => {
  await using bench = await anImageStore();
  const archive = tarOf(file('a', 'x'.repeat(50_000)), file('b'));
  const halves = [archive.subarray(0, 10_000), archive.subarray(10_000)] as const;
  const skippable = Buffer.concat([Buffer.from('5a2a4d1804000000', 'hex'), Buffer.from('skip')]);
  const forms = [
    () => archive,
    () => Buffer.concat(halves.map(half => gzipSync(half))),
    () => Buffer.concat([skippable, ...halves.map(half => zstdCompressSync(half)), skippable]),
  ];
  for (const compress of forms) {
    const image = await bench.pull([aLayer(archive, compress)]);
    const {mountpoint} = await bench.store.prepareRootfs('c', image);
    t.is(readFileSync(join(mountpoint, 'a'), 'utf8').length, 50_000);
    await bench.store.removeRootfs('c');
    t.true(await bench.store.remove(TAG));
  }
  t.is(bench.store.usage().usedBytes, 0);
});

test('a source that breaks off is asked for the rest', async t => {
  await using bench = await anImageStore();
  const [layer] = descriptorsOf([base]);
  const offsets: number[] = [];
  await using pull = bench.store.beginPull();
  const open = (offset: number) => {
    offsets.push(offset);
    const piece = base.blob.subarray(offset, offset + 50);
    const broken = function* () {
      yield piece;
      throw new Error('connection lost');
    };
    return Promise.resolve(Readable.from(broken()));
  };
  t.truthy(layer);
  if (layer !== undefined) await pull.stageLayer(layer, open, NEVER);
  t.deepEqual(offsets.slice(0, 2), [0, 50]);
});

test('a source that brings nothing, too little or too much fails the layer', async t => {
  await using bench = await anImageStore();
  const [layer] = descriptorsOf([base]);
  if (layer === undefined) throw new Error('no layer');
  const stage = async (open: Parameters<typeof pull.stageLayer>[1]) => {
    await pull.stageLayer(layer, open, NEVER);
  };
  await using pull = bench.store.beginPull();
  await t.throwsAsync(
    stage(() => Promise.reject(new Error('refused'))),
    {message: 'refused'},
  );
  const empty = () => Promise.resolve(Readable.from([]));
  await t.throwsAsync(stage(empty), {code: 'ERR_DIGEST_MISMATCH'});
  const more = () => Promise.resolve(Readable.from([base.blob, Buffer.from('more')]));
  await t.throwsAsync(stage(more), {code: 'ERR_DIGEST_MISMATCH'});
  await stage(from(base.blob)); // the same pull tries again
});

test('of two pulls of one layer one transfers; when it is given up, the other takes over', async t => {
  await using bench = await anImageStore();
  const [layer] = descriptorsOf([base]);
  if (layer === undefined) throw new Error('no layer');
  const first = bench.store.beginPull();
  await using second = bench.store.beginPull();
  const stalled = new PassThrough();
  const opened = Promise.withResolvers<undefined>();
  const stuck = first.stageLayer(
    layer,
    () => {
      opened.resolve(undefined);
      return Promise.resolve(stalled);
    },
    NEVER,
  );
  await opened.promise;
  const joined = second.stageLayer(layer, from(base.blob), NEVER);
  const given = t.throwsAsync(stuck);
  await first[Symbol.asyncDispose]();
  await given;
  await joined;
  t.true(stalled.destroyed);
  const created = {manifestDigest: layer.digest, configBytes: configOf([base])};
  const image = await second.commitImage(created, NEVER);
  t.deepEqual(image.layers, [layer.id]);
});

test('a pull that is aborted leaves nothing, and the retry works', async t => {
  await using bench = await anImageStore();
  const [layer] = descriptorsOf([base]);
  if (layer === undefined) throw new Error('no layer');
  const abort = new AbortController();
  {
    await using pull = bench.store.beginPull();
    const source = new PassThrough();
    const work = pull.stageLayer(layer, () => Promise.resolve(source), abort.signal);
    source.write(base.blob.subarray(0, 20));
    await eventually(() => source.readableLength === 0);
    abort.abort(new Error('the caller went away'));
    await t.throwsAsync(work, {message: 'the caller went away'});
  }
  t.deepEqual(leftovers(bench), []);
  await bench.pull([base]);
});

test('layers are shared, and go with the last image, container or pull that needs them', async t => {
  await using bench = await anImageStore();
  const one = await bench.pull([base, upper], 'registry.test/one:1');
  const two = await bench.pull([base, other], 'registry.test/two:1');
  t.is(layerCount(bench.root), 3);
  await bench.store.prepareRootfs('c', two);
  t.true(await bench.store.remove(one.id));
  t.is(layerCount(bench.root), 2);
  t.true(await bench.store.remove('registry.test/two:1'));
  t.deepEqual(bench.store.list(), []);
  t.is(layerCount(bench.root), 2); // the container runs on
  await bench.store.removeRootfs('c');
  await eventually(() => layerCount(bench.root) === 0);
  t.deepEqual(bench.store.usage(), {mountpoint: bench.root, usedBytes: 0, inodesUsed: 0});
  t.false(await bench.store.remove('registry.test/two:1'));
});

test('names move, and the last tag takes the image along', async t => {
  await using bench = await anImageStore({pinned: ['registry.test/keep*']});
  const one = await bench.pull([base], 'registry.test/keep:1');
  t.true(one.pinned);
  const two = await bench.pull([upper], 'registry.test/keep:1');
  t.deepEqual(bench.store.resolve(one.id)?.tags, []);
  const named = await bench.store.addName(two.id, {tag: 'registry.test/also:1'});
  t.deepEqual(named.tags, ['registry.test/keep:1', 'registry.test/also:1']);
  t.true(await bench.store.remove('registry.test/also:1'));
  t.is(bench.store.resolve('registry.test/also:1'), undefined);
  t.is(bench.store.resolve('registry.test/keep:1')?.id, two.id);
  t.true(await bench.store.remove('registry.test/keep:1'));
  t.deepEqual(
    bench.store.list().map(({id}) => id),
    [one.id],
  );
});

test('a restart finds everything, and sweeps what a crash left', async t => {
  await using bench = await anImageStore();
  const image = await bench.pull([base, upper]);
  await bench.store.prepareRootfs('c', image);
  const store = await bench.reopen(() => {
    mkdirSync(join(bench.root, 'staging/half/tree'), {recursive: true});
    mkdirSync(join(bench.root, 'layers/zz'));
    mkdirSync(join(bench.root, 'rootfs/half'));
    writeFileSync(join(bench.root, 'configs/dead'), '');
    appendFileSync(join(bench.root, 'journal'), '12345678 {"kind":"put","ima');
  });
  t.deepEqual(store.list(), [image]);
  t.deepEqual(store.listRootfs(), ['c']);
  t.deepEqual(Buffer.from(await store.readConfig(image.id)), configOf([base, upper]));
  t.is(leftovers(bench).length, 3); // two layers and one configuration
  t.deepEqual(readdirSync(join(bench.root, 'rootfs')), ['c']);
  const {mountpoint} = await store.mountRootfs('c');
  t.is(readFileSync(join(mountpoint, 'upper'), 'utf8'), 'the upper');
});

test('after a reboot root file systems mount again', async t => {
  await using bench = await anImageStore();
  const image = await bench.pull([base]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  writeFileSync(join(mountpoint, 'written'), 'by the container');
  const store = await bench.reopen(() => {
    unmountOverlay(mountpoint);
  });
  t.false(existsSync(join(mountpoint, 'base')));
  await store.mountRootfs('c');
  t.is(readFileSync(join(mountpoint, 'written'), 'utf8'), 'by the container');
  t.true(((await store.rootfsUsage('c'))?.usedBytes ?? 0) >= 4096);
  await store.unmountRootfs('c');
  await store.unmountRootfs('c');
  await t.throwsAsync(store.mountRootfs('unknown'), {code: 'ERR_ROOTFS_NOT_FOUND'});
  await store.removeRootfs('unknown');
});

test('a loss of power takes what was not on the disk yet, and nothing else', async t => {
  await using bench = await anImageStore();
  const kept = await bench.pull([base], 'registry.test/kept:1');
  const lost = await bench.pull([base, upper], 'registry.test/lost:1');
  const journal = join(bench.root, 'journal');
  const store = await bench.reopen(() => {
    // As if the first image's mark had reached the disk, and the machine had died before the second.
    const lines = readFileSync(journal, 'utf8').split('\n');
    const last = lines.findIndex(line => line.includes('lost:1'));
    const boot = 'f71a1ca5 {"kind":"boot","id":"another"}';
    const durable = lines.find(line => line.includes(`"lines":${last}`));
    const marks = durable === undefined ? [] : [durable];
    const before = lines.slice(0, last).filter(line => !line.includes('"boot"'));
    writeFileSync(journal, [...before, boot, lines[last], ...marks, ''].join('\n'));
  });
  const names = store.list().flatMap(({tags}) => tags);
  t.false(names.includes(lost.tags[0] ?? ''));
  t.true(names.length === 0 || names.includes(kept.tags[0] ?? ''));
});

test('127 layers make one root file system, under a long path too', async t => {
  const root = join(mkdtempSync(join(tmpdir(), 'slipway-test-images-')), 'long'.repeat(20));
  await using bench = await anImageStore({root});
  const layers = Array.from({length: 127}, (_, index) => aLayer(tarOf(file(`file-${index}`))));
  const image = await bench.pull(layers);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.is(readdirSync(mountpoint).length, 127);
  await bench.store.removeRootfs('c');
  t.teardown(() => {
    rmSync(join(root, '..'), {recursive: true, force: true});
  });
});

test('an image without layers has an empty root file system', async t => {
  await using bench = await anImageStore();
  const image = await bench.pull([]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(readdirSync(mountpoint), []);
});

test('a full disk refuses the layer, leaves nothing, and takes a smaller one', async t => {
  const root = mkdtempSync(join(tmpdir(), 'slipway-test-images-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', root]);
  t.teardown(() => {
    execFileSync('umount', ['-l', root]);
    rmSync(root, {recursive: true, force: true});
  });
  const log = createLog({level: 'error', write: () => undefined});
  const store = await openImageStore({root, pinned: [], log});
  const large = aLayer(tarOf(directory('d/'), file('d/large', 'x'.repeat(6_000_000))));
  await t.throwsAsync(pullInto(store, [large]), {code: 'ERR_DISK_FULL'});
  t.deepEqual(readdirSync(join(root, 'staging')), []);
  t.is((await pullInto(store, [base])).layers.length, 1);
  await store.close();
});

test('what cannot be removed is logged, and does not keep the rest on the disk', async t => {
  await using bench = await anImageStore();
  const stuck = join(bench.root, 'trash/b/stuck');
  const store = await bench.reopen(() => {
    for (const name of ['a', 'b/beside', 'c']) {
      mkdirSync(join(bench.root, 'trash', name), {recursive: true});
    }
    mkdirSync(stuck);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', stuck]);
  });
  t.teardown(() => {
    unmountOverlay(stuck); // where an assertion failed
  });
  await eventually(() => bench.logged.some(line => line.includes('could not remove')));
  t.deepEqual(readdirSync(join(bench.root, 'trash')), ['b']);
  t.deepEqual(readdirSync(join(bench.root, 'trash/b')), ['stuck']);
  const image = await bench.pull([base]);
  await store.prepareRootfs('c', image);
  await store.removeRootfs('c');
  execFileSync('umount', [stuck]);
  await bench.reopen();
  await eventually(() => readdirSync(join(bench.root, 'trash')).length === 0);
});

test('a store serves one daemon, on a file system that layers can lie on', async t => {
  await using bench = await anImageStore();
  await t.throwsAsync(anImageStore({root: bench.root}), {code: 'ERR_STORE_LOCKED'});
  const image = await bench.pull([base]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  const root = join(mountpoint, 'images');
  await t.throwsAsync(anImageStore({root}), {code: 'ERR_STORE_UNSUPPORTED'});
});

function layerCount(root: string): number {
  return readdirSync(join(root, 'layers')).length;
}
