import {readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ObjectStore, type Identity} from '#runtime/store/object-store';
import {readRecord, writeRecord} from '#runtime/store/record-file';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

interface Metadata extends Identity {
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAtNs: bigint;
}
interface Status {
  readonly state: string;
  readonly count: number;
}

const ID = 'a1'.repeat(32);
const OTHER_ID = 'a2'.repeat(32);

test('a record comes back as it was written, instants and odd labels included', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'record.json');
  const record = {at: 1_700_000_000_123_456_789n, labels: {ns: '12', 'a/b': 'ü\u0000"', n: 'n'}};
  await writeRecord(path, record);
  t.deepEqual(await readRecord(path), record);
  t.deepEqual(await readdir(folder.path), ['record.json']);
});

test('a missing record is undefined', async t => {
  await using folder = await temporaryFolder();
  t.is(await readRecord(join(folder.path, 'record.json')), undefined);
});

for (const [title, text] of [
  ['cut off', '{"version":1,"rec'],
  ['empty', ''],
  ['of another version', '{"version":2,"record":{}}'],
  ['not an object', '[]'],
] as const) {
  test(`a record that is ${title} is refused`, async t => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'record.json');
    await writeFile(path, text);
    await t.throwsAsync(readRecord(path), {code: 'ERR_STATE_CORRUPT'});
  });
}

test('an object is hidden until its first update, and holds its name from the start', async t => {
  await using folder = await temporaryFolder();
  const store = aStore(folder.path);
  const object = await store.add(metadata(ID, 'one'));
  t.deepEqual(store.list(), []);
  t.is(store.find(ID), undefined);
  t.is(store.named('one'), object);
  await object.update(status => ({...status, state: 'ready'}));
  t.deepEqual(store.list(), [object]);
  t.is(store.find(ID), object);
});

test('an id is found by a prefix that fits one object only', async t => {
  await using folder = await temporaryFolder();
  const store = aStore(folder.path);
  for (const [id, name] of [
    [ID, 'one'],
    [OTHER_ID, 'two'],
  ] as const) {
    await (await store.add(metadata(id, name))).update(status => ({...status, state: 'ready'}));
  }
  t.is(store.find('a1a1')?.id, ID);
  t.is(store.find('a'), undefined);
  t.is(store.find(''), undefined);
  t.is(store.find('ffff'), undefined);
  t.is(store.find('../a1'), undefined);
});

test('updates that overlap are made one after the other, none is lost', async t => {
  await using folder = await temporaryFolder();
  const object = await aStore(folder.path).add(metadata(ID, 'one'));
  const add = () => object.update(status => ({...status, count: status.count + 1}));
  await Promise.all(Array.from({length: 20}, add));
  t.is(object.status.count, 20);
});

test('an update that throws changes nothing, and the next one works', async t => {
  await using folder = await temporaryFolder();
  const object = await aStore(folder.path).add(metadata(ID, 'one'));
  await t.throwsAsync(
    object.update(() => {
      throw new RangeError('no');
    }),
    {instanceOf: RangeError},
  );
  t.is((await object.update(status => ({...status, count: 7}))).count, 7);
});

test('a status is on disk before it is in memory', async t => {
  await using folder = await temporaryFolder();
  const object = await aStore(folder.path).add(metadata(ID, 'one'));
  const update = object.update(status => ({...status, state: 'ready'}));
  t.is(object.status.state, 'new');
  await update;
  t.deepEqual(await readRecord(join(folder.path, ID, 'status.json')), {state: 'ready', count: 0});
});

test('load() finds what was there, and names what was never finished', async t => {
  await using folder = await temporaryFolder();
  const before = aStore(folder.path);
  const finished = await before.add(metadata(ID, 'one', 2n));
  await finished.update(status => ({...status, state: 'ready', count: 3}));
  await before.add(metadata(OTHER_ID, 'two', 1n));

  const store = aStore(folder.path);
  const {unfinished, quarantined} = await store.load();
  t.deepEqual(unfinished, [OTHER_ID]);
  t.deepEqual(quarantined, []);
  t.deepEqual(
    store.list().map(({status, metadata: {labels}}) => ({...status, labels})),
    [{state: 'ready', count: 3, labels: {k: 'v'}}],
  );
  t.is(store.named('two')?.complete, false);
});

test('load() sets aside what it cannot read, and loads the rest', async t => {
  await using folder = await temporaryFolder();
  const before = aStore(folder.path);
  for (const [id, name] of [
    [ID, 'one'],
    [OTHER_ID, 'two'],
  ] as const) {
    await (await before.add(metadata(id, name))).update(status => ({...status, state: 'ready'}));
  }
  await writeFile(join(folder.path, ID, 'metadata.json'), '');

  const store = aStore(folder.path);
  const {quarantined} = await store.load();
  t.is(quarantined.length, 1);
  t.deepEqual(
    store.list().map(({id}) => id),
    [OTHER_ID],
  );
  t.deepEqual(await readdir(join(folder.path, '.quarantine')), [ID]);
  t.deepEqual((await aStore(folder.path).load()).quarantined, []);
});

test('a removed object is gone from memory and disk, and its name is free', async t => {
  await using folder = await temporaryFolder();
  const store = aStore(folder.path);
  await (await store.add(metadata(ID, 'one'))).update(status => ({...status, state: 'ready'}));
  await store.remove(ID);
  await store.remove(ID);
  t.is(store.named('one'), undefined);
  t.deepEqual(await readdir(folder.path), []);
  await t.notThrowsAsync(store.add(metadata(OTHER_ID, 'one')));
});

function aStore(directory: string): ObjectStore<Metadata, Status> {
  return new ObjectStore<Metadata, Status>({
    directory,
    initial: () => ({state: 'new', count: 0}),
  });
}

function metadata(id: string, name: string, createdAtNs = 1n): Metadata {
  return {id, name, labels: {k: 'v'}, createdAtNs};
}
