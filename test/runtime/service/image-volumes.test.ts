import {existsSync, readdirSync, statSync} from 'node:fs';
import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {makeImageVolumes} from '#runtime/service/image-volumes';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

/** A folder with a root file system in it, and something beside that no image may touch. */
async function aRoot() {
  const folder = await temporaryFolder();
  const [root, outside] = [join(folder.path, 'root'), join(folder.path, 'outside')];
  await mkdir(root);
  await mkdir(outside);
  return {root, outside, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]()};
}

test('folders of volumes are made with those above them', async t => {
  await using at = await aRoot();
  makeImageVolumes(at.root, ['/data', '/var/lib//app/', 'relative']);
  for (const path of ['data', 'var/lib/app', 'relative']) {
    t.is(statSync(join(at.root, path)).mode & 0o7700, 0o700, path); // the rest is the umask's
  }
});

test('what the image has stays as it is', async t => {
  await using at = await aRoot();
  await mkdir(join(at.root, 'data'), {mode: 0o700});
  await writeFile(join(at.root, 'file'), 'text');
  makeImageVolumes(at.root, ['/data', '/file', '/file/below', '/']);
  t.is(statSync(join(at.root, 'data')).mode & 0o777, 0o700);
  t.deepEqual(readdirSync(at.root).sort(), ['data', 'file']);
});

test('links lead to places in the root only', async t => {
  await using at = await aRoot();
  await symlink(at.outside, join(at.root, 'absolute'));
  await symlink('../outside', join(at.root, 'relative'));
  await symlink('/nowhere', join(at.root, 'dangling'));
  await symlink('/loop', join(at.root, 'loop'));
  await mkdir(join(at.root, 'srv'));
  await symlink('/srv', join(at.root, 'good'));
  makeImageVolumes(at.root, [
    ...['/absolute/a', '/relative/b', '/../../outside/c', '/dangling', '/dangling/d', '/loop/e'],
    '/good/volume',
  ]);
  t.deepEqual(readdirSync(at.outside), []);
  t.deepEqual(readdirSync(join(at.root, 'srv')), ['volume']);
  t.true(existsSync(join(at.root, 'outside/c')), 'its root is the root');
});

test('more folders than anybody needs are refused, and none is made', async t => {
  await using at = await aRoot();
  for (const volumes of [Array.from({length: 2000}, (_, i) => `/v${i}`), ['/a'.repeat(2000)]]) {
    t.throws(
      () => {
        makeImageVolumes(at.root, volumes);
      },
      {code: 'ERR_IMAGE_INVALID'},
    );
  }
  t.throws(
    () => {
      makeImageVolumes(at.root, ['/a\0b']);
    },
    {code: 'ERR_IMAGE_INVALID'},
  );
  t.deepEqual(readdirSync(at.root), []);
});
