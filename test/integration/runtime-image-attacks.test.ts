import {existsSync, mkdirSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {lgetxattr} from '#runtime/sys/files';
import {digestOfBytes} from '#shared/oci/digest';
import {aLayer, anImageStore, layerTrees, leftovers} from '#test/an-image-store';
import {directory, entryOf, file, symlink, tarOf, type TarEntryOptions} from '#test/tar-builder';
import test from 'ava';

const outside = join(tmpdir(), 'slipway-test-outside');
const up = '../'.repeat(12);
const attacks: Readonly<Record<string, readonly TarEntryOptions[]>> = {
  'a path that climbs out': [file(`${up}${outside.slice(1)}`)],
  'a path that climbs out from inside': [file(`a/../..${outside}`)],
  'a whiteout of the parent': [directory('a/'), file('a/.wh...')],
  'a whiteout of the directory itself': [directory('a/'), file('a/.wh..')],
  'a whiteout without a name': [file('.wh.')],
  'a hard link out of the root': [{path: 'a', type: '1', link: `${up}etc/passwd`}],
  'a hard link to a file of the host': [{path: 'a', type: '1', link: '/etc/passwd'}],
  'a hard link to the root': [{path: 'a', type: '1', link: '/'}],
  'a hard link to a directory': [directory('d/'), {path: 'a', type: '1', link: 'd'}],
  'a hard link to itself': [
    {path: 'a', type: '1', link: 'b'},
    {path: 'b', type: '1', link: 'a'},
  ],
  'links in a circle': [symlink('a', 'b'), symlink('b', 'a'), file('a/file')],
  'a path through a file': [file('a'), file('a/b')],
  'an empty link': [symlink('a', '')],
  'a name that is too long': [{...file('x'), pax: {path: 'n'.repeat(256)}}],
  'a path that is too long': [{...file('x'), pax: {path: 'ab/'.repeat(2_000)}}],
  'a path that is too deep': [{...file('x'), pax: {path: 'a/'.repeat(300)}}],
  'a path with a NUL byte': [{...file('x'), pax: {path: 'a\0b'}}],
  'an owner that no system has': [{...file('x'), pax: {uid: '99999999999'}}],
  'an entry of an unknown type': [{...file('x'), type: 'Z'}],
  'an extended header without end': [{...file('x', 'y'), type: 'x', sizeBytes: 2 ** 30}],
};

for (const [what, entries] of Object.entries(attacks)) {
  test(`a layer with ${what} is refused, and leaves nothing`, async t => {
    await using bench = await anImageStore();
    await t.throwsAsync(bench.pull([aLayer(tarOf(...entries))]), {code: 'ERR_LAYER_INVALID'});
    t.false(existsSync(outside));
    t.deepEqual(leftovers(bench), []);
    // The next layer has a worker of its own again.
    t.is((await bench.pull([aLayer(tarOf(file('fine')))])).layers.length, 1);
  });
}

test('links that lead out of the root lead to places in the root', async t => {
  await using bench = await anImageStore();
  mkdirSync(outside);
  t.teardown(() => {
    rmSync(outside, {recursive: true});
  });
  const archive = tarOf(
    symlink('absolute', outside),
    file('absolute/a'),
    symlink('relative', `${up}${outside.slice(1)}`),
    file('relative/b'),
    symlink('upwards', '../../..'),
    file('upwards/c'),
    {path: 'hard', type: '1', link: 'absolute/a'},
  );
  const image = await bench.pull([aLayer(archive)]);
  t.deepEqual(readdirSync(outside), []);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(readdirSync(join(mountpoint, outside)).toSorted(), ['a', 'b']);
  t.true(existsSync(join(mountpoint, 'c')));
  t.true(existsSync(join(mountpoint, 'hard')));
});

test('an attribute by which overlayfs could be misled is left out', async t => {
  await using bench = await anImageStore();
  const pax = {
    'SCHILY.xattr.trusted.overlay.redirect': '/etc',
    'SCHILY.xattr.trusted.overlay.opaque': 'y',
    'SCHILY.xattr.user.other': 'kept',
  };
  await bench.pull([aLayer(tarOf({...directory('a/'), pax}))]);
  const path = join(layerTrees(bench)[0] ?? '', 'a');
  t.is(lgetxattr(path, 'trusted.overlay.redirect'), undefined);
  t.is(lgetxattr(path, 'trusted.overlay.opaque'), undefined);
  t.is(lgetxattr(path, 'user.other')?.toString(), 'kept');
});

test('damaged bytes are refused by their digest, whatever else is wrong with them', async t => {
  await using bench = await anImageStore();
  const layer = aLayer(tarOf(file('a', 'x'.repeat(100_000))));
  const truncated = layer.blob.subarray(0, -20);
  const wrongDiffId = {...layer, diffId: digestOfBytes('other')};
  const notGzip = {
    blob: Buffer.concat([gzipSync('x').subarray(0, 12), Buffer.alloc(99)]),
    diffId: layer.diffId,
  };
  const cut = entryOf(file('a', 'x'.repeat(2_000))).subarray(0, 1_000);
  await t.throwsAsync(bench.pull([wrongDiffId]), {code: 'ERR_DIGEST_MISMATCH'});
  await t.throwsAsync(bench.pull([{blob: truncated, diffId: layer.diffId}]), {
    code: 'ERR_LAYER_INVALID',
  });
  await t.throwsAsync(bench.pull([notGzip]), {code: 'ERR_LAYER_INVALID'});
  await t.throwsAsync(bench.pull([aLayer(cut)]), {code: 'ERR_LAYER_INVALID'});
  await t.throwsAsync(bench.pull([aLayer(Buffer.from('no archive at all'.repeat(99)))]), {
    code: 'ERR_LAYER_INVALID',
  });
  t.deepEqual(leftovers(bench), []);
});
