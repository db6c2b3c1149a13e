import {spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {containerUser} from '#runtime/service/container-user';
import {temporaryFolder} from '#test/temporary-folder';
import test, {type ExecutionContext} from 'ava';

const ROOT = {uid: 0, gid: 0, additionalGids: [0]};

/** A root file system whose /etc is made by `make`. */
async function rootWith(t: ExecutionContext, make: (etc: string) => Promise<unknown>) {
  const folder = await temporaryFolder();
  t.teardown(() => folder[Symbol.asyncDispose]());
  await mkdir(join(folder.path, 'etc'));
  await make(join(folder.path, 'etc'));
  return folder.path;
}

test('names are looked up in the files of the root, also through a link in it', async t => {
  const rootfs = await rootWith(t, async etc => {
    await writeFile(join(etc, 'accounts'), 'web:x:1000:1001::/:/bin/sh\n');
    await symlink('/etc/accounts', join(etc, 'passwd'));
  });
  const expected = {uid: 1000, gid: 1001, additionalGids: [1001]};
  t.deepEqual(containerUser(undefined, {imageUser: 'web', rootfs}), expected);
});

test('a link out of the root is no file', async t => {
  const rootfs = await rootWith(t, etc =>
    symlink('/proc/self/root/etc/passwd', join(etc, 'passwd')),
  );
  t.deepEqual(containerUser(undefined, {imageUser: '', rootfs}), ROOT);
});

test('a socket, a FIFO and a folder at the place of accounts are not opened', async t => {
  // Of them the socket tells: open(2) of one fails, as does that of a device without a driver.
  const server = createServer();
  t.teardown(() => server.close());
  const rootfs = await rootWith(t, async etc => {
    server.listen(join(etc, 'passwd'));
    await once(server, 'listening');
    spawnSync('mkfifo', [join(etc, 'group')]);
  });
  t.deepEqual(containerUser(undefined, {imageUser: '', rootfs}), ROOT);
  const folders = await rootWith(t, etc => mkdir(join(etc, 'passwd')));
  t.deepEqual(containerUser(undefined, {imageUser: '', rootfs: folders}), ROOT);
});
