import {mkdirSync, readdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {emptyDirectory, removeSmallTreeAt, removeTreeAt} from '#runtime/image/remove-tree';
import {openDirectory} from '#runtime/sys/files';
import {close} from '#runtime/sys/libc';
import {createFileAt, makeDirectoryAt, openDirectoryAt} from '#runtime/sys/tree';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

test('directories nested beyond any path are removed, and what lies beside them', async t => {
  await using folder = await temporaryFolder();
  nest(folder.path, 20_000);
  writeFileSync(join(folder.path, 'a/beside'), '');
  writeFileSync(join(folder.path, 'z'), '');
  emptied(folder.path);
  t.deepEqual(readdirSync(folder.path), []);
});

test('a tree of one name goes alone, and links in it are not followed', async t => {
  await using folder = await temporaryFolder();
  const [tree, outside] = [join(folder.path, 'tree'), join(folder.path, 'outside')];
  for (const path of [tree, outside]) mkdirSync(path);
  writeFileSync(join(outside, 'kept'), '');
  nest(tree, 300);
  symlinkSync(outside, join(tree, 'link'));
  const fd = openDirectory(folder.path);
  t.teardown(() => {
    close(fd);
  });
  t.false(removeSmallTreeAt(fd, 'tree', 10));
  removeTreeAt(fd, 'tree');
  t.deepEqual(readdirSync(folder.path), ['outside']);
  t.deepEqual(readdirSync(outside), ['kept']);
});

test('a directory of many names, not all of them UTF-8, is emptied', async t => {
  await using folder = await temporaryFolder();
  const fd = openDirectory(folder.path);
  for (let index = 0; index < 5_000; index++) {
    const made = createFileAt(fd, `\xff\xfe${index}`, 0o600);
    if (made >= 0) close(made);
  }
  close(fd);
  t.is(readdirSync(folder.path).length, 5_000);
  emptied(folder.path);
  t.deepEqual(readdirSync(folder.path), []);
});

function emptied(path: string): void {
  const fd = openDirectory(path);
  try {
    emptyDirectory(fd);
  } finally {
    close(fd);
  }
}

/** Directories in each other, each named `a`, with a file in every hundredth. */
function nest(path: string, depth: number): void {
  let fd = openDirectory(path);
  for (let level = 0; level < depth; level++) {
    if (level % 100 === 0 && level > 0) close(createFileAt(fd, 'file', 0o600));
    makeDirectoryAt(fd, 'a', 0o700);
    const inner = openDirectoryAt(fd, 'a');
    close(fd);
    fd = inner;
  }
  close(fd);
}
