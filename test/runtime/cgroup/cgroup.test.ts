import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {cp, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {killCgroup} from '#runtime/cgroup/kill';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {cgroupPathFor, expandSlice, monitorCgroupFor, podCgroupFor} from '#runtime/cgroup/paths';
import {placeProcess} from '#runtime/cgroup/place';
import {readCgroupStats, readOomKills} from '#runtime/cgroup/read';
import {removeCgroup} from '#runtime/cgroup/remove';
import {accountsSwap, isAtLeast} from '#runtime/host/abilities';
import {temporaryFolder} from '#test/temporary-folder';

/** v1 was recorded on a machine while a container ran; v2 is written after the kernel's manual. */
const V1 = fileURLToPath(new URL('trees/v1', import.meta.url));
const V2 = fileURLToPath(new URL('trees/v2', import.meta.url));
const {signal} = new AbortController();

test('a v2 hierarchy is known by the controllers at its top', t => {
  const {version, hybrid, controllers, hierarchies} = cgroupLayout(V2);
  t.deepEqual(
    {version, hybrid, hierarchies},
    {version: 2, hybrid: false, hierarchies: {unified: V2}},
  );
  t.true(controllers.has('hugetlb'));
  t.false(controllers.has('cpuacct'));
});

test('v1 hierarchies are known by their folders, two controllers in one included', async t => {
  await using folder = await temporaryFolder();
  const {path} = folder;
  await cp(V1, path, {recursive: true});
  for (const name of ['cpu,cpuset', 'systemd', 'unified']) await mkdir(join(path, name));
  for (const name of ['cpu,cpuset', 'systemd'])
    await writeFile(join(path, name, 'cgroup.procs'), '');
  await writeFile(join(path, 'unified', 'cgroup.controllers'), 'hugetlb\n');
  await mkdir(join(path, 'rdma')); // a folder, but nothing is mounted there
  await symlink('cpu,cpuset', join(path, 'cpu'));
  const {version, hybrid, controllers, hierarchies} = cgroupLayout(path);
  t.is(version, 1);
  t.true(hybrid);
  t.deepEqual([...controllers].sort(), ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids']);
  t.is(hierarchies['cpu'], join(path, 'cpu,cpuset'));
  t.is(hierarchies['cpuset'], join(path, 'cpu,cpuset'));
  t.is(hierarchies['hybrid'], join(path, 'unified'));
  t.false('rdma' in hierarchies);
});

test('a machine without cgroups has none', t => {
  t.deepEqual(cgroupLayout('/nonexistent').hierarchies, {});
});

test('systemd puts a slice where its dashes lead', t => {
  t.is(expandSlice('kubepods-burstable-pod1_2.slice'), '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice'); // prettier-ignore
  t.is(expandSlice('system.slice'), '/system.slice');
  t.is(expandSlice('-.slice'), '/');
});

const v1 = {version: 1, hierarchies: {memory: '/c/memory', systemd: '/c/systemd'}} as const;
const v2 = {version: 2, hierarchies: {unified: '/c'}} as const;

test('a container lies in a scope of its slice, or in a folder of its parent', t => {
  const scope = cgroupPathFor({layout: v2, manager: 'systemd', parent: 'a-b.slice', id: '7'});
  t.is(scope.runcCgroupsPath, 'a-b.slice:slipway:7');
  t.deepEqual(scope.directories, {unified: '/c/a.slice/a-b.slice/slipway-7.scope'});
  const plain = cgroupPathFor({layout: v1, manager: 'cgroupfs', parent: '/kubepods/pod1', id: '7'});
  t.is(plain.runcCgroupsPath, '/kubepods/pod1/slipway-7');
  t.deepEqual(plain.directories, {
    memory: '/c/memory/kubepods/pod1/slipway-7',
    systemd: '/c/systemd/kubepods/pod1/slipway-7',
  });
});

test('the whole path of a slice is as good as its name', t => {
  const parent = '/a.slice/a-b.slice';
  t.is(
    cgroupPathFor({layout: v2, manager: 'systemd', parent, id: '7'}).relativePath,
    '/a.slice/a-b.slice/slipway-7.scope',
  );
});

test('without a parent there are defaults, and no pod’s cgroup', t => {
  for (const [manager, path] of [
    ['systemd', '/system.slice/slipway-7.scope'],
    ['cgroupfs', '/slipway/slipway-7'],
  ] as const) {
    t.is(cgroupPathFor({layout: v2, manager, parent: '', id: '7'}).relativePath, path);
    t.is(podCgroupFor({layout: v2, manager, parent: ''}), undefined);
  }
});

test('the monitor lies beside its container, the pod above both', t => {
  const request = {layout: v2, manager: 'systemd', parent: 'a.slice', id: '7'} as const;
  t.is(monitorCgroupFor(request).relativePath, '/a.slice/slipway-conmon-7');
  t.is(podCgroupFor(request)?.relativePath, '/a.slice');
});

test('cgroupfs beside a hybrid hierarchy: no folders of pods in what systemd alone divides', t => {
  const layout = {version: 1, hierarchies: {memory: '/c/memory', hybrid: '/c/unified'}} as const;
  const request = {layout, parent: '/kubepods/pod1', id: '7'} as const;
  t.deepEqual(monitorCgroupFor({...request, manager: 'cgroupfs'}).directories, {
    memory: '/c/memory/kubepods/pod1/slipway-conmon-7',
    hybrid: '/c/unified/slipway-conmon-7',
  });
  const slice = monitorCgroupFor({...request, parent: 'a.slice', manager: 'systemd'});
  t.is(slice.directories['hybrid'], '/c/unified/a.slice/slipway-conmon-7');
});

const refused = test.macro((t, manager: 'systemd' | 'cgroupfs', parent: string) => {
  t.throws(() => cgroupPathFor({layout: v2, manager, parent, id: '7'}), {
    code: 'ERR_CGROUP_PARENT_INVALID',
  });
});
test('a path is refused as a slice', refused, 'systemd', '/kubepods/burstable/pod1');
test('a slice with an empty part is refused', refused, 'systemd', 'a--b.slice');
test('a slice that begins with a dash is refused', refused, 'systemd', '-a.slice');
test('a relative path is refused', refused, 'cgroupfs', 'kubepods');
test('a path that climbs is refused', refused, 'cgroupfs', '/kubepods/../..');

const inV1 = cgroupPathFor({
  layout: cgroupLayout(V1),
  manager: 'cgroupfs',
  parent: '/kubepods/burstable/pod1',
  id: 'c1',
});
const inV2 = cgroupPathFor({
  layout: cgroupLayout(V2),
  manager: 'systemd',
  parent: 'kubepods-burstable-pod1.slice',
  id: 'c1',
});

test('v1: counters of a recorded container', t => {
  t.deepEqual(readCgroupStats(inV1), {
    cpuNanoseconds: 56_760_672n,
    memory: {
      usageBytes: 4_390_912,
      workingSetBytes: 4_390_912 - 3_805_184,
      rssBytes: 217_088,
      pageFaults: 9123,
      majorPageFaults: 0,
      limitBytes: 33_554_432,
      swapBytes: 0,
      swapLimitBytes: 0,
    },
    pids: 2,
  });
  t.is(readOomKills(inV1), 1);
});

test('v2: counters and pressure of a container', t => {
  const calm = {avg10: 0, avg60: 0, avg300: 0, total: 0n};
  t.deepEqual(readCgroupStats(inV2), {
    cpuNanoseconds: 1_234_567_000n,
    memory: {
      usageBytes: 19_398_656,
      workingSetBytes: 19_398_656 - 6_291_456,
      rssBytes: 10_485_760,
      pageFaults: 4321,
      majorPageFaults: 12,
      limitBytes: 33_554_432,
      swapBytes: 1_048_576,
      swapLimitBytes: 4_194_304,
    },
    pids: 3,
    pressure: {
      cpu: {
        some: {avg10: 1.5, avg60: 0.75, avg300: 0.2, total: 123_456n},
        full: {...calm, total: 789n},
      },
      memory: {some: calm, full: calm},
      io: {
        some: {avg10: 0, avg60: 0.11, avg300: 0.02, total: 5000n},
        full: {avg10: 0, avg60: 0.1, avg300: 0.01, total: 4000n},
      },
    },
  });
  t.is(readOomKills(inV2), 1);
});

test('v2: no limit, no swap and no pressure are left out', t => {
  const pod = podCgroupFor({
    layout: cgroupLayout(V2),
    manager: 'systemd',
    parent: 'kubepods-burstable-pod1.slice',
  });
  const stats = pod && readCgroupStats(pod);
  t.is(stats?.memory?.workingSetBytes, 18_874_368);
  t.deepEqual(Object.keys(stats?.memory ?? {}).slice(5), []);
  t.is(stats?.pressure, undefined);
});

test('a cgroup that is gone has no counters', t => {
  for (const [layout, manager] of [
    [cgroupLayout(V1), 'cgroupfs'],
    [cgroupLayout(V2), 'cgroupfs'],
  ] as const) {
    const gone = cgroupPathFor({layout, manager, parent: '/none', id: 'x'});
    t.is(readCgroupStats(gone), undefined);
    t.is(readOomKills(gone), undefined);
  }
});

test('a process is written into every hierarchy; a new cpuset gets what its parents have', async t => {
  await using folder = await temporaryFolder();
  const directories = {cpuset: join(folder.path, 'cpuset/a/b'), memory: join(folder.path, 'memory/a/b')}; // prettier-ignore
  await mkdir(join(directories.cpuset, '..'), {recursive: true});
  for (const [directory, cpus] of [
    ['cpuset', '0-3\n'],
    ['cpuset/a', '\n'],
    ['cpuset/a/b', '\n'],
  ] as const) {
    // prettier-ignore
    await mkdir(join(folder.path, directory), {recursive: true});
    await writeFile(join(folder.path, directory, 'cpuset.cpus'), cpus);
    await writeFile(join(folder.path, directory, 'cpuset.mems'), '0\n');
  }
  const paths = {version: 1, runcCgroupsPath: '', relativePath: '/a/b', directories} as const;
  await placeProcess(4711, paths);
  t.is(await readFile(join(directories.cpuset, 'cpuset.cpus'), 'utf8'), '0-3\n');
  for (const directory of Object.values(directories)) {
    t.is(await readFile(join(directory, 'cgroup.procs'), 'utf8'), '4711');
  }
});

test('a tree of cgroups is removed from the leaves, and again without complaint', async t => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'a/b/c'), {recursive: true});
  await mkdir(join(folder.path, 'a/d'));
  const paths = {
    version: 2,
    runcCgroupsPath: '',
    relativePath: '/a',
    directories: {unified: join(folder.path, 'a')},
  } as const;
  await removeCgroup(paths, signal);
  await removeCgroup(paths, signal);
  t.deepEqual(await readdir(folder.path), []);
});

test('a cgroup that stays busy is given up when the caller goes', async t => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'a'));
  await writeFile(join(folder.path, 'a', 'a-file-stands-for-a-process'), '');
  const paths = {
    version: 2,
    runcCgroupsPath: '',
    relativePath: '/a',
    directories: {unified: join(folder.path, 'a')},
  } as const;
  const gone = new AbortController();
  const removal = removeCgroup(paths, gone.signal);
  gone.abort(new Error('the caller went'));
  await t.throwsAsync(removal, {message: 'the caller went'});
});

test('killing a cgroup: v2 by its file; one that is empty or gone is done at once', async t => {
  await using folder = await temporaryFolder();
  const at = (directory: string) =>
    ({
      version: 2,
      runcCgroupsPath: '',
      relativePath: '/a',
      directories: {unified: directory},
    }) as const;
  await writeFile(join(folder.path, 'cgroup.kill'), '');
  await writeFile(join(folder.path, 'cgroup.procs'), '');
  await killCgroup(at(folder.path), signal);
  t.is(await readFile(join(folder.path, 'cgroup.kill'), 'utf8'), '1');
  await killCgroup(at(join(folder.path, 'none')), signal);
  await killCgroup({...at(folder.path), directories: {}}, signal);
});

test('killing a cgroup: by its lists where there is no such file, those below it too', async t => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'below'));
  const child = spawn('sleep', ['60'], {stdio: 'ignore'});
  const ended = once(child, 'exit');
  await writeFile(join(folder.path, 'cgroup.procs'), '0\n');
  const list = join(folder.path, 'below', 'cgroup.procs');
  await writeFile(list, `${child.pid ?? 0}\n`);
  const killing = killCgroup(
    {version: 1, runcCgroupsPath: '', relativePath: '/a', directories: {pids: folder.path}},
    signal,
  );
  t.deepEqual(await ended, [null, 'SIGKILL']);
  await writeFile(list, ''); // as the kernel does
  await killing;
});

test('swap is accounted where the kernel has the files for it', async t => {
  t.false(accountsSwap(cgroupLayout(V1)));
  t.false(accountsSwap(cgroupLayout(V2)));
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'cgroup.controllers'), 'memory\n');
  await mkdir(join(folder.path, 'system.slice'));
  await writeFile(join(folder.path, 'system.slice', 'memory.swap.max'), 'max\n');
  t.true(accountsSwap(cgroupLayout(folder.path)));
});

test('kernels are compared by their numbers', t => {
  const needed = {major: 5, minor: 12};
  t.true(isAtLeast('5.12.0-1-amd64', needed));
  t.true(isAtLeast('6.1', needed));
  t.false(isAtLeast('5.4.0', needed));
  t.false(isAtLeast('4.19.0', needed));
});
