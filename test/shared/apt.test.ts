import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {aptGet} from '#shared/apt';
import {writeProgram} from '#test/program-file';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();
const lockName = `slipway-apt-test-${process.pid}`;
/** Where apt says that somebody else holds its lists; apt 2.6. */
const LOCKED =
  'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\nE: Unable to lock directory /var/lib/apt/lists/';

/** An apt-get that notes its calls; `script` decides on `$verb`, the folder is `$root`. */
async function withApt(script: string, use: (calls: () => Promise<string[]>) => Promise<void>) {
  await using folder = await temporaryFolder();
  const root = folder.path;
  await mkdir(join(root, 'bin'));
  await writeFile(join(root, 'calls'), '');
  writeProgram(
    join(root, 'bin/apt-get'),
    `#!/bin/sh\nroot='${root}'\nwhile [ "$1" = -o ]; do echo "$2" >>$root/options; shift 2; done\nverb=$1\necho "$verb" >>$root/calls\n${script}\n`,
  );
  const {PATH} = process.env;
  process.env['PATH'] = `${root}/bin:${PATH ?? ''}`;
  try {
    const lines = async () => (await readFile(join(root, 'calls'), 'utf8')).trim().split('\n');
    await use(lines);
  } finally {
    process.env['PATH'] = PATH;
  }
}

const install = () => aptGet(['install', 'gcc'], {signal, lockName});

test.serial('what succeeds needs no package lists', async t => {
  await withApt('grep -q DPkg::Lock::Timeout=300 $root/options && echo done', async calls => {
    t.deepEqual(await install(), {
      isDone: true,
      stdout: 'done\n',
      said: '',
      isUpdateFailed: false,
    });
    t.deepEqual(await calls(), ['install']);
  });
});

test.serial('on a new machine the lists are fetched, then it is tried again', async t => {
  const script = 'if [ $verb = update ]; then touch $root/lists; else [ -e $root/lists ]; fi';
  await withApt(script, async calls => {
    t.true((await install()).isDone);
    t.deepEqual(await calls(), ['install', 'update', 'install']);
  });
});

test.serial('a failed update is told beside what failed for want of it', async t => {
  await withApt('echo "E: $verb says no" >&2; exit 100', async calls => {
    const outcome = await install();
    t.false(outcome.isDone);
    t.true(outcome.isUpdateFailed);
    t.is(outcome.said, 'E: update says no\nE: install says no');
    t.deepEqual(await calls(), ['install', 'update', 'install']);
  });
});

test.serial("lists that somebody else's apt holds are waited for", async t => {
  const script = `case $verb in
install) [ -e $root/lists ] ;;
update) [ -e $root/once ] && touch $root/lists && exit 0; touch $root/once; echo '${LOCKED}' >&2; exit 100 ;;
esac`;
  await withApt(script, async calls => {
    t.true((await install()).isDone);
    t.deepEqual(await calls(), ['install', 'update', 'update', 'install']);
  });
});

test.serial('of our own calls one is at work at a time', async t => {
  const script = 'mkdir $root/alone || exit 100; sleep 0.3; rmdir $root/alone';
  await withApt(script, async calls => {
    const outcomes = await Promise.all([install(), install(), install()]);
    t.true(outcomes.every(({isDone}) => isDone));
    t.deepEqual(await calls(), ['install', 'install', 'install']);
  });
});
