import {writeSync} from 'node:fs';
import {appendFile, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {addUpRecords, type ImageRecord, type JournalRecord} from '#runtime/image/image-records';
import {ImageIndex} from '#runtime/image/image-index';
import {Journal} from '#runtime/image/journal';
import {type LayerId, layerIdsOf} from '#runtime/image/layer-id';
import {pinnedBy} from '#runtime/image/pinned-images';
import {parseImageConfig} from '#runtime/image/image-config';
import {type Digest, digestOfBytes} from '#shared/oci/digest';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const layerOf = (name: string) => ({
  id: digestOfBytes(name).slice(7) as LayerId,
  directory: name,
  sizeBytes: 1,
  diskBytes: 4096,
  inodes: 1,
});

function imageOf(name: string, tags: readonly string[] = [], layer = name): ImageRecord {
  const {config} = parseImageConfig(Buffer.from('{"rootfs":{"type":"layers","diff_ids":[]}}'));
  const id = digestOfBytes(name);
  return {id, config, manifestDigest: id, tags, digests: [], layers: [layerOf(layer).id]};
}

const put = (name: string, tags: readonly string[] = []): JournalRecord => ({
  kind: 'put',
  images: [imageOf(name, tags)],
  layers: [layerOf(name)],
});
const boot = (id: string): JournalRecord => ({kind: 'boot', id});
const durable = (lines: number): JournalRecord => ({kind: 'durable', lines});
const idsOf = (images: ReadonlyMap<Digest, unknown>) => [...images.keys()];

test('records of this boot count, durable or not', t => {
  const {images, isDurable} = addUpRecords([boot('now'), put('a')], 'now');
  t.deepEqual(idsOf(images), [digestOfBytes('a')]);
  t.false(isDurable);
});

test('records of an earlier boot count only as far as the disk had them', t => {
  const lines = [boot('before'), put('a'), durable(2), put('b'), boot('now'), put('c')];
  const {images} = addUpRecords(lines, 'now');
  t.deepEqual(idsOf(images), [digestOfBytes('a'), digestOfBytes('c')]);
});

test('what was removed stays removed, whatever boot that was in', t => {
  const remove: JournalRecord = {kind: 'remove', images: [digestOfBytes('a')], layers: []};
  const {images, layers} = addUpRecords([put('a'), durable(1), boot('before'), remove], 'now');
  t.deepEqual(idsOf(images), []);
  t.is(layers.size, 1);
});

test('an image without one of its layers does not count', t => {
  const lines: JournalRecord[] = [{kind: 'put', images: [imageOf('a')], layers: []}, durable(1)];
  t.is(addUpRecords(lines, 'now').images.size, 0);
});

test('a journal keeps what was appended, and skips lines that are broken', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'journal');
  const first = await Journal.open(path, 'now');
  t.is(first.records.images.size, 0);
  first.journal.append(put('a', ['tag']));
  first.journal.append(put('b'));
  await first.journal.sync();
  first.journal.close();
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"tag"', '"gat"')); // one byte of a disk
  await appendFile(path, '01234567 {"kind":"put","im'); // a crash in the middle of a line
  const second = await Journal.open(path, 'now');
  t.is(second.brokenLines, 2);
  t.deepEqual(idsOf(second.records.images), [digestOfBytes('b')]);
  second.journal.append(durable(second.journal.lines));
  second.journal.close();
  const third = await Journal.open(path, 'later');
  t.deepEqual(idsOf(third.records.images), [digestOfBytes('b')]);
  t.is(third.brokenLines, 0);
  third.journal.close();
  const fourth = await Journal.open(path, 'later still'); // written anew by the third
  t.deepEqual(idsOf(fourth.records.images), [digestOfBytes('b')]);
  fourth.journal.close();
});

test('a record after one that a full disk cut off is a line of its own', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'journal');
  const whole = lineBytesOf(put('lost'));
  // A block's end in a line, nothing at all, room for one byte, for half a line, for all but its end.
  const room = [10, 0, 1, 10, whole + 1, 0, Infinity];
  const write = (fd: number, bytes: Uint8Array): number => {
    const left = room.shift() ?? Infinity;
    if (left === 0) throw Object.assign(new Error('no space left'), {code: 'ENOSPC'});
    return writeSync(fd, bytes.subarray(0, left));
  };
  const {journal} = await Journal.open(path, 'now', write);
  const linesBefore = journal.lines;
  while (room.length > 1) t.throws(() => { journal.append(put('lost')); }, {code: 'ENOSPC'}); // prettier-ignore
  t.is(journal.lines, linesBefore + 3);
  journal.append(put('a'));
  journal.appendRemoval({kind: 'remove', images: [], layers: []});
  journal.append(durable(journal.lines));
  journal.close();
  const text = await readFile(path, 'utf8');
  t.is(text.split('\n').length - 1, journal.lines);
  const opened = await Journal.open(path, 'later'); // the mark counts lines as they are read
  t.is(opened.brokenLines, 3);
  t.deepEqual(idsOf(opened.records.images), [digestOfBytes('a')]);
  opened.journal.close();
});

test('a record whose line has no end was not appended', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'journal');
  const {journal} = await Journal.open(path, 'now', (fd, bytes) =>
    writeSync(fd, bytes.subarray(0, -1)),
  );
  t.throws(() => { journal.append(put('lost')); }, {code: 'ENOSPC'}); // prettier-ignore
  journal.close();
  const opened = await Journal.open(path, 'now');
  t.is(opened.brokenLines, 1);
  t.is(opened.records.images.size, 0);
  opened.journal.close();
});

/** Of a line, its end included. */
function lineBytesOf(record: JournalRecord): number {
  return Buffer.byteLength(JSON.stringify(record)) + '01234567 \n'.length;
}

function anIndex(...images: readonly ImageRecord[]): ImageIndex {
  return new ImageIndex({images, layerOf: () => layerOf('a'), isPinned: pinnedBy(['*keep*'])});
}

test('an image is found by every name and by its id, in full or abbreviated', t => {
  const record = {
    ...imageOf('a', ['docker.io/library/busybox:1.36', 'docker.io/library/busybox:latest']),
    digests: [`docker.io/library/busybox@${digestOfBytes('m')}`],
  };
  const index = anIndex(record, imageOf('b'));
  const hex = record.id.slice(7);
  const names = [
    'busybox:1.36',
    'busybox',
    'docker.io/library/busybox',
    `busybox@${digestOfBytes('m')}`,
  ];
  for (const name of [
    ...names,
    record.id,
    hex,
    hex.slice(0, 12),
    `busybox:x@${digestOfBytes('m')}`,
  ]) {
    t.is(index.find(name)?.image.id, record.id, name);
  }
  for (const name of ['busybox:2', 'quay.io/busybox', hex.slice(0, 2), 'NOT A NAME', '']) {
    t.is(index.find(name), undefined, name);
  }
});

test('an abbreviation that two images have finds neither', t => {
  const twin = (tail: string) => `sha256:abcd${tail.repeat(60)}` as Digest;
  const index = anIndex({...imageOf('a'), id: twin('0')}, {...imageOf('b'), id: twin('1')});
  t.is(index.find('abcd'), undefined);
  t.is(index.find('abcd0')?.image.id, twin('0'));
});

test('patterns pin by full name, by start and by part', t => {
  const isPinned = pinnedBy(['registry.k8s.io/pause:3.10', 'quay.io/base*', '*keep*', '*']);
  t.true(isPinned('registry.k8s.io/pause:3.10'));
  t.false(isPinned('registry.k8s.io/pause:3.10.1'));
  t.true(isPinned('quay.io/base/os:1'));
  t.true(isPinned('docker.io/library/keep-me:1'));
  t.false(isPinned('docker.io/library/other:1'));
});

test('chain ids name a layer with all under it', t => {
  const [a, b] = [digestOfBytes('a'), digestOfBytes('b')];
  const chain = digestOfBytes(`${a} ${b}`).slice(7);
  t.deepEqual(layerIdsOf([a, b]), [a.slice(7), chain] as LayerId[]);
});
