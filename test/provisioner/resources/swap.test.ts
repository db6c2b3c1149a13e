import test from 'ava';
import {only, runOn, stateOf} from '#test/a-host-run';
import {FolderHost, shells} from '#test/folder-host';

const summaries = ({changes}: {readonly changes: readonly {readonly summary: string}[]}) =>
  changes.map(({summary}) => summary);

const FSTAB = `# /etc/fstab
UUID=1 / ext4 defaults 0 1
/dev/vda2 none swap sw 0 0
  /swapfile\tswap\tswap
#/dev/vda3 none swap sw 0 0
/dev/vdb /data swapfs defaults 0 0
`;

test('swap goes off now and in fstab, and comes back', async t => {
  using host = new FolderHost();
  host.write('etc/fstab', FSTAB);
  host.write('proc/swaps', 'Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n');
  const {changes} = await runOn(host, only({kind: 'swap', state: 'off'}));
  t.deepEqual(summaries({changes}), ['off: /dev/vda2, /dev/vda2, /swapfile']);
  const off = host.read('etc/fstab');
  t.regex(off, /^#slipway# \/dev\/vda2 none/m);
  t.regex(off, /^#slipway# {3}\/swapfile\tswap\tswap$/m);
  t.regex(off, /^\/dev\/vdb \/data swapfs/m);
  t.deepEqual((await runOn(host, only({kind: 'swap', state: 'off'}))).changes, []);
  await runOn(host, only());
  t.is(host.read('etc/fstab'), FSTAB);
  t.deepEqual(host.deeds, ['swapoff -a', 'swapon -a']);
});

test('swap that is off until the next boot is a change', async t => {
  using host = new FolderHost();
  host.write('etc/fstab', '/dev/vda2 none swap sw 0 0\n');
  const {changes} = await runOn(host, only({kind: 'swap', state: 'off'}));
  t.deepEqual(summaries({changes}), ['off: /dev/vda2']);
});

const ZRAM = 'dev-zram0.swap';
const BY_UUID = 'dev-disk-by\\x2duuid-1.swap';
const UNIT_FILES = `${[
  `${ZRAM} generated -`,
  `${BY_UUID} static -`,
  'mine.swap enabled enabled',
  'zramswap.service enabled enabled',
  'idle.swap static -',
  'dphys-swapfile.service disabled enabled',
  'theirs.swap masked enabled',
].join('\n')}\n`;

for (const shell of shells) {
  test(`${shell}: units that would swap after a boot go off, and exactly these come back`, async t => {
    using host = new FolderHost();
    const connection = host.connection({shell});
    const off = only({kind: 'swap', state: 'off'});
    host.write('fake/unit-files', UNIT_FILES);
    for (const name of ['mine.swap', 'idle.swap']) host.write(`etc/systemd/system/${name}`, '');
    const names = [ZRAM, BY_UUID, 'mine.swap', 'zramswap.service'];
    t.deepEqual(summaries(await runOn(host, off, {connection})), [`off: ${names.join(', ')}`]);
    const deeds = [`mask ${ZRAM}`, `mask ${BY_UUID}`, 'disable mine.swap', 'disable zramswap.service']; // prettier-ignore
    t.deepEqual(host.deeds, [...deeds, 'swapoff -a']);
    t.deepEqual((await runOn(host, off, {connection})).changes, []);
    // What another change finds on is added to what the first one found.
    host.write('fake/unit-files', `${host.read('fake/unit-files')}dev-zram1.swap generated -\n`);
    t.deepEqual(summaries(await runOn(host, off, {connection})), ['off: dev-zram1.swap']);
    const before = host.deeds.length;
    await runOn(host, only(), {connection});
    t.deepEqual(host.deeds.slice(before).sort(), [
      'enable mine.swap',
      'enable zramswap.service',
      'start dev-zram0.swap',
      'start dev-zram1.swap',
      'start mine.swap',
      'start zramswap.service',
      `unmask ${BY_UUID}`,
      'unmask dev-zram0.swap',
      'unmask dev-zram1.swap',
    ]);
  });
}

test('what swapped before us is known after a run that died turning it off', async t => {
  using host = new FolderHost();
  host.write('fake/unit-files', UNIT_FILES);
  host.write('etc/systemd/system/idle.swap', '');
  const connection = host.connection({loseAt: {run: 2, when: 'after'}});
  const off = only({kind: 'swap', state: 'off'});
  await t.throwsAsync(runOn(host, off, {connection}), {code: 'ERR_CONNECTION_LOST'});
  await runOn(host, off);
  const previous = stateOf(host).resources['swap:all']?.previous;
  t.deepEqual(previous?.split('\n'), [
    `${ZRAM} generated`,
    `${BY_UUID} static`,
    'mine.swap enabled',
    'zramswap.service enabled',
  ]);
});

test('a host without any swap has nothing to change, and gets nothing back', async t => {
  using host = new FolderHost();
  t.deepEqual((await runOn(host, only({kind: 'swap', state: 'off'}))).changes, []);
  await runOn(host, only());
  t.deepEqual(host.deeds, []);
});
