import test from 'ava';
import {directPlan, readDirectContainer} from '#runtime/exec/direct-plan';

const CONFIG = {
  process: {
    terminal: false,
    user: {uid: 1000, gid: 1001, additionalGids: [1002]},
    args: ['serve'],
    env: ['PATH=/bin', 'A=1', 'A=2'],
    cwd: '/srv',
    capabilities: {effective: ['CAP_KILL'], bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_OF_MARS']},
    rlimits: [{type: 'RLIMIT_NOFILE', soft: 5, hard: 10}],
    noNewPrivileges: true,
    oomScoreAdj: -5,
  },
  linux: {
    namespaces: [{type: 'pid'}, {type: 'network', path: '/run/net'}],
    seccomp: {defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{names: ['read'], action: 'SCMP_ACT_ALLOW'}]},
  },
}; // prettier-ignore

const COMMAND = {
  containerId: 'c1',
  command: ['ls', '-l'],
  init: {pid: 42, startTime: '777'},
  cgroups: ['/sys/fs/cgroup/a'],
  filterFile: '/run/filter',
};

/** The pairs of a plan. */
function pairs(plan: Buffer | undefined): readonly string[] {
  const words = plan?.toString().split('\0') ?? [];
  return words.flatMap((word, index) =>
    index % 2 === 0 && index < words.length - 1 ? [`${word}=${words[index + 1] ?? ''}`] : [],
  );
}

function planOf(config: object, command = COMMAND): readonly string[] | undefined {
  const container = readDirectContainer(JSON.stringify(config));
  return container && pairs(directPlan(container, command));
}

test('a plan has what the container’s own process was given, and the other command', t => {
  t.deepEqual(planOf(CONFIG), [
    'pid=42',
    'start-time=777',
    'cgroup=/sys/fs/cgroup/a/cgroup.procs',
    'uid=1000',
    'gid=1001',
    'group=1002',
    'capabilities=20 0 0 21 0',
    'rlimit=7 5 10',
    'keyring=_ses.c1',
    'cwd=/srv',
    'env=PATH=/bin',
    'env=A=2',
    'arg=ls',
    'arg=-l',
    'no-new-privileges=1',
    'oom-score-adj=-5',
    'seccomp=/run/filter',
    'seccomp-flags=4',
  ]);
});

test('the AppArmor profile of a container is that of its commands', t => {
  const process = {...CONFIG.process, apparmorProfile: 'slipway-default'};
  t.true(planOf({...CONFIG, process})?.includes('apparmor=slipway-default'));
  t.false(planOf(CONFIG)?.some(pair => pair.startsWith('apparmor')));
});

test('a limit beyond 2^53 keeps its digits', t => {
  const rlimits = '"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]';
  const config = JSON.stringify(CONFIG).replace(/"rlimits":\[.*?\]/, rlimits);
  const container = readDirectContainer(config);
  t.true(container !== undefined);
  if (container === undefined) return;
  t.true(pairs(directPlan(container, COMMAND)).includes('rlimit=4 0 18446744073709551615'));
});

test('flags of a profile: none, known ones', t => {
  const withFlags = (flags: readonly string[]) => ({
    ...CONFIG,
    linux: {...CONFIG.linux, seccomp: {...CONFIG.linux.seccomp, flags}},
  });
  t.true(planOf(withFlags([]))?.includes('seccomp-flags=0'));
  const both = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW'];
  t.true(planOf(withFlags(both))?.includes('seccomp-flags=6'));
  t.is(planOf(withFlags(['SECCOMP_FILTER_FLAG_NEW_LISTENER'])), undefined);
  t.is(planOf(withFlags(['toString'])), undefined);
});

const {process, linux} = CONFIG;
const {seccomp} = linux;
const notify = {names: ['mount'], action: 'SCMP_ACT_NOTIFY'};
const left: Readonly<Record<string, object>> = {
  'an SELinux label': {process: {...process, selinuxLabel: 'l'}, linux},
  'the right to trace': {process: {...process, capabilities: {bounding: ['CAP_SYS_PTRACE']}}, linux},
  'a scheduler': {process: {...process, scheduler: {policy: 'SCHED_FIFO'}}, linux},
  'a umask': {process: {...process, user: {...process.user, umask: 7}}, linux},
  'an unknown limit': {process: {...process, rlimits: [{type: 'RLIMIT_X', soft: 1, hard: 1}]}, linux},
  'a user namespace': {process, linux: {...linux, namespaces: [{type: 'user'}]}},
  'a personality': {process, linux: {...linux, personality: {domain: 'LINUX32'}}},
  'a listener': {process, linux: {...linux, seccomp: {...seccomp, listenerPath: '/run/l'}}},
  'an action for a listener': {process, linux: {...linux, seccomp: {...seccomp, syscalls: [notify]}}},
}; // prettier-ignore
for (const [what, config] of Object.entries(left)) {
  test(`${what} is left to the runtime`, t => {
    t.is(planOf(config), undefined);
  });
}

test('a NUL in a word, which no system call takes, is left to the runtime to refuse', t => {
  const container = readDirectContainer(JSON.stringify(CONFIG));
  t.true(container !== undefined);
  if (container === undefined) return;
  t.is(directPlan(container, {...COMMAND, command: ['a\0uid\x000']}), undefined);
});
