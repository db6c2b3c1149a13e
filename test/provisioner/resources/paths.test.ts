import {chmodSync, statSync} from 'node:fs';
import test from 'ava';
import {quote} from '#shared/quote';
import type {Change} from '#provisioner/resources/change';
import type {FileResource, Resource} from '#provisioner/role/resource';
import {anArtifact, only, runOn, type RunOptions, stateOf} from '#test/a-host-run';
import {FolderHost, isRoot, shells} from '#test/folder-host';
import {testWhere} from '#test/test-where';

type Make = (host: FolderHost) => Resource;

const kinds: Readonly<Record<string, Make>> = {
  file: host => ({kind: 'file', path: host.path('etc/x/a.conf'), content: 'a = 1\n', mode: 0o640}),
  'file without content': host => ({
    kind: 'file',
    path: host.path('etc/x/empty'),
    content: '',
    mode: 0o600,
  }),
  'file with quotes, dollars and UTF-8': host => ({
    kind: 'file',
    path: host.path(`etc/a'b "c" $d é`),
    content: `'"$HOME\\n\`x\` é😀\n__SLIPWAY__\nno newline at the end`,
    mode: 0o644,
  }),
  directory: host => ({kind: 'directory', path: host.path('srv/data'), mode: 0o700}),
  link: host => ({kind: 'link', path: host.path('opt/current'), target: '../srv/data 1'}),
  program: host => anArtifact(host.path('usr/local/bin/runc')),
  'line block': host => ({
    kind: 'line-block',
    path: host.path('etc/hosts'),
    name: 'cluster',
    lines: ['10.89.0.11 h1', '10.89.0.11 api.lab'],
  }),
  'line block in a file that is missing': host => ({
    kind: 'line-block',
    path: host.path('etc/new'),
    name: 'cluster',
    lines: ['one'],
  }),
};

for (const [name, make] of Object.entries(kinds)) {
  for (const shell of shells) {
    test(`${shell}: a ${name} is made once, and is gone when no role asks for it`, async t => {
      using host = new FolderHost();
      host.write('etc/hosts', '127.0.0.1 localhost\n');
      const before = host.snapshot();
      const resource = make(host);
      const connection = host.connection({shell});
      const first = await runOn(host, only(resource), {connection});
      t.is(first.changes.length, 1);
      const second = await runOn(host, only(resource), {connection});
      t.deepEqual(second.changes, []);
      t.deepEqual(stateOf(host).pending, []);
      const last = await runOn(host, only(), {connection});
      t.deepEqual(last.changes.map(({action}) => action), ['remove']); // prettier-ignore
      t.deepEqual(stateOf(host).resources, {});
      const own = /^(slipway|etc|srv|opt|usr)(\/x|\/new|\/local|\/local\/bin|\/state.json)?$/;
      const others = (all: Readonly<Record<string, string>>) =>
        Object.fromEntries(Object.entries(all).filter(([path]) => !own.test(path)));
      t.deepEqual(others(host.snapshot()), others(before));
    });
  }
}

interface Spoilt {
  readonly title: string;
  readonly kind: keyof typeof kinds;
  /** sh; `$p` is the path of the resource, `$r` the host's folder. */
  readonly spoil: string;
  readonly summary: string | RegExp;
  readonly action?: Change['action'];
  readonly diff?: RegExp;
}

const spoilt: readonly Spoilt[] = [
  {
    title: 'another content is shown as a diff and put right',
    kind: 'file',
    spoil: 'echo "a = 2" > $p',
    summary: 'content differs',
    diff: /^-a = 2\n\+a = 1$/,
  },
  {
    title: 'another mode of a file is put right',
    kind: 'file',
    spoil: 'chmod 666 $p',
    summary: 'mode 666 → 640',
  },
  {
    title: 'a set-id bit is another mode',
    kind: 'file',
    spoil: 'chmod 4640 $p',
    summary: 'mode 4640 → 640',
  },
  {
    title: 'a file that is gone is made again',
    kind: 'file',
    spoil: 'rm $p',
    action: 'create',
    summary: 'new file',
    diff: /^\+a = 1$/,
  },
  {
    title: 'a link in the place of a file is replaced',
    kind: 'file',
    spoil: 'echo "a = 1" > $r/target; ln -sf $r/target $p',
    summary: 'a symbolic link is in its place',
  },
  {
    title: 'a link to a directory in the place of a file is replaced, not followed',
    kind: 'file',
    spoil: 'mkdir $r/target; ln -sf $r/target $p',
    summary: 'a symbolic link is in its place',
  },
  {
    title: 'an empty directory in the place of a file is replaced',
    kind: 'file',
    spoil: 'rm $p; mkdir $p',
    summary: 'a directory is in its place',
  },
  {
    title: 'another mode of a directory is put right',
    kind: 'directory',
    spoil: 'chmod 755 $p',
    summary: 'mode 755 → 700',
  },
  {
    title: 'a link to somewhere else is put right',
    kind: 'link',
    spoil: 'ln -sfn /elsewhere $p',
    summary: '/elsewhere → ../srv/data 1',
  },
  {
    title: 'a file in the place of a link is replaced',
    kind: 'link',
    spoil: 'rm $p; : > $p',
    summary: 'regular empty file → ../srv/data 1',
  },
  {
    title: 'a program with other bytes is pushed again',
    kind: 'program',
    spoil: 'echo evil > $p',
    summary: 'runc 1.0',
  },
  {
    title: 'another mode of a program is put right',
    kind: 'program',
    spoil: 'chmod 700 $p',
    summary: 'mode 700 → 755',
  },
  {
    title: 'other lines in a block are put right',
    kind: 'line block',
    spoil: 'sed -i s/api.lab/evil/ $p',
    summary: 'lines differ',
    diff: /-10\.89\.0\.11 evil\n[^]*\+10\.89\.0\.11 api\.lab\n/,
  },
  {
    title: 'a block that is there twice becomes one',
    kind: 'line block',
    spoil: 'cat $p $p > $p.2; mv $p.2 $p',
    summary: 'lines differ',
  },
  {
    title: 'a block without its end is written anew, what stands below it stays',
    kind: 'line block',
    spoil: 'sed -i "/# END/d" $p; echo "10.0.0.9 mine" >> $p',
    summary: 'lines differ',
    diff: /^ 10\.0\.0\.9 mine$/m,
  },
];

for (const {title, kind, spoil, summary, action = 'update', diff} of spoilt) {
  test(title, async t => {
    using host = new FolderHost();
    host.write('etc/hosts', '127.0.0.1 localhost\n');
    const resource = (kinds[kind] as Make)(host);
    await runOn(host, only(resource));
    await spoilWith(host, resource, spoil);
    const {changes} = await runOn(host, only(resource));
    t.is(changes.length, 1);
    t.like(changes[0], {action, summary});
    if (diff) t.regex(changes[0]?.diff ?? '', diff);
    t.deepEqual((await runOn(host, only(resource))).changes, []);
    if (title.includes('below it')) t.regex(host.read('etc/hosts'), /^10\.0\.0\.9 mine$/m);
  });
}

async function spoilWith(host: FolderHost, resource: Resource, spoil: string): Promise<void> {
  const path = 'path' in resource ? resource.path : '';
  const {exitCode, stderr} = await host.run({
    script: `set -e; p=${quote([path])} r=${quote([host.root])}\n${spoil}`,
  });
  if (exitCode !== 0) throw new Error(stderr);
}

testWhere(isRoot, 'root')('another owner is put right', async t => {
  using host = new FolderHost();
  for (const kind of ['file', 'directory', 'program']) {
    const resource = (kinds[kind] as Make)(host);
    await runOn(host, only(resource));
    await spoilWith(host, resource, 'chown 1:2 $p');
    const {changes} = await runOn(host, only(resource));
    t.deepEqual(
      changes.map(({summary}) => summary),
      ['owner 1:2 → 0:0'],
      kind,
    );
    t.deepEqual((await runOn(host, only(resource))).changes, []);
  }
});

const refusals: readonly Omit<Spoilt, 'summary'>[] = [
  {
    title: 'a directory that holds something is not replaced by a file',
    kind: 'file',
    spoil: 'rm $p; mkdir $p; : > $p/theirs',
  },
  {
    title: 'a directory is not replaced by a link',
    kind: 'link',
    spoil: 'rm $p; mkdir $p; : > $p/theirs',
  },
  {
    title: 'a file is not replaced by a directory',
    kind: 'directory',
    spoil: 'rmdir $p; echo theirs > $p',
  },
];

for (const {title, kind, spoil} of refusals) {
  test(`${title}: it may be somebody's data`, async t => {
    using host = new FolderHost();
    const resource = (kinds[kind] as Make)(host);
    await runOn(host, only(resource));
    await spoilWith(host, resource, spoil);
    const before = await host.run({script: `cd ${host.root}; find etc srv opt -type f | sort`});
    await t.throwsAsync(runOn(host, only(resource)), {code: 'ERR_RESOURCE_FAILED'});
    const after = await host.run({script: `cd ${host.root}; find etc srv opt -type f | sort`});
    t.is(after.stdout, before.stdout);
  });
}

test('lines that others write around a block stay, and are no change', async t => {
  using host = new FolderHost();
  host.write('etc/hosts', '127.0.0.1 localhost\n\n# END');
  const make = kinds['line block'] as Make;
  await runOn(host, only(make(host)));
  const text = host.read('etc/hosts');
  host.write('etc/hosts', `# above\n${text}10.0.0.9 below\n`);
  t.deepEqual((await runOn(host, only(make(host)))).changes, []);
  await runOn(host, only());
  t.is(host.read('etc/hosts'), '# above\n127.0.0.1 localhost\n\n# END\n10.0.0.9 below\n');
});

test('a file with a block keeps its mode, and may be large', async t => {
  using host = new FolderHost();
  host.write('etc/hosts', '127.0.0.1 some.blocked.name\n'.repeat(8_000));
  chmodSync(host.path('etc/hosts'), 0o604);
  const resource = (kinds['line block'] as Make)(host);
  await runOn(host, only(resource));
  t.is(statSync(host.path('etc/hosts')).mode & 0o7777, 0o604);
  t.deepEqual((await runOn(host, only(resource))).changes, []);
});

test('a directory of ours that holds what is not ours stays', async t => {
  using host = new FolderHost();
  await runOn(host, only((kinds['directory'] as Make)(host)));
  host.write('srv/data/theirs', 'precious');
  await runOn(host, only());
  t.is(host.read('srv/data/theirs'), 'precious');
});

test('a text above 64 KiB is compared without a diff', async t => {
  using host = new FolderHost();
  const file = {...((kinds['file'] as Make)(host) as FileResource), content: 'x\n'.repeat(40_000)};
  await runOn(host, only(file));
  host.write('etc/x/a.conf', 'y\n'.repeat(40_000));
  const {changes} = await runOn(host, only(file));
  t.is(changes[0]?.summary, 'content differs');
  t.is(changes[0]?.diff, undefined);
});

test('a program is hashed again only when its size, inode or change time is another', async t => {
  using host = new FolderHost();
  const path = host.path('usr/local/bin/runc');
  await runOn(host, only(anArtifact(path)));
  const hashed = async (options: RunOptions): Promise<boolean> => {
    const {plan} = await runOn(host, only(anArtifact(path)), {...options, planOnly: true});
    t.is(plan.phases[0]?.changes.length, 0);
    return plan.input.probe.sha256.has(path);
  };
  t.false(await hashed({}));
  t.true(await hashed({deep: true}));
  t.true(await hashed({bootId: 'boot-2'}), 'another boot');
  await host.run({script: `touch ${path}`});
  t.true(await hashed({}), 'touched');
});

test('a program of another version is an update although the memo fits', async t => {
  using host = new FolderHost();
  const path = host.path('usr/local/bin/runc');
  await runOn(host, only(anArtifact(path)));
  const {changes} = await runOn(host, only(anArtifact(path, 'ctr')), {planOnly: true});
  t.like(changes, [{action: 'update', summary: 'ctr 1.0'}]);
});
