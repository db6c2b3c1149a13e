import test from 'ava';
import {parseProbe, probeScript, sysctlPath} from '#provisioner/resources/probe';
import type {Resource, UnitResource} from '#provisioner/role/resource';
import {anArtifact, only, runOn, stateOf} from '#test/a-host-run';
import {FolderHost, type FolderHostOptions, shells} from '#test/folder-host';

const summaries = ({changes}: {readonly changes: readonly {readonly summary: string}[]}) =>
  changes.map(({summary}) => summary);

/** A service with its unit file and its program, as a role has them. */
function aService(
  host: FolderHost,
  changes: {unit?: Partial<UnitResource>; content?: string} = {},
) {
  const path = host.path('etc/x.service');
  const content = changes.content ?? '[Service]\n';
  return {
    program: anArtifact(host.path('bin/x')),
    file: {kind: 'file', path, content, mode: 0o644},
    unit: {
      kind: 'unit',
      name: 'x.service',
      enabled: true,
      running: 'yes',
      restartOn: [`file:${path}`, `artifact:${host.path('bin/x')}`],
      ...changes.unit,
    },
  } as const satisfies Record<string, Resource>;
}

const phasesOf = ({program, file, unit}: ReturnType<typeof aService>) => [
  {phase: 'programs', resources: [program]},
  {phase: 'service', resources: [file, unit]},
];

test('a unit is enabled and started once, after a reload', async t => {
  using host = new FolderHost();
  const service = aService(host);
  const {changes} = await runOn(host, phasesOf(service));
  t.is(changes.at(-1)?.summary, 'enable, start');
  t.deepEqual(host.deeds, ['daemon-reload', 'enable x.service', 'start x.service']);
  t.deepEqual((await runOn(host, phasesOf(service))).changes, []);
});

test('a unit restarts when its file or its program changes, and only then', async t => {
  using host = new FolderHost();
  await runOn(host, phasesOf(aService(host)));
  const other = aService(host, {content: '[Service]\nType=notify\n'});
  const {changes} = await runOn(host, phasesOf(other));
  t.is(changes.at(-1)?.action, 'restart');
  t.is(changes.at(-1)?.summary, `restart (${other.unit.restartOn[0]} changes)`);
  t.deepEqual(host.deeds.slice(3), ['daemon-reload', 'enable x.service', 'restart x.service']);
  host.write('bin/x', 'other bytes');
  t.is((await runOn(host, phasesOf(other))).changes.at(-1)?.action, 'restart');
  t.is(host.deeds.filter(deed => deed.startsWith('restart')).length, 2);
  t.deepEqual((await runOn(host, phasesOf(other))).changes, []);
});

test('a unit that somebody stopped is started, one that is not enabled is enabled', async t => {
  using host = new FolderHost();
  const service = aService(host);
  await runOn(host, phasesOf(service));
  await host.run({script: 'systemctl stop x.service'});
  t.deepEqual(summaries(await runOn(host, phasesOf(service))), ['start']);
  await host.run({script: `rm ${host.path('fake/units/x.service/enabled')}`});
  t.deepEqual(summaries(await runOn(host, phasesOf(service))), ['enable']);
  t.deepEqual((await runOn(host, phasesOf(service))).changes, []);
});

test('a unit that others start is enabled, never started, and restarted once it runs', async t => {
  using host = new FolderHost();
  const unit = {running: 'unmanaged'} as const;
  await runOn(host, phasesOf(aService(host, {unit})));
  t.deepEqual(host.deeds, ['daemon-reload', 'enable x.service']);
  await host.run({script: 'systemctl start x.service'});
  // Nobody recorded with what it was started: better once too often than never.
  const again = await runOn(host, phasesOf(aService(host, {unit})));
  t.deepEqual(summaries(again), ['restart (it was started with something else)']);
  t.deepEqual((await runOn(host, phasesOf(aService(host, {unit})))).changes, []);
});

/** Before the phase of the unit has even begun, and when it comes to the unit. */
const deaths = {
  'a phase before that of the unit': {loseAt: {run: 4, when: 'after'}},
  'the unit itself': {dieAtResource: 1},
} as const satisfies Record<string, FolderHostOptions>;

for (const [where, options] of Object.entries(deaths)) {
  test(`a program changed by hand is put right, and the unit restarts although a run died at ${where}`, async t => {
    using host = new FolderHost();
    const service = aService(host);
    await runOn(host, phasesOf(service));
    // The digests of what should be stay the same: only the record of the start can tell.
    host.write('bin/x', 'spoilt');
    const dying = runOn(host, phasesOf(service), {connection: host.connection(options)});
    await t.throwsAsync(dying, {code: 'ERR_CONNECTION_LOST'});
    t.not(host.read('bin/x'), 'spoilt');
    t.false(host.deeds.includes('restart x.service'));
    await runOn(host, phasesOf(service));
    t.true(host.deeds.includes('restart x.service'));
    t.deepEqual((await runOn(host, phasesOf(service))).changes, []);
  });
}

test('a run that dies between a write of the unit file and the restart is repaired', async t => {
  using host = new FolderHost();
  const service = aService(host);
  await runOn(host, phasesOf(service));
  host.write('etc/x.service', 'spoilt');
  const connection = host.connection({dieAtResource: 1});
  await t.throwsAsync(runOn(host, phasesOf(service), {connection}), {code: 'ERR_CONNECTION_LOST'});
  t.false(host.deeds.includes('restart x.service'));
  await runOn(host, phasesOf(service));
  t.true(host.deeds.includes('restart x.service'));
  t.deepEqual((await runOn(host, phasesOf(service))).changes, []);
});

test('a unit that left its role is stopped before its file goes, and forgotten', async t => {
  using host = new FolderHost();
  await runOn(host, phasesOf(aService(host)));
  const {changes} = await runOn(host, only());
  t.deepEqual(
    changes.map(({id}) => id.split(':')[0]),
    ['unit', 'file', 'artifact'],
  );
  t.is(host.deeds.at(-1), 'disable x.service');
  t.deepEqual(stateOf(host).startedWith, {});
  t.false(host.has('etc/x.service'));
});

for (const shell of shells) {
  test(`${shell}: packages are installed by one call, the lists are fetched only if needed`, async t => {
    using host = new FolderHost();
    const packages = ['conntrack', 'nftables'].map(name => ({kind: 'package', name}) as const);
    const connection = host.connection({shell});
    await runOn(host, only(...packages), {connection});
    t.deepEqual(host.deeds, [
      'apt-get install conntrack nftables',
      'apt-get update',
      'apt-get install conntrack nftables',
    ]);
    t.deepEqual(stateOf(host).resources['package:nftables']?.installed, [
      'nftables',
      'lib-common',
      'lib-conntrack',
      'lib-nftables',
    ]);
    t.deepEqual((await runOn(host, only(...packages), {connection})).changes, []);
    t.is(host.deeds.length, 3);
    // One of two goes: the other keeps what it needs.
    await runOn(host, only(packages[0] as Resource), {connection});
    t.is(host.read('fake/packages'), 'base-files\nconntrack\nlib-common\nlib-conntrack\n');
    t.deepEqual((await runOn(host, only(packages[0] as Resource), {connection})).changes.length, 0);
    await runOn(host, only(), {connection});
    t.is(host.read('fake/packages'), 'base-files\n');
  });
}

test('a package that was there before us is not ours and stays', async t => {
  using host = new FolderHost();
  host.write('fake/packages', 'base-files\nconntrack\n');
  t.deepEqual((await runOn(host, only({kind: 'package', name: 'conntrack'}))).changes, []);
  await runOn(host, only());
  t.is(host.read('fake/packages'), 'base-files\nconntrack\n');
});

test('another apt that fetches lists is waited for', async t => {
  using host = new FolderHost();
  host.write('fake/updated', '');
  host.write('fake/apt-locked', '');
  await runOn(host, only({kind: 'package', name: 'nftables'}));
  t.deepEqual(host.deeds, ['apt-get install nftables', 'apt-get install nftables']);
  t.regex(host.read('fake/packages'), /^nftables$/m);
});

test('what a package of somebody else needs stays, and dpkg at work is waited for', async t => {
  using host = new FolderHost();
  const packages = ['conntrack', 'nftables'].map(name => ({kind: 'package', name}) as const);
  await runOn(host, only(...packages));
  host.write('fake/packages', `${host.read('fake/packages')}firewalld\n`);
  host.write('fake/needs', 'firewalld nftables\n');
  host.write('fake/dpkg-locked', '');
  await runOn(host, only());
  const left = 'base-files\nlib-common\nlib-nftables\nnftables\nfirewalld\n';
  t.is(host.read('fake/packages'), left);
  t.false(host.deeds.some(deed => deed.startsWith('apt-get purge')));
  t.is(host.deeds.filter(deed => deed.startsWith('dpkg --purge')).length, 2);
});

test('a package whose scripts fail is told, and not forgotten', async t => {
  using host = new FolderHost();
  await runOn(host, only({kind: 'package', name: 'nftables'}));
  host.write('fake/dpkg-broken', '');
  await t.throwsAsync(runOn(host, only()), {
    code: 'ERR_RESOURCE_FAILED',
    message: /package:nftables.*pre-removal script/s,
  });
  t.true('package:nftables' in stateOf(host).resources);
});

test('what somebody installed by name to mend a run that failed is not ours', async t => {
  using host = new FolderHost();
  const install = only({kind: 'package', name: 'nftables'});
  const connection = host.connection({loseAt: {run: 2, when: 'after'}});
  await t.throwsAsync(runOn(host, install, {connection}), {code: 'ERR_CONNECTION_LOST'});
  host.write('fake/packages', `${host.read('fake/packages')}postgresql\n`);
  await runOn(host, install);
  await runOn(host, only());
  t.is(host.read('fake/packages'), 'base-files\npostgresql\n');
});

test('a package that no repository has is a coded failure with the words of apt', async t => {
  using host = new FolderHost();
  host.write(
    'bin/apt-get',
    '#!/bin/sh\necho "E: Unable to locate package nftables" >&2\nexit 100\n',
  );
  const run = runOn(host, only({kind: 'package', name: 'nftables'}));
  const error = await t.throwsAsync(run, {code: 'ERR_RESOURCE_FAILED'});
  t.regex(error.message, /package:nftables.*Unable to locate package nftables/s);
});

test('what a died run installed is still known to the next one, and to a removal at once', async t => {
  const install = only({kind: 'package', name: 'nftables'});
  for (const next of [install, only()]) {
    using host = new FolderHost();
    // Runs: probe, intent, apply; the answer of the third is lost.
    const connection = host.connection({loseAt: {run: 2, when: 'after'}});
    await t.throwsAsync(runOn(host, install, {connection}), {code: 'ERR_CONNECTION_LOST'});
    t.deepEqual(stateOf(host).pending, ['package:nftables']);
    const {changes} = await runOn(host, next);
    t.deepEqual(
      changes.map(({action}) => action),
      [next === install ? 'record' : 'remove'],
    );
    await runOn(host, only());
    t.is(host.read('fake/packages'), 'base-files\n');
    t.deepEqual(stateOf(host).resources, {});
  }
});

test('a kernel setting is set, and gets its first value back', async t => {
  using host = new FolderHost();
  host.write('proc/sys/net/ipv4/ip_local_port_range', '32768\t60999\n');
  const setting = (value: string) =>
    only({kind: 'sysctl', key: 'net.ipv4.ip_local_port_range', value});
  const first = await runOn(host, setting('10000 20000'));
  t.deepEqual(summaries(first), ['32768 60999 → 10000 20000']);
  t.deepEqual((await runOn(host, setting('10000   20000'))).changes, [], 'blanks do not count');
  await runOn(host, setting('1024 65535'));
  await runOn(host, only());
  t.is(host.read('proc/sys/net/ipv4/ip_local_port_range'), '32768 60999\n');
});

test('the first value of a kernel setting survives a run that died after setting it', async t => {
  using host = new FolderHost();
  host.write('proc/sys/a/b', '0\n');
  const connection = host.connection({loseAt: {run: 2, when: 'after'}});
  const wanted = only({kind: 'sysctl', key: 'a.b', value: '1'});
  await t.throwsAsync(runOn(host, wanted, {connection}), {code: 'ERR_CONNECTION_LOST'});
  t.is(host.read('proc/sys/a/b'), '1\n');
  await runOn(host, wanted);
  t.is(stateOf(host).resources['sysctl:a.b']?.previous, '0');
  await runOn(host, only());
  t.is(host.read('proc/sys/a/b'), '0\n');
});

test('a setting that the kernel takes and does not keep is not taken for done', async t => {
  using host = new FolderHost();
  host.write('proc/sys/a/b', '0\n');
  await host.run({script: `ln -sf /dev/null ${host.path('proc/sys/a/b')}`});
  const run = runOn(host, only({kind: 'sysctl', key: 'a.b', value: '1'}));
  await t.throwsAsync(run, {code: 'ERR_RESOURCE_NOT_APPLIED', message: /sysctl:a\.b/});
  t.deepEqual(stateOf(host).pending, ['sysctl:a.b']);
});

test('the first separator of a key decides what a slash is: a dot in a name, or the way down', t => {
  t.is(
    sysctlPath('net.ipv4.conf.eth0/100.forwarding'),
    '/proc/sys/net/ipv4/conf/eth0.100/forwarding',
  );
  t.is(
    sysctlPath('net/ipv4/conf/eth0.100/forwarding'),
    '/proc/sys/net/ipv4/conf/eth0.100/forwarding',
  );
  t.is(sysctlPath('kernel/panic'), '/proc/sys/kernel/panic');
});

test('a module is loaded when neither loaded nor built in, and stays', async t => {
  using host = new FolderHost();
  const wanted = only({kind: 'module', name: 'overlay'}, {kind: 'module', name: 'br_netfilter'});
  const {stdout} = await host.run({script: 'uname -r'});
  host.write(`lib/modules/${stdout.trim()}/modules.builtin`, 'kernel/fs/overlayfs/overlay.ko\n');
  t.deepEqual((await runOn(host, wanted)).changes.length, 1);
  t.deepEqual(host.deeds, ['modprobe br_netfilter']);
  t.deepEqual((await runOn(host, wanted)).changes, []);
  await runOn(host, only());
  t.true(host.has('sys/module/br_netfilter'));
});

test('parseProbe() reads what systemctl, dpkg-query and stat print', t => {
  const probe = parseProbe(
    [
      'path\t/etc/a\tregular file\t4755\t0:0\t3 17 1800000000.000000001',
      'unit\tId=a.service',
      'unit\tLoadState=loaded',
      'unit\tActiveState=activating',
      'unit\tUnitFileState=enabled-runtime',
      'unit\t',
      'unit\tId=b.service',
      'unit\tLoadState=not-found',
      'unit\tActiveState=inactive',
      'unit\tUnitFileState=',
      'package\tconntrack\tinstalled',
      'package\tnftables\tconfig-files',
      'sysctl\ta.b\t1\t2',
      `content\t/etc/hosts\t${Buffer.from('ä\tb\n').toString('base64')}`,
      '',
    ].join('\n'),
  );
  t.deepEqual(probe.paths.get('/etc/a'), {
    type: 'regular file',
    mode: 0o4755,
    owner: '0:0',
    stat: '3 17 1800000000.000000001',
  });
  t.deepEqual(probe.units.get('a.service'), {loaded: true, active: true, enabled: true});
  t.deepEqual(probe.units.get('b.service'), {loaded: false, active: false, enabled: false});
  t.deepEqual([...probe.packages], ['conntrack']);
  t.is(probe.sysctls.get('a.b'), '1 2');
  t.is(probe.contents.get('/etc/hosts'), 'ä\tb\n');
});

test('parseProbe() refuses a line that no probe prints: it is a defect of ours', t => {
  t.throws(() => parseProbe('surprise\t1\n'), {instanceOf: TypeError});
});

test('a probe of nothing finds nothing', async t => {
  using host = new FolderHost();
  const state = stateOf(host);
  const {stdout, exitCode} = await host.run({
    script: probeScript([], {state, bootId: '', deep: false}),
  });
  t.deepEqual([exitCode, stdout], [0, '']);
  t.is(parseProbe(stdout).paths.size, 0);
});
