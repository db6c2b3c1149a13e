import {execFileSync} from 'node:child_process';
import {
  closeSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {DiskUsage} from '#runtime/image/disk-usage';
import {emptyDirectory} from '#runtime/image/remove-tree';
import {openDirectory} from '#runtime/sys/files';
import {createFileAt, makeDirectoryAt, openDirectoryAt} from '#runtime/sys/tree';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

// Root's, as the walk is: it finds directories again by handle.

const CONTENT = 'x'.repeat(1_000_000);

test('what a directory holds is counted as du does, names that are not UTF-8 included', async t => {
  await using folder = await temporaryFolder();
  const names = ['plain', Buffer.from('caf\xe9 \xff', 'latin1'), 'ünïcode'];
  for (const name of names) {
    const directory = Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from(name)]);
    mkdirSync(directory);
    const file = Buffer.concat([directory, Buffer.from('/'), Buffer.from(name)]);
    writeFileSync(file, CONTENT);
    linkSync(file, Buffer.concat([file, Buffer.from('-link')]));
  }
  for (let index = 0; index < 3_000; index++) mkdirSync(join(folder.path, 'plain', `${index}`));
  symlinkSync('/', join(folder.path, 'link'));
  const usage = await new DiskUsage().of(folder.path);
  t.deepEqual([usage.usedBytes, usage.inodes], [duOf(folder.path, '--block-size=1'), duOf(folder.path, '--inodes')]); // prettier-ignore
});

test('what lies deeper than any path reaches is counted', async t => {
  await using folder = await temporaryFolder();
  let fd = openDirectory(folder.path);
  for (let level = 0; level < 3_000; level++) {
    makeDirectoryAt(fd, 'a'.repeat(100), 0o700);
    const inner = openDirectoryAt(fd, 'a'.repeat(100));
    closeSync(fd);
    fd = inner;
  }
  const file = createFileAt(fd, 'deep', 0o600);
  writeFileSync(file, CONTENT);
  closeSync(file);
  closeSync(fd);
  const {usedBytes, inodes} = await new DiskUsage().of(folder.path);
  t.is(inodes, 3_002);
  t.true(usedBytes >= CONTENT.length);
  fd = openDirectory(folder.path);
  emptyDirectory(fd);
  closeSync(fd);
});

test('a walk is not led out by directories that become links, nor stopped by what vanishes', async t => {
  await using folder = await temporaryFolder();
  const [tree, outside] = [join(folder.path, 'tree'), join(folder.path, 'outside')];
  for (const path of [tree, outside]) mkdirSync(path);
  const names = Array.from({length: 60}, (_, index) => `${index}`);
  const inner = names.slice(0, 10);
  for (const name of inner) {
    mkdirSync(join(outside, name));
    writeFileSync(join(outside, name, 'file'), CONTENT.repeat(4));
  }
  for (const name of names) {
    for (const below of inner) mkdirSync(join(tree, name, below), {recursive: true});
  }
  const usage = new DiskUsage();
  const walk = usage.of(tree);
  for (const name of readdirSync(tree)) {
    renameSync(join(tree, name), join(folder.path, name));
    symlinkSync(outside, join(tree, name));
    await new Promise(resolve => setImmediate(resolve));
  }
  t.true((await walk).usedBytes < 4 * CONTENT.length);
  rmSync(tree, {recursive: true});
  const gone = await new DiskUsage().of(tree);
  t.deepEqual([gone.usedBytes, gone.inodes], [0, 0]);
});

function duOf(path: string, ...flags: readonly string[]): number {
  return Number.parseInt(execFileSync('du', ['-s', ...flags, path], {encoding: 'utf8'}), 10);
}
