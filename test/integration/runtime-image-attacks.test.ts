import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {TarReader} from '#runtime/image/tar-reader';
import {UnpackTree} from '#runtime/image/unpack-tree';
import {lgetxattr, openDirectory} from '#runtime/sys/files';
import {digestOfBytes} from '#shared/oci/digest';
import {aLayer, anImageStore, layerTrees, leftovers} from '#test/an-image-store';
import {eventually} from '#test/eventually';
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

/** Layers of one image, the lowest first; what lies outside is in a folder that `to` leads to. */
const layeredAttacks: Readonly<
  Record<string, (to: string) => readonly (readonly TarEntryOptions[])[]>
> = {
  'a file behind a lower link, through a link out of the root': to => [
    [directory('a/'), directory('a/inner/'), symlink('lib', 'a/inner')],
    [symlink('a', to), file('lib/made')],
  ],
  'a file behind a lower link, where a new directory would be made': to => [
    [directory('a/'), {...directory('a/made/'), mode: 0o777, uid: 7}, symlink('lib', 'a/made')],
    [symlink('a', to), file('lib/file')],
  ],
  'a whiteout behind a lower link, through a link out of the root': to => [
    [directory('a/'), symlink('lib', 'a')],
    [symlink('a', to), file('lib/.wh.kept')],
  ],
  'a whiteout in a directory that is a link by another path': to => [
    [directory('usr/'), directory('usr/lib/'), symlink('lib', 'usr/lib')],
    [directory('usr/'), directory('usr/lib/'), symlink('usr/lib/x', to), file('lib/x/.wh.kept')],
  ],
  'a hard link behind a lower link, through a link out of the root': to => [
    [file('tool'), directory('a/'), symlink('lib', 'a')],
    [symlink('a', to), {path: 'lib/made', type: '1', link: 'tool'}],
  ],
  'a hard link in a directory that is a link by another path': to => [
    [file('tool'), directory('usr/'), directory('usr/lib/'), symlink('lib', 'usr/lib')],
    [
      directory('usr/'),
      directory('usr/lib/'),
      symlink('usr/lib/x', to),
      {path: 'lib/x/made', type: '1', link: 'tool'},
    ],
  ],
  'a hard link to a file that is copied up through a link out of the root': to => [
    [directory('a/'), directory('a/inner/'), file('a/inner/tool'), symlink('lib', 'a/inner')],
    [symlink('a', to), {path: 'made', type: '1', link: 'lib/tool'}, file('lib/other')],
  ],
  'a directory that two lower links lead to, which is a link by another path': to => [
    [
      directory('usr/'),
      directory('usr/lib/'),
      directory('usr/lib/y/'),
      symlink('usr/lib/x', 'y'),
      symlink('lib', 'usr/lib'),
    ],
    [directory('usr/'), directory('usr/lib/'), symlink('usr/lib/x', to), file('lib/x/file')],
  ],
  'a directory behind a lower link, where the layer has a file': () => [
    [directory('a/'), symlink('lib', 'a')],
    [file('a'), file('lib/file')],
  ],
  'a directory behind a lower link, which the layer removes': () => [
    [directory('a/'), symlink('lib', 'a')],
    [file('.wh.a'), file('lib/file')],
  ],
};

for (const [what, layersFor] of Object.entries(layeredAttacks)) {
  test(`an image with ${what} is refused, and leaves nothing`, async t => {
    await using bench = await anImageStore();
    const to = mkdtempSync(join(tmpdir(), 'slipway-test-outside-'));
    t.teardown(() => {
      rmSync(to, {recursive: true});
    });
    mkdirSync(join(to, 'inner'));
    writeFileSync(join(to, 'kept'), 'kept');
    const before = listingOf(to);
    const layers = layersFor(to).map(entries => aLayer(tarOf(...entries)));
    await t.throwsAsync(bench.pull(layers), {code: 'ERR_LAYER_INVALID'});
    t.deepEqual(listingOf(to), before);
    await eventually(() => leftovers(bench).length === 0);
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

test('a layer whose directories and links do not fit into memory is refused', t => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-test-tree-'));
  const rootFd = openDirectory(folder);
  t.teardown(() => {
    closeSync(rootFd);
    rmSync(folder, {recursive: true});
  });
  const long = `${'x'.repeat(99)}/`.repeat(10);
  const attribute = {'SCHILY.xattr.user.long': long};
  const kinds: Readonly<Record<string, (name: string) => TarEntryOptions>> = {
    links: name => ({...symlink(name, ''), pax: {linkpath: long}}),
    directories: name => ({...directory(`${name}/`), pax: attribute}),
    whiteouts: name => file(`.wh.${name}`),
    'hard links': name => ({path: name, type: '1', link: 'below', pax: {linkpath: long}}),
    'directories without an entry': name => file(`${name}/file`),
  };
  for (const [kind, entry] of Object.entries(kinds)) {
    using tree = new UnpackTree(rootFd, {rememberedBytesMax: 100_000});
    const names = Array.from({length: 1_000}, (_, index) => `${kind} ${index}`);
    const archive = tarOf(...names.map(entry));
    t.throws(() => { new TarReader(tree).push(archive); }, {code: 'ERR_LAYER_INVALID', message: /memory/}, kind); // prettier-ignore
  }
  using tree = new UnpackTree(rootFd, {rememberedBytesMax: 100_000});
  const files = Array.from({length: 1_000}, (_, index) => file(`file ${index}`));
  new TarReader(tree).push(tarOf(...files));
  t.is(tree.finish().inodes, 1_000);
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

/** Names, modes, owners and times of all that lies in a folder, and its own. */
function listingOf(folder: string): readonly string[] {
  return ['.', ...readdirSync(folder, {recursive: true, encoding: 'utf8'})].toSorted().map(name => {
    const {mode, uid, gid, size, mtimeMs} = lstatSync(join(folder, name));
    return [name, mode.toString(8), uid, gid, size, mtimeMs].join(' ');
  });
}
