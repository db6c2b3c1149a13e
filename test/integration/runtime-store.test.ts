import {rm} from 'node:fs/promises';
import test from 'ava';
import {mount, unmount} from '#runtime/sys/mount';
import {ObjectStore, type Identity} from '#runtime/store/object-store';
import {fillDisk} from '#test/full-disk';
import {temporaryFolder} from '#test/temporary-folder';

interface Status {
  readonly state: string;
}

const ID = 'a1'.repeat(32);
const to = (state: string) => (): Status => ({state});
const same = (status: Status) => status;

/** Records on a file system of 64 KiB. */
async function smallDisk() {
  const folder = await temporaryFolder();
  mount({source: 'records', target: folder.path, type: 'tmpfs', data: 'size=64k,mode=700'});
  return {
    path: folder.path,
    store: () =>
      new ObjectStore<Identity, Status>({directory: folder.path, initial: to('being made')}),
    async [Symbol.asyncDispose]() {
      unmount(folder.path, {detach: true});
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** What a next daemon reads. */
async function onDisk(store: ObjectStore<Identity, Status>): Promise<string | undefined> {
  await store.load();
  return store.get(ID)?.status.state;
}

test('a full disk refuses an update, and takes one into memory that may lag', async t => {
  await using disk = await smallDisk();
  const object = await disk.store().add({id: ID, name: 'one'});
  await object.update(to('running'));
  await fillDisk(disk.path);
  await t.throwsAsync(object.update(to('paused')), {code: 'ENOSPC'});
  t.is(object.status.state, 'running');
  t.false(object.lags);
  await object.update(to('exited'), {mayLag: true});
  t.is(object.status.state, 'exited');
  t.true(object.lags);
  t.is(await onDisk(disk.store()), 'running');
  await object.update(same);
  t.true(object.lags);
});

test('what lags is written by the next update, once there is room', async t => {
  await using disk = await smallDisk();
  const object = await disk.store().add({id: ID, name: 'one'});
  await object.update(to('running'));
  const filled = await fillDisk(disk.path);
  await object.update(to('exited'), {mayLag: true});
  await rm(filled);
  await object.update(same);
  t.false(object.lags);
  t.is(await onDisk(disk.store()), 'exited');
});

test('on a full disk an object can be removed', async t => {
  await using disk = await smallDisk();
  const store = disk.store();
  await (await store.add({id: ID, name: 'one'})).update(to('exited'));
  await fillDisk(disk.path);
  await store.remove(ID);
  t.is(await onDisk(disk.store()), undefined);
});
