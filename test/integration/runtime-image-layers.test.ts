import {execFileSync} from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import {lgetxattr, lsetxattr} from '#runtime/sys/files';
import {digestOfBytes} from '#shared/oci/digest';
import {aLayer, anImageStore, layerTrees, type StoreBench} from '#test/an-image-store';
import {directory, file, symlink, tarOf} from '#test/tar-builder';
import {differences, listTree, namesIn} from '#test/tree-listing';
import test, {type ExecutionContext} from 'ava';

const TAR_OPTIONS = ['--xattrs', '--xattrs-include=*', '--numeric-owner'];
const CAPABILITY = Buffer.from('0100000200040000000000000000000000000000', 'hex'); // net_bind_service

test('a real Debian tree is unpacked exactly as GNU tar does', async t => {
  await using bench = await anImageStore();
  const folder = scratch(t);
  const archive = join(folder, 'layer.tar.gz');
  // Set-user-ID programs, hard links, alternatives, owners of groups.
  const paths = ['usr/sbin', 'usr/bin/passwd', 'usr/bin/su', 'usr/bin/perl', 'etc', 'var/lib/dpkg'];
  const perl = readdirSync('/usr/bin').filter(name => name.startsWith('perl5'));
  paths.push(...perl.map(name => `usr/bin/${name}`));
  execFileSync('tar', ['-C', '/', ...TAR_OPTIONS, '-czf', archive, ...paths]);
  const [ours, theirs] = await unpackBoth(bench, folder, archive);
  t.true(ours.length > 1_000);
  // GNU tar gives directories without an entry today's time.
  const implied = ['/', '/usr', '/usr/bin', '/var', '/var/lib'];
  const isListed = (line: string) => !implied.includes(line.split(' ')[0] ?? '');
  t.deepEqual(differences(ours.filter(isListed), theirs.filter(isListed)), []);
});

for (const format of ['pax', 'gnu', 'ustar'] as const) {
  test(`every kind of entry in ${format} format is unpacked as GNU tar does`, async t => {
    await using bench = await anImageStore();
    const folder = scratch(t);
    const tree = join(folder, 'tree');
    makeOddTree(tree, {isLimited: format === 'ustar'});
    const archive = join(folder, 'layer.tar.gz');
    const attributes = format === 'pax' ? TAR_OPTIONS : ['--numeric-owner'];
    const options = [...attributes, '--warning=no-timestamp', `--format=${format}`];
    execFileSync('tar', ['-C', tree, ...options, '-czf', archive, '.']);
    const [ours, theirs] = await unpackBoth(bench, folder, archive);
    t.deepEqual(differences(ours, theirs), []);
    if (format === 'pax') t.deepEqual(differences(ours, listTree(tree)), []);
  });
}

async function unpackBoth(
  bench: StoreBench,
  folder: string,
  archive: string,
): Promise<readonly [ours: readonly string[], theirs: readonly string[]]> {
  const expected = join(folder, 'expected');
  mkdirSync(expected);
  execFileSync('tar', ['-C', expected, ...TAR_OPTIONS, '--warning=no-timestamp', '-xzpf', archive]);
  const blob = readFileSync(archive);
  await bench.pull([{blob, diffId: digestOfBytes(gunzipSync(blob))}]);
  return [listTree(layerTrees(bench)[0] ?? ''), listTree(expected)];
}

/** All that a file system can hold, and an archive with it. */
function makeOddTree(root: string, {isLimited}: {readonly isLimited: boolean}): void {
  const file = (path: string, content: string | Buffer = path) => {
    writeFileSync(join(root, path), content);
  };
  mkdirSync(join(root, 'directory/sticky/inner'), {recursive: true});
  file('empty', '');
  file('large', Buffer.alloc(3_000_001, 'large'));
  file('set-user-id');
  file('capable');
  file('owned');
  file('unreadable');
  file('directory/sticky/inner/file');
  linkSync(join(root, 'large'), join(root, 'directory/large-too'));
  symlinkSync('../large', join(root, 'directory/link'));
  symlinkSync('/does/not/exist', join(root, 'dangling'));
  linkSync(join(root, 'dangling'), join(root, 'dangling-too')); // a hard link to a link
  execFileSync('mknod', [join(root, 'null'), 'c', '1', '3']);
  execFileSync('mknod', [join(root, 'disk'), 'b', '259', '300000']);
  execFileSync('mkfifo', ['-m', '620', join(root, 'fifo')]);
  if (!isLimited) {
    const deep = join(
      root,
      ...Array.from({length: 12}, (_, level) => `${level}${'long'.repeat(10)}`),
    );
    mkdirSync(deep, {recursive: true});
    writeFileSync(join(deep, 'ü'.repeat(100)), 'UTF-8');
    symlinkSync('x'.repeat(300), join(deep, 'long-link'));
    linkSync(join(deep, 'ü'.repeat(100)), join(root, 'short'));
    writeFileSync(Buffer.from(`${root}/not-utf-8-\xff\xfe`, 'latin1'), 'bytes');
  }
  const shell = (text: string) => execFileSync('sh', ['-c', text], {cwd: root});
  shell('chown -h 1000:2000 owned dangling fifo null && chown 65534:65534 directory set-user-id');
  shell(
    'chmod 4755 set-user-id; chmod 2750 directory; chmod 1777 directory/sticky; chmod 0 unreadable',
  );
  lsetxattr(join(root, 'capable'), 'security.capability', CAPABILITY);
  lsetxattr(join(root, 'owned'), 'user.comment', Buffer.from('with = and \n and \0 in it'));
  lsetxattr(join(root, 'directory'), 'user.directory', Buffer.from(''));
  lsetxattr(join(root, 'null'), 'trusted.device', Buffer.from('yes'));
  shell('touch -h -d @1234567890.123456789 dangling fifo null disk owned');
  if (!isLimited) shell('touch -d @-1.5 empty; touch -d @9999999999.999999999 large directory');
}

test('whiteouts and opaque directories hide what lower layers have, and nothing else', async t => {
  await using bench = await anImageStore();
  const base = tarOf(
    directory('gone/'),
    file('gone/inside'),
    file('file-gone'),
    directory('opaque/'),
    file('opaque/lower'),
    directory('replaced/'),
    file('replaced/lower'),
    directory('late/'),
    file('late/lower'),
    file('kept'),
  );
  const upper = tarOf(
    file('.wh.gone'),
    file('.wh.file-gone'),
    file('.wh.never-there'),
    directory('new/'),
    file('new/.wh.vain'),
    directory('opaque/'),
    file('opaque/upper'),
    file('opaque/.wh..wh..opq'),
    file('.wh.replaced'),
    directory('replaced/'),
    file('replaced/upper'),
    directory('late/'),
    file('late/upper'),
    file('.wh.late'),
    file('.wh..wh.plnk'),
    file('.wh.kept-too'),
    file('kept-too'),
  );
  const image = await bench.pull([aLayer(base), aLayer(upper)]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(namesIn(mountpoint), [
    'kept',
    'kept-too',
    'late/',
    'late/upper',
    'new/',
    'opaque/',
    'opaque/upper',
    'replaced/',
    'replaced/upper',
  ]);
  // A whiteout in a directory that is merged with nothing would be listed by overlayfs.
  t.deepEqual(readdirSync(join(mountpoint, 'new')), []);
});

test('a directory without an entry looks as in the layer below', async t => {
  await using bench = await anImageStore();
  const base = tarOf(
    {...directory('./'), mode: 0o711, uid: 7, modified: 5},
    {
      ...directory('a/'),
      mode: 0o1770,
      uid: 10,
      gid: 20,
      modified: 1_000_000,
      pax: {'SCHILY.xattr.user.key': 'value'},
    },
    {...directory('a/b/'), mode: 0o700, uid: 30, modified: 2_000_000},
  );
  const image = await bench.pull([aLayer(base), aLayer(tarOf(file('a/b/c/file')))]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(metadata(mountpoint), {mode: 0o711, uid: 7, gid: 0});
  t.deepEqual(metadata(join(mountpoint, 'a')), {mode: 0o1770, uid: 10, gid: 20});
  t.is(lstatSync(join(mountpoint, 'a')).mtimeMs, 1_000_000_000);
  t.is(lgetxattr(join(mountpoint, 'a'), 'user.key')?.toString(), 'value');
  t.deepEqual(metadata(join(mountpoint, 'a/b')), {mode: 0o700, uid: 30, gid: 0});
  t.deepEqual(metadata(join(mountpoint, 'a/b/c')), {mode: 0o755, uid: 0, gid: 0});
});

test('a path through a link of a lower layer leads where the link leads', async t => {
  await using bench = await anImageStore();
  const base = tarOf(
    {...directory('usr/'), modified: 3},
    {...directory('usr/lib/'), mode: 0o751, modified: 4},
    file('usr/lib/lower'),
    symlink('lib', 'usr/lib'),
    symlink('absolute', '/usr/lib'),
  );
  const upper = tarOf(
    file('lib/one'),
    file('lib/.wh.lower'),
    file('lib/deep/two'),
    file('absolute/three'),
    {path: 'lib/link', type: '1', link: 'lib/one'},
  );
  const image = await bench.pull([aLayer(base), aLayer(upper)]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(namesIn(mountpoint), [
    'absolute',
    'lib',
    'usr/',
    'usr/lib/',
    'usr/lib/deep/',
    'usr/lib/deep/two',
    'usr/lib/link',
    'usr/lib/one',
    'usr/lib/three',
  ]);
  t.true(lstatSync(join(mountpoint, 'lib')).isSymbolicLink());
  t.is(lstatSync(join(mountpoint, 'usr/lib')).mode & 0o7777, 0o751);
  t.is(
    lstatSync(join(mountpoint, 'usr/lib/one')).ino,
    lstatSync(join(mountpoint, 'usr/lib/link')).ino,
  );
});

test('paths through a few links of a lower layer are followed, through very many refused', async t => {
  await using bench = await anImageStore();
  const layersWith = (links: number) => {
    const names = Array.from({length: links}, (_, index) => `link-${index}`);
    const base = [{...directory('to/'), mode: 0o750}, directory('to/old/')];
    const upper = names.flatMap(name => [file(`${name}/old/${name}`), file(`${name}/new/${name}`)]);
    return [tarOf(...base, ...names.map(name => symlink(name, 'to'))), tarOf(...upper)];
  };
  const image = await bench.pull(layersWith(64).map(archive => aLayer(archive)));
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.is(readdirSync(join(mountpoint, 'to/new')).length, 64);
  t.is(readdirSync(join(mountpoint, 'to/old')).length, 64);
  t.is(lstatSync(join(mountpoint, 'to')).mode & 0o7777, 0o750);
  const many = layersWith(65).map(archive => aLayer(archive));
  await t.throwsAsync(bench.pull(many, 'registry.test/many:1'), {code: 'ERR_LAYER_INVALID'});
});

test('a hard link to a file of a lower layer is one file with it', async t => {
  await using bench = await anImageStore();
  const base = tarOf(
    {...directory('bin/'), modified: 77},
    {...file('bin/tool', 'the tool'), mode: 0o4755, uid: 3, pax: {'SCHILY.xattr.user.x': 'y'}},
    symlink('sbin', 'bin'),
  );
  const upper = tarOf(
    {path: 'first', type: '1', link: 'second'},
    {path: 'second', type: '1', link: 'sbin/tool'},
    {path: 'third', type: '1', link: '/bin/tool'},
  );
  const image = await bench.pull([aLayer(base), aLayer(upper)]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  const stats = ['bin/tool', 'first', 'second', 'third'].map(path =>
    lstatSync(join(mountpoint, path)),
  );
  t.is(new Set(stats.map(({ino}) => ino)).size, 1);
  t.deepEqual(metadata(join(mountpoint, 'third')), {mode: 0o4755, uid: 3, gid: 0});
  t.is(readFileSync(join(mountpoint, 'second'), 'utf8'), 'the tool');
  t.is(lgetxattr(join(mountpoint, 'first'), 'user.x')?.toString(), 'y');
  t.is(lstatSync(join(mountpoint, 'bin')).mtimeMs, 77_000);
});

test('the later of two entries with one name counts', async t => {
  await using bench = await anImageStore();
  const archive = tarOf(
    file('a', 'first'),
    file('a', 'second'),
    directory('b/'),
    file('b/inside'),
    file('b', 'now a file'),
    file('c'),
    directory('c/'),
    file('c/inside'),
    directory('d/'),
    file('d/inside'),
    symlink('d', 'c'),
    file('d/through', 'in c'),
    symlink('e', 'a'),
    file('e', 'no longer a link'),
    {path: 'f', type: '1', link: 'a'},
    file('f', 'no longer a'),
  );
  const image = await bench.pull([aLayer(archive)]);
  const {mountpoint} = await bench.store.prepareRootfs('c', image);
  t.deepEqual(namesIn(mountpoint), ['a', 'b', 'c/', 'c/inside', 'c/through', 'd', 'e', 'f']);
  t.is(readFileSync(join(mountpoint, 'a'), 'utf8'), 'second');
  t.is(readFileSync(join(mountpoint, 'b'), 'utf8'), 'now a file');
});

function metadata(path: string): {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
} {
  const {mode, uid, gid} = lstatSync(path);
  return {mode: mode & 0o7777, uid, gid};
}

function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-test-scratch-'));
  t.teardown(() => {
    rmSync(folder, {recursive: true, force: true});
  });
  return folder;
}
