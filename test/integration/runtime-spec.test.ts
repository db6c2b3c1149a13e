import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {waitFor} from '#shared/wait-for';
import {killCgroup} from '#runtime/cgroup/kill';
import {readCgroupStats, readOomKills} from '#runtime/cgroup/read';
import {
  MountPropagation,
  SecurityProfile_ProfileType,
  SupplementalGroupsPolicy,
} from '#runtime/cri/gen/cri-v1_pb';
import {hostDevices, preparedDevices} from '#runtime/host/devices';
import {encodeSpec} from '#runtime/spec/oci-spec';
import {resourcesForUpdate} from '#runtime/spec/resources';
import {createStatsCollector} from '#runtime/stats/collector';
import {mount, MountFlags, unmount} from '#runtime/sys/mount';
import {withNetworkNamespace} from '#runtime/sys/namespace';
import {aContainerConfig} from '#test/a-container';
import {runtimePrograms} from '#test/runtime-programs';
import {specBench, type SpecBench} from '#test/spec-bench';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();
const folder = temporaryFolder();
const MIB = 1024n * 1024n;
let bench: SpecBench;

test.before('a real runc', async () => {
  const {runc} = await runtimePrograms((await folder).path, signal);
  bench = await specBench(runc);
});

test.after.always(async () => {
  await bench[Symbol.asyncDispose]();
  await (await folder)[Symbol.asyncDispose]();
});

const shell = (script: string) => ['/bin/sh', '-c', script];
const perl = (script: string) => ['/usr/bin/perl', '-e', script];
const RuntimeDefault = {profileType: SecurityProfile_ProfileType.RuntimeDefault};

/** Fields of /proc/self/status by name. */
function status(output: string): Readonly<Record<string, string>> {
  const lines = output.split('\n').map(line => line.split(':\t'));
  return Object.fromEntries(lines.map(([name = '', value = '']) => [name, value.trim()]));
}

test('a container runs as the user, with the groups and the capabilities of its spec', async t => {
  const config = aContainerConfig({
    command: ['cat', '/proc/self/status'],
    context: {
      noNewPrivs: true,
      supplementalGroupsPolicy: SupplementalGroupsPolicy.Strict,
      capabilities: {
        dropCapabilities: ['ALL'],
        addCapabilities: ['NET_ADMIN'],
        addAmbientCapabilities: ['NET_BIND_SERVICE'],
      },
      seccomp: RuntimeDefault,
    },
  });
  const user = {uid: 1000, gid: 2000, additionalGids: [2000, 3000]};
  const {stdout, stderr} = await bench.run(config, {user});
  const {Uid, Gid, Groups, CapBnd, CapAmb, CapEff, NoNewPrivs, Seccomp} = status(stdout);
  t.deepEqual(
    {Uid, Gid, Groups, CapBnd, CapAmb, CapEff, NoNewPrivs, Seccomp},
    {
      Uid: '1000\t1000\t1000\t1000',
      Gid: '2000\t2000\t2000\t2000',
      Groups: '2000 3000',
      CapBnd: '0000000000001400',
      CapAmb: '0000000000000400',
      CapEff: '0000000000000400',
      NoNewPrivs: '1',
      Seccomp: '2',
    },
    stderr,
  );
});

test('the sandbox’s files, name and working folder are there, and the root may be read-only', async t => {
  const script = 'cat /etc/resolv.conf; pwd; uname -n; echo $HOSTNAME; touch /x; mount | grep -c " on /dev/shm "'; // prettier-ignore
  const config = aContainerConfig({command: shell(script), context: {readonlyRootfs: true}});
  await bench.run(aContainerConfig({command: ['true']})); // makes the mount points
  const {stdout, stderr} = await bench.run(config);
  t.is(stdout, 'nameserver 10.96.0.10\n/work\nweb-0\nweb-0\n1\n');
  t.regex(stderr, /touch.*Read-only file system/);
});

test('masked paths are empty and read-only paths refuse writing', async t => {
  const script = 'head -c 1 /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/net/ipv4/ip_forward; touch /sys/x'; // prettier-ignore
  const {stdout, stderr} = await bench.run(aContainerConfig({command: shell(script)}));
  t.is(stdout, '0\n0\n');
  t.regex(stderr, /ip_forward: Read-only/);
  t.regex(stderr, /\/sys\/x/);
});

test('RuntimeDefault answers as the facts say', async t => {
  const script = `
    my %calls = (kexec_load => 246, userfaultfd => 323, sethostname => 170, none => 999);
    for my $name (sort keys %calls) { $! = 0; syscall($calls{$name}, 0, 0, 0, 0); print "$name ", $!+0, "\\n" }
    for my $family (2, 16, 40) { $! = 0; socket(my $s, $family, 3, 9); print "socket $family ", $!+0, "\\n" }
  `;
  const config = aContainerConfig({command: perl(script), context: {seccomp: RuntimeDefault}});
  const {stdout, stderr} = await bench.run(config);
  const answers = Object.fromEntries(
    stdout.split('\n').map(line => line.split(/ (?=\d+$)/)),
  ) as Record<string, string>;
  const [EPERM, EINVAL, ENOSYS] = ['1', '22', '38'];
  t.like(
    answers,
    {
      kexec_load: EPERM,
      userfaultfd: EPERM,
      sethostname: EPERM,
      none: ENOSYS,
      'socket 16': EINVAL,
      'socket 40': EPERM,
    },
    stderr,
  );
});

test('RuntimeDefault gives no new namespaces, and lets processes and threads begin', async t => {
  // Numbers of x86-64; flags of a user namespace, and of a network and a cgroup namespace.
  const script = `
    use threads;
    for my $flags (0x10000000, 0x42000000) {
      $! = 0; syscall(272, $flags); print "unshare ", $!+0, "\\n";
      $! = 0; my $pid = syscall(56, $flags | 17, 0, 0, 0, 0); exit if $pid == 0; print "clone ", $!+0, "\\n";
    }
    $! = 0; syscall(435, 0, 0); print "clone3 ", $!+0, "\\n";
    system("unshare", "--user", "true"); print "program ", $? == 0 ? "works" : "fails", "\\n";
    system("true"); print "process ", $?, "\\n";
    print "thread ", threads->create(sub { 7 })->join, "\\n";
  `;
  const none = {seccomp: RuntimeDefault, capabilities: {dropCapabilities: ['ALL']}};
  const {stdout, stderr} = await bench.run(
    aContainerConfig({command: perl(script), context: none}),
  );
  const [EPERM, ENOSYS] = [1, 38];
  t.is(
    stdout,
    `unshare ${EPERM}\nclone ${ENOSYS}\nunshare ${EPERM}\nclone ${ENOSYS}\nclone3 ${ENOSYS}\n` +
      'program fails\nprocess 0\nthread 7\n',
    stderr,
  );
  t.regex(stderr, /unshare failed: Operation not permitted/);
  const administrator = {seccomp: RuntimeDefault, capabilities: {addCapabilities: ['SYS_ADMIN']}};
  const command = ['unshare', '--user', 'true'];
  t.is((await bench.run(aContainerConfig({command, context: administrator}))).exitCode, 0);
});

test('a Localhost profile refuses what it names, Unconfined nothing', async t => {
  const localhostSeccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28}],
  };
  const command = ['mkdir', '/made'];
  const {Localhost, Unconfined} = SecurityProfile_ProfileType;
  const run = async (profileType: SecurityProfile_ProfileType) =>
    await bench.run(
      aContainerConfig({command, context: {seccomp: {profileType, localhostRef: 'mine.json'}}}),
      {localhostSeccomp},
    );
  t.regex((await run(Localhost)).stderr, /No space left on device/);
  t.is((await run(Unconfined)).exitCode, 0);
});

test('what this machine forbids is clamped, so that the container starts', async t => {
  const config = aContainerConfig({
    command: shell('ulimit -Hn; cat /proc/self/oom_score_adj'),
    context: {privileged: true},
    resources: {oomScoreAdj: -998n},
  });
  const input = bench.input(config);
  const ulimits = [{name: 'nofile', soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n}];
  const {stdout, stderr, exitCode} = await bench.run(config, {
    defaults: {...input.defaults, ulimits},
  });
  t.is(exitCode, 0, stderr);
  const [limit, score] = stdout.split('\n');
  const held = input.host.hardLimits['RLIMIT_NOFILE'];
  t.is(limit, held === undefined ? 'unlimited' : String(held));
  t.is(Number(score), Math.max(-998, input.host.oomScoreAdjMin));
});

test('a privileged container has the daemon’s capabilities and devices, and may mount', async t => {
  const config = aContainerConfig({
    command: shell('grep CapEff /proc/self/status; ls -l /dev/kmsg; mkdir -p /m; mount -t tmpfs none /m && echo mounted; mount | grep " on /sys "'), // prettier-ignore
    context: {privileged: true},
  });
  const {stdout, stderr} = await bench.run(config, {hostDevices: await hostDevices()});
  const own = /^CapEff:\s*(\S+)$/m.exec(await readFile('/proc/self/status', 'utf8'));
  t.regex(stdout, new RegExp(`CapEff:\\s*${own?.[1] ?? ''}`), stderr);
  t.regex(stdout, /^c.* 1, 11 .*\/dev\/kmsg$/m);
  t.regex(stdout, /^mounted$/m);
  t.regex(stdout, / on \/sys type sysfs \(rw/);
});

test('a device that was not asked for cannot be opened, one that was can', async t => {
  const script = 'mknod /fuse c 10 229 && : </fuse && echo open';
  const config = aContainerConfig({
    command: shell(script),
    context: {capabilities: {addCapabilities: ['MKNOD']}},
  });
  const refused = await bench.run(config);
  t.regex(refused.stderr, /Operation not permitted/);
  const devices = await preparedDevices([
    {containerPath: '/dev/fused', hostPath: '/dev/fuse', permissions: 'r'},
  ]);
  const granted = await bench.run(
    aContainerConfig({command: shell(': </dev/fused && echo open')}),
    {devices},
  );
  t.is(granted.stdout, 'open\n', granted.stderr);
});

test('a missing device is refused by name', async t => {
  await t.throwsAsync(
    preparedDevices([{containerPath: '', hostPath: '/dev/no-such', permissions: ''}]),
    {code: 'ERR_REQUEST_INVALID', message: /no-such/},
  );
});

test('recursively read-only covers a mount below the mount, read-only does not', async t => {
  const outer = join(bench.path, 'outer');
  await mkdir(join(outer, 'inner'), {recursive: true});
  mount({source: outer, target: outer, flags: MountFlags.BIND});
  mount({source: outer, target: outer, flags: MountFlags.PRIVATE});
  mount({source: 'tmpfs', target: join(outer, 'inner'), type: 'tmpfs'});
  try {
    const write = async (recursiveReadOnly: boolean) =>
      await bench.run(aContainerConfig({command: shell('touch /v/inner/file && echo written')}), {
        mounts: [
          {
            containerPath: '/v',
            hostPath: outer,
            readonly: true,
            recursiveReadOnly,
            propagation: MountPropagation.PROPAGATION_PRIVATE,
          },
        ],
      });
    t.is((await write(false)).stdout, 'written\n');
    t.regex((await write(true)).stderr, /Read-only file system/);
  } finally {
    unmount(join(outer, 'inner'), {detach: true});
    unmount(outer, {detach: true});
  }
});

test('a mount made on the host appears in a container that asked for propagation', async t => {
  const shared = join(bench.path, 'shared');
  await mkdir(join(shared, 'late'), {recursive: true});
  mount({source: shared, target: shared, flags: MountFlags.BIND});
  mount({source: shared, target: shared, flags: MountFlags.SHARED});
  try {
    const {id} = await bench.start(aContainerConfig({command: ['sleep', '60']}), {
      mounts: [
        {
          containerPath: '/v',
          hostPath: shared,
          readonly: false,
          recursiveReadOnly: false,
          propagation: MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
        },
      ],
    });
    const state = await bench.runtime.state(id);
    mount({source: 'tmpfs', target: join(shared, 'late'), type: 'tmpfs'});
    await writeFile(join(shared, 'late', 'file'), 'seen');
    t.is(await readFile(`/proc/${state?.pid ?? 0}/root/v/late/file`, 'utf8'), 'seen');
    unmount(join(shared, 'late'));
  } finally {
    unmount(shared, {detach: true});
  }
});

test('limits are in the cgroup, an update changes what it names and leaves the rest', async t => {
  const resources = {cpuShares: 512n, memoryLimitInBytes: 64n * MIB, cpuQuota: 50_000n};
  const config = aContainerConfig({command: ['sleep', '60'], resources});
  const {defaults, host} = bench.input(config);
  const {id, cgroup} = await bench.start(config, {defaults: {...defaults, pidsLimit: 100}});
  t.is(readCgroupStats(cgroup)?.memory?.limitBytes, Number(64n * MIB));
  const update = aContainerConfig({resources: {memoryLimitInBytes: 96n * MIB}}).linux?.resources;
  if (update === undefined) return t.fail();
  await bench.runtime.update(id, encodeSpec(resourcesForUpdate(update, host)));
  t.is(readCgroupStats(cgroup)?.memory?.limitBytes, Number(96n * MIB));
  if (host.cgroupVersion === 1) {
    const read = async (controller: string, file: string) =>
      (await readFile(join(cgroup.directories[controller] ?? '', file), 'utf8')).trim();
    t.is(await read('cpu', 'cpu.shares'), '512');
    t.is(await read('cpu', 'cpu.cfs_quota_us'), '50000');
    t.is(await read('pids', 'pids.max'), '100');
  }
});

test('a container that takes more memory than it may is counted as killed for it', async t => {
  const config = aContainerConfig({
    // The shell survives its child, so that the cgroup is still there to be read.
    command: shell('perl -e \'$x = "x" x (64 << 20)\'; sleep 60'),
    resources: {memoryLimitInBytes: 16n * MIB},
  });
  const {cgroup} = await bench.start(config);
  const kills = await waitFor(
    async () => await Promise.resolve(readOomKills(cgroup) || undefined),
    {
      signal,
      timeoutMs: 20_000,
    },
  );
  t.is(kills, 1);
});

test('CPU, memory and network of a pod are measured, and killing its cgroup ends all', async t => {
  const {cgroup, id} = await bench.start(
    aContainerConfig({command: shell('sleep 60 & while :; do :; done')}),
  );
  let nowNs = 10n ** 18n;
  const stats = createStatsCollector({nowNs: () => nowNs});
  const container = {
    id,
    metadata: {name: 'web', attempt: 0},
    labels: {},
    annotations: {},
    cgroup,
    writableLayer: {mountpoint: '/'},
  };
  const sandbox = {
    id: 's',
    metadata: {name: 'web-0', namespace: 'default', uid: 'u', attempt: 0},
    labels: {},
    annotations: {},
    cgroup: bench.pod,
    networkNamespace: bench.networkNamespace,
    containers: [container],
  };
  await waitFor(
    async () => {
      const used = stats.containerStats(container).cpu?.usageCoreNanoSeconds?.value ?? 0n;
      nowNs += 2_000_000_000n;
      return await Promise.resolve(used > 50_000_000n ? used : undefined);
    },
    {signal, timeoutMs: 20_000, intervalMs: 20},
  );
  const {linux} = stats.sandboxStats(sandbox);
  t.true((linux?.cpu?.usageCoreNanoSeconds?.value ?? 0n) >= 50_000_000n);
  t.true((linux?.memory?.workingSetBytes?.value ?? 0n) > 0n);
  t.true((linux?.process?.processCount?.value ?? 0n) >= 2n);
  t.is(linux?.network, undefined); // lo alone: nobody ran a network plugin
  t.is(
    withNetworkNamespace(bench.networkNamespace, () => 1),
    1,
  );
  t.is(linux?.containers?.length, 1);
  await killCgroup(cgroup, signal);
  const {unified, memory = unified} = cgroup.directories;
  t.is(await readFile(join(memory ?? '', 'cgroup.procs'), 'utf8'), '');
});
