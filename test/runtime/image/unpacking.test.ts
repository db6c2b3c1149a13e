import {zstdCompressSync} from 'node:zlib';
import {parsePaxRecords} from '#runtime/image/pax-records';
import {parseTarHeader} from '#runtime/image/tar-header';
import {TarReader, type TarEntry} from '#runtime/image/tar-reader';
import {splitPath} from '#runtime/image/unpack-path';
import {ZstdFrames} from '#runtime/image/zstd-frames';
import {entryOf, file, paxOf, tarOf, withChecksum} from '#test/tar-builder';
import test from 'ava';

function read(archive: Buffer, pieceBytes = archive.length): (readonly [TarEntry, string])[] {
  const found: (readonly [TarEntry, string])[] = [];
  let current: TarEntry | undefined;
  let content = '';
  const reader = new TarReader({
    entry: entry => {
      content = '';
      if (entry.kind === 'file') current = entry;
      else found.push([entry, '']);
    },
    content: bytes => {
      content += bytes.toString('latin1');
    },
    contentEnd: () => {
      if (current !== undefined) found.push([current, content]);
    },
  });
  for (let at = 0; at < archive.length; at += pieceBytes) {
    reader.push(archive.subarray(at, at + pieceBytes));
  }
  reader.end();
  return found;
}

test('an archive reads the same in pieces of any size', t => {
  const archive = tarOf(
    file('a', 'x'.repeat(1_000)),
    file('empty', ''),
    {...file('long'), pax: {path: 'p'.repeat(200), size: '4', mtime: '-1.25'}},
    {path: 'ignored', type: 'L', content: `${'g'.repeat(150)}\0`},
    file('gnu'),
  );
  const whole = read(archive);
  t.deepEqual(
    whole.map(([{path}, content]) => [path.length, content.length]),
    [[1, 1_000], [5, 0], [200, 4], [150, 3]], // prettier-ignore
  );
  t.deepEqual(whole[2]?.[0].modified, {seconds: -2, nanoseconds: 750_000_000});
  for (const pieceBytes of [1, 7, 511, 512, 513, 4_096])
    t.deepEqual(read(archive, pieceBytes), whole);
});

test('numbers over the octal range are read in base 256', t => {
  const block = Buffer.from(entryOf(file('a', '')).subarray(0, 512));
  block.fill(0, 124, 136);
  block[124] = 0x80;
  block.writeUIntBE(0x12_3456_789a, 131, 5);
  block.fill(0xff, 136, 148);
  const header = parseTarHeader(withChecksum(block));
  t.is(header?.sizeBytes, 0x12_3456_789a);
  t.is(header?.modified.seconds, -1);
});

test('a header with a wrong checksum is refused', t => {
  const block = Buffer.from(entryOf(file('a')).subarray(0, 512));
  block[0] = 0x62;
  t.throws(() => parseTarHeader(block), {code: 'ERR_LAYER_INVALID'});
});

test('a global header gives defaults, but never one name to all', t => {
  const global = {path: 'global', type: 'g', content: paxOf({uid: '7', path: 'all'})};
  const [[entry] = []] = read(tarOf(global, file('a')));
  t.is(entry?.uid, 7);
  t.is(entry?.path, 'a');
});

const brokenRecords: Readonly<Record<string, string>> = {
  'without a length': 'path=a\n',
  'longer than the header': '99 path=a\n',
  'without an end': '10 path=abc',
  'without a key': '5 ab\n',
  'with a length of nothing': '0 path=a\n',
  'with a time that is none': paxOf({mtime: '1e9'}).toString(),
  'of a sparse file': paxOf({'GNU.sparse.major': '1'}).toString(),
  'with an attribute of no name': paxOf({'SCHILY.xattr.': 'x'}).toString(),
};
for (const [what, body] of Object.entries(brokenRecords)) {
  test(`an extended header ${what} is refused`, t => {
    t.throws(() => parsePaxRecords(Buffer.from(body)), {code: 'ERR_LAYER_INVALID'});
  });
}

test('values of extended headers may have line ends and equals signs in them', t => {
  const {attributes} = parsePaxRecords(paxOf({'SCHILY.xattr.user.a': 'b=c\nd\0'}));
  t.deepEqual(attributes, [{name: 'user.a', value: Buffer.from('b=c\nd\0')}]);
});

test('paths are read inside the root, or not at all', t => {
  t.deepEqual(splitPath('/a/./b//c/'), ['a', 'b', 'c']);
  t.deepEqual(splitPath('a/../b'), ['b']);
  t.deepEqual(splitPath('./'), []);
  t.throws(() => splitPath('a/../../b'), {code: 'ERR_LAYER_INVALID'});
});

test('zstd streams are cut at the ends of their frames, whatever the pieces', t => {
  const skippable = Buffer.concat([Buffer.from('502a4d1803000000', 'hex'), Buffer.from('abc')]);
  const frames = [
    zstdCompressSync('one'),
    skippable,
    zstdCompressSync(Buffer.alloc(500_000, 'two')),
    zstdCompressSync(''),
    zstdCompressSync(
      Buffer.from(Array.from({length: 300_000}, (_, index) => (index * 7919) % 251)),
    ),
  ];
  const stream = Buffer.concat(frames);
  for (const pieceBytes of [1, 5, 1_000, stream.length]) {
    const cutter = new ZstdFrames();
    const ends = new Set<number>();
    let at = 0;
    for (let from = 0; from < stream.length; from += pieceBytes) {
      for (const part of cutter.split(stream.subarray(from, from + pieceBytes))) {
        at += part.length;
        ends.add(at);
      }
    }
    t.is(at, stream.length);
    let end = 0;
    for (const frame of frames) t.true(ends.has((end += frame.length)));
  }
});
