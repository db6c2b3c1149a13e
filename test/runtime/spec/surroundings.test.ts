import test from 'ava';
import {aMachine} from '#test/a-container';
import {containerDevices} from '#runtime/spec/devices';
import type {ContainerResources, PreparedMount} from '#runtime/spec/input';
import {
  cleanPath,
  containerMounts,
  propagationProblem,
  type MountsRequest,
} from '#runtime/spec/mounts';
import {containerResources, noResources, resourcesForUpdate} from '#runtime/spec/resources';
import {sandboxSysctls} from '#runtime/spec/sysctls';

function aMount(containerPath: string, changes: Partial<PreparedMount> = {}): PreparedMount {
  return {
    containerPath,
    hostPath: `/host${containerPath}`,
    readonly: false,
    recursiveReadOnly: false,
    propagation: 0,
    ...changes,
  };
}

function mounts(own: readonly PreparedMount[], changes: Partial<MountsRequest> = {}) {
  return containerMounts({
    mounts: own,
    files: {shm: '/s/shm', resolvConf: '/s/resolv.conf'},
    privileged: false,
    readonlyRootfs: false,
    host: {recursiveReadOnly: true},
    ...changes,
  });
}

test('mounts come by depth, so that one inside another comes after it', t => {
  const {mounts: all} = mounts([aMount('/a/b/c'), aMount('/z'), aMount('/a/b')]);
  t.deepEqual(
    all.slice(-3).map(({destination}) => destination),
    ['/z', '/a/b', '/a/b/c'],
  );
});

test('a mount of the request replaces ours at the same place, however it is written', t => {
  const {mounts: all} = mounts([aMount('/etc/../etc/resolv.conf/'), aMount('/sys')]);
  const at = (path: string) => all.filter(({destination}) => destination === path);
  t.deepEqual(
    at('/etc/resolv.conf').map(({source}) => source),
    ['/host/etc/../etc/resolv.conf/'],
  );
  t.deepEqual(
    at('/sys').map(({type}) => type),
    ['bind'],
  );
});

test('the host’s /dev takes the place of all that we would put below', t => {
  const {mounts: all} = mounts([aMount('/dev')]);
  t.deepEqual(
    all.filter(({destination}) => destination.startsWith('/dev')).map(({type}) => type),
    ['bind'],
  );
});

test('access and propagation become mount options, and the root takes the strongest', t => {
  const options = (changes: Partial<PreparedMount>) => {
    const result = mounts([aMount('/m', changes)]);
    return {options: result.mounts.at(-1)?.options, root: result.rootfsPropagation};
  };
  t.deepEqual(options({}), {options: ['rbind', 'rprivate', 'rw'], root: undefined});
  t.deepEqual(options({readonly: true, propagation: 1}), {
    options: ['rbind', 'rslave', 'ro'],
    root: 'rslave',
  });
  t.deepEqual(options({propagation: 2}), {options: ['rbind', 'rshared', 'rw'], root: 'rshared'});
  t.deepEqual(options({readonly: true, recursiveReadOnly: true}).options, [
    'rbind',
    'rprivate',
    'ro',
    'rro',
  ]);
  const both = mounts([aMount('/a', {propagation: 2}), aMount('/b', {propagation: 1})]);
  t.is(both.rootfsPropagation, 'rshared');
});

test('privileged means that /sys and the cgroups can be written', t => {
  const access = (privileged: boolean) =>
    mounts([], {privileged})
      .mounts.filter(({destination}) => destination.startsWith('/sys'))
      .map(({options}) => options.at(-1));
  t.deepEqual(access(false), ['ro', 'ro']);
  t.deepEqual(access(true), ['rw', 'rw']);
});

test('a mount over the root, of a relative path or an unknown propagation is refused', t => {
  for (const mount of [aMount('/'), aMount('a'), aMount('/..'), aMount('/m', {propagation: 3})]) {
    t.throws(() => mounts([mount]), {code: 'ERR_REQUEST_INVALID'});
  }
});

test('recursively read-only: the kubelet’s word when the machine cannot, refused when it makes no sense', t => {
  const rro = aMount('/m', {readonly: true, recursiveReadOnly: true});
  t.throws(() => mounts([rro], {host: {recursiveReadOnly: false}}), {
    code: 'ERR_RECURSIVE_READ_ONLY',
    message: /^RROUnsupported: /,
  });
  t.throws(() => mounts([{...rro, readonly: false}]), {code: 'ERR_REQUEST_INVALID'});
  t.throws(() => mounts([{...rro, propagation: 1}]), {code: 'ERR_REQUEST_INVALID'});
});

test('a private mount over the daemon’s own folders sees what is unmounted there', t => {
  const daemonDirectories = ['/var/lib/slipway/cri', '/run/slipway'];
  const propagation = (hostPath: string, asked = 0) =>
    mounts([aMount('/host', {hostPath, propagation: asked})], {daemonDirectories}).mounts.at(-1)
      ?.options[1];
  t.is(propagation('/'), 'rslave');
  t.is(propagation('/var/lib/'), 'rslave');
  t.is(propagation('/run/slipway'), 'rslave');
  t.is(propagation('/var/log'), 'rprivate');
  t.is(propagation('/run/slip'), 'rprivate');
  t.is(propagation('/', 2), 'rshared');
});

test('a path is cleaned without looking at it', t => {
  t.is(cleanPath('/a//b/./../c/'), '/a/c');
  t.is(cleanPath('/../..'), '/');
});

const MOUNTINFO = `22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:5 / /shared rw shared:1 - tmpfs tmpfs rw
31 22 0:6 / /shared/private\\040one rw - tmpfs tmpfs rw
32 22 0:7 / /slave rw master:1 - tmpfs tmpfs rw
`;
test('propagation is possible where the mount below the path is shared, or at least a slave', t => {
  const problem = (hostPath: string, propagation: number) =>
    propagationProblem(MOUNTINFO, {hostPath, propagation});
  t.is(problem('/anything', 0), undefined);
  t.is(problem('/shared/deep/down', 2), undefined);
  t.is(problem('/slave', 1), undefined);
  t.regex(problem('/slave', 2) ?? '', /not a shared mount/);
  t.regex(problem('/shared/private one/x', 1) ?? '', /not a shared or slave/);
  t.regex(problem('/sharedness', 2) ?? '', /is on \/,/);
});

test('devices: all refused but the listed; privileged gets the host’s, the request’s word wins', t => {
  const fuse = {path: '/dev/fuse', type: 'c', major: 10, minor: 229, permissions: 'rw'} as const;
  const {permissions: _permissions, ...node} = fuse;
  t.deepEqual(containerDevices({devices: [fuse], hostDevices: [], privileged: false}), {
    devices: [node],
    rules: [
      {allow: false, access: 'rwm'},
      {allow: true, type: 'c', major: 10, minor: 229, access: 'rw'},
    ],
  });
  const all = containerDevices({
    devices: [{...fuse, major: 1}],
    hostDevices: [node],
    privileged: true,
  });
  t.deepEqual(all, {devices: [{...node, major: 1}], rules: [{allow: true, access: 'rwm'}]});
  for (const wrong of [{permissions: 'x'}, {permissions: ''}, {path: 'dev/fuse'}]) {
    t.throws(
      () => containerDevices({devices: [{...fuse, ...wrong}], hostDevices: [], privileged: false}),
      {code: 'ERR_REQUEST_INVALID'},
    );
  }
});

const limits = (changes: Partial<ContainerResources> = {}): ContainerResources => ({
  ...noResources,
  ...changes,
});

test('zero and empty limits are not set; the configuration’s pids limit is', t => {
  const resources = (wanted: ContainerResources | undefined, pidsLimit: number) =>
    containerResources(wanted, {host: aMachine(), pidsLimit}).resources;
  t.deepEqual(resources(limits(), -1), {});
  t.deepEqual(resources(undefined, 10), {pids: {limit: 10}});
});

test('memory: swap follows the limit, is counted with it, and is left out where it is not counted', t => {
  const memory = (wanted: Partial<ContainerResources>, host = aMachine()) =>
    containerResources(limits(wanted), {host, pidsLimit: 0}).resources.memory;
  t.deepEqual(memory({memoryLimitInBytes: 9n}), {limit: 9n, swap: 9n});
  t.deepEqual(memory({memoryLimitInBytes: 9n, memorySwapLimitInBytes: 12n}), {
    limit: 9n,
    swap: 12n,
  });
  t.deepEqual(memory({memoryLimitInBytes: 9n, memorySwapLimitInBytes: -1n}), {
    limit: 9n,
    swap: -1n,
  });
  t.deepEqual(memory({memoryLimitInBytes: -1n}), {limit: -1n, swap: -1n});
  t.deepEqual(memory({memoryLimitInBytes: 9n}, aMachine({swapAccounting: false})), {limit: 9n});
  t.throws(() => memory({memoryLimitInBytes: 9n, memorySwapLimitInBytes: 8n}), {
    code: 'ERR_REQUEST_INVALID',
  });
});

test('malformed cpusets, page sizes and unified keys are refused', t => {
  for (const wanted of [
    {cpusetCpus: '0-'},
    {cpusetMems: 'all'},
    {hugepageLimits: [{pageSize: '2M', limit: 1n}]},
    {unified: {'../memory.max': '1'}},
  ]) {
    t.throws(() => containerResources(limits(wanted), {host: aMachine(), pidsLimit: 0}), {
      code: 'ERR_REQUEST_INVALID',
    });
  }
  t.deepEqual(
    containerResources(limits({cpusetCpus: '0-3,5', cpusetMems: '0'}), {
      host: aMachine(),
      pidsLimit: 0,
    }).resources,
    {cpu: {cpus: '0-3,5', mems: '0'}},
  );
});

test('an update holds what it sets, nothing else; v2 checks a limit against the use before', t => {
  const wanted = limits({cpuShares: 256n, memoryLimitInBytes: 9n});
  t.deepEqual(resourcesForUpdate(wanted, aMachine()), {
    cpu: {shares: 256n},
    memory: {limit: 9n, swap: 9n, checkBeforeUpdate: true},
  });
  t.deepEqual(resourcesForUpdate(wanted, aMachine({cgroupVersion: 1})).memory, {
    limit: 9n,
    swap: 9n,
  });
  t.deepEqual(resourcesForUpdate(limits(), aMachine()), {});
});

test('sysctls: requested over default, both in dotted form', t => {
  t.deepEqual(
    sandboxSysctls({
      requested: {
        'net/ipv4/conf/eth0.1/forwarding': '1',
        'net.ipv4.ping_group_range': '0 2147483647',
        'kernel.shm_rmid_forced': '1',
        'fs.mqueue.msg_max': '100',
      },
      defaults: {'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '1 0'},
      hostNetwork: false,
      hostIpc: false,
    }),
    {
      'net.ipv4.ip_unprivileged_port_start': '0',
      'net.ipv4.ping_group_range': '0 2147483647',
      'net.ipv4.conf.eth0/1.forwarding': '1',
      'kernel.shm_rmid_forced': '1',
      'fs.mqueue.msg_max': '100',
    },
  );
});

test('a default sysctl is left out where the namespace is the host’s', t => {
  const defaults = {'net.ipv4.ip_unprivileged_port_start': '0', 'kernel.sem': '1 2 3 4'};
  const sysctls = (hostNetwork: boolean, hostIpc: boolean) =>
    Object.keys(sandboxSysctls({requested: {}, defaults, hostNetwork, hostIpc}));
  t.deepEqual(sysctls(true, false), ['kernel.sem']);
  t.deepEqual(sysctls(false, true), ['net.ipv4.ip_unprivileged_port_start']);
});

const refusedSysctl = test.macro(
  (t, name: string, value: string, host: {hostNetwork?: boolean; hostIpc?: boolean} = {}) => {
    t.throws(
      () =>
        sandboxSysctls({
          requested: {[name]: value},
          defaults: {},
          hostNetwork: false,
          hostIpc: false,
          ...host,
        }),
      {code: 'ERR_SYSCTL_REFUSED'},
    );
  },
);
test('a sysctl of the whole machine is refused', refusedSysctl, 'vm.swappiness', '1');
test('a sysctl that only begins like a namespaced one is refused', refusedSysctl, 'kernel.shmall.x', '1'); // prettier-ignore
test('kernel.hostname is refused', refusedSysctl, 'kernel.hostname', 'x');
test('a sysctl that climbs is refused', refusedSysctl, 'net/../kernel/panic', '1');
test('a sysctl with an empty part is refused', refusedSysctl, 'net..x', '1');
test('a network sysctl in the host’s network is refused', refusedSysctl, 'net.core.somaxconn', '1', {hostNetwork: true}); // prettier-ignore
test('an IPC sysctl in the host’s IPC namespace is refused', refusedSysctl, 'kernel.msgmax', '1', {hostIpc: true}); // prettier-ignore
test('a value of two lines is refused', refusedSysctl, 'net.core.somaxconn', '1\n2');
test('a backward range of groups may be asked, half a range not', refusedSysctl, 'net.ipv4.ping_group_range', '5'); // prettier-ignore
