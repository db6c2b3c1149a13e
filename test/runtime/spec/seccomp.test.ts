import test from 'ava';
import {aMachine} from '#test/a-container';
import {CAPABILITIES} from '#runtime/spec/capabilities';
import type {OciSeccomp} from '#runtime/spec/oci-spec';
import {containerSeccomp, defaultSeccomp} from '#runtime/spec/seccomp';

/** What the first rule that names a call says, arguments included. */
function rules({syscalls}: OciSeccomp, name: string): readonly string[] {
  return syscalls
    .filter(({names}) => names.includes(name))
    .map(({action, errnoRet, args = []}) =>
      [
        action === 'SCMP_ACT_ALLOW' ? 'allow' : `errno ${errnoRet ?? '?'}`,
        ...args.map(({index, op, value, valueTwo}) =>
          [
            index,
            op.slice('SCMP_CMP_'.length),
            value,
            ...(valueTwo === undefined ? [] : [valueTwo]),
          ].join(' '),
        ),
      ].join(', '),
    );
}

const X64 = {architecture: 'x64', x32: true};
const unprivileged = defaultSeccomp(['CAP_CHOWN'], X64);

test('RuntimeDefault: an unknown call is one that does not exist', t => {
  t.is(unprivileged.defaultAction, 'SCMP_ACT_ERRNO');
  t.is(unprivileged.defaultErrnoRet, 38);
  t.deepEqual(rules(unprivileged, 'no_such_call'), []);
});

test('RuntimeDefault: ordinary calls are allowed, dangerous ones refused', t => {
  t.deepEqual(rules(unprivileged, 'openat'), ['allow']);
  t.deepEqual(rules(unprivileged, 'kexec_load'), ['errno 1']);
  t.deepEqual(rules(unprivileged, 'userfaultfd'), ['errno 1']);
});

test('RuntimeDefault: what a capability opens depends on having it', t => {
  for (const [capability, call] of [
    ['CAP_SYS_ADMIN', 'sethostname'],
    ['CAP_SYS_CHROOT', 'chroot'],
    ['CAP_SYS_MODULE', 'init_module'],
    ['CAP_SYS_TIME', 'clock_settime'],
    ['CAP_SYS_PTRACE', 'kcmp'],
    ['CAP_DAC_READ_SEARCH', 'open_by_handle_at'],
    ['CAP_BPF', 'bpf'],
  ] as const) {
    t.deepEqual(rules(unprivileged, call), ['errno 1'], call);
    t.deepEqual(rules(defaultSeccomp([capability], X64), call), ['allow'], call);
  }
});

test('RuntimeDefault: of two rules without arguments for one call the first one stays', t => {
  t.deepEqual(rules(defaultSeccomp(['CAP_PERFMON'], X64), 'perf_event_open'), ['errno 1']);
  t.deepEqual(rules(defaultSeccomp(CAPABILITIES, X64), 'perf_event_open'), ['allow']);
  const {syscalls} = defaultSeccomp(CAPABILITIES, X64);
  const plain = syscalls.filter(({args}) => args === undefined).flatMap(({names}) => names);
  t.is(new Set(plain).size, plain.length);
});

test('RuntimeDefault: nobody gets new namespaces without CAP_SYS_ADMIN', t => {
  const [CLONE_NEWCGROUP, CLONE_NEWTIME] = [0x02000000, 0x80];
  t.deepEqual(rules(unprivileged, 'unshare'), ['errno 1']);
  const [rule = ''] = rules(unprivileged, 'clone');
  const mask = Number(/^allow, 0 MASKED_EQ (\d+) 0$/.exec(rule)?.[1]);
  t.is(mask, 0x7e020000, rule); // of sched.h: all kinds but CLONE_NEWTIME, which clone(2) has not
  t.not(mask & CLONE_NEWCGROUP, 0);
  t.is(mask & CLONE_NEWTIME, 0); // among the bits of the signal that the child's end sends
  t.deepEqual(rules(unprivileged, 'clone3'), []); // the default: no such call, so libc takes clone
  const onS390 = defaultSeccomp([], {architecture: 's390x', x32: false});
  t.deepEqual(rules(onS390, 'clone'), [`allow, 1 MASKED_EQ ${mask} 0`]);
  const administrator = defaultSeccomp(['CAP_SYS_ADMIN'], X64);
  for (const call of ['unshare', 'clone', 'clone3']) {
    t.deepEqual(rules(administrator, call), ['allow'], call);
  }
});

test('RuntimeDefault: sockets by family and protocol', t => {
  t.deepEqual(rules(unprivileged, 'socket'), [
    'errno 1, 0 EQ 40',
    'errno 22, 0 EQ 16, 2 EQ 9',
    'allow, 0 EQ 16, 2 NE 9',
    'allow, 0 NE 16',
  ]);
  t.deepEqual(rules(defaultSeccomp(['CAP_AUDIT_WRITE'], X64), 'socket'), [
    'errno 1, 0 EQ 40',
    'allow, 0 NE 40',
  ]);
});

test('RuntimeDefault: calls and architectures of the machine', t => {
  t.deepEqual(unprivileged.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  t.deepEqual(rules(unprivileged, 'arch_prctl'), ['allow']);
  const without = defaultSeccomp([], {architecture: 'x64', x32: false});
  t.deepEqual(without.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  const arm = defaultSeccomp([], {architecture: 'arm64', x32: false});
  t.deepEqual(arm.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  t.deepEqual(rules(arm, 'arch_prctl'), []);
  t.deepEqual(rules(arm, 'cacheflush'), ['allow']);
  t.is(defaultSeccomp([], {architecture: 'riscv64', x32: false}).architectures, undefined);
});

const LOCALHOST = 2;
function localhost(profile: unknown, seccomp = true) {
  return containerSeccomp({
    profile: {profileType: LOCALHOST, localhostRef: 'mine.json'},
    privileged: false,
    capabilities: [],
    host: aMachine({seccomp}),
    localhost: profile,
  }).seccomp;
}

test('Localhost: the profile is taken over, fields of the specification only', t => {
  const profile = {
    defaultAction: 'SCMP_ACT_LOG',
    architectures: ['SCMP_ARCH_X86_64'],
    flags: ['SECCOMP_FILTER_FLAG_LOG'],
    comment: 'not of the specification',
    syscalls: [
      {
        names: ['mkdir'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: 13,
        args: [{index: 1, value: 511, op: 'SCMP_CMP_EQ'}],
      },
      {names: ['chmod'], action: 'SCMP_ACT_KILL_PROCESS', args: null},
    ],
  };
  const {comment: _comment, ...fields} = profile;
  t.deepEqual(localhost(profile), {
    ...fields,
    syscalls: [profile.syscalls[0], {names: ['chmod'], action: 'SCMP_ACT_KILL_PROCESS'}],
  } as OciSeccomp);
});

const refused = test.macro((t, profile: unknown) => {
  t.throws(() => localhost(profile), {code: 'ERR_SECCOMP_PROFILE_INVALID'});
});
test('Localhost: a missing profile is refused', refused, undefined);
test('Localhost: a list is refused', refused, []);
test('Localhost: a profile without an action is refused', refused, {});
test('Localhost: an unknown action is refused', refused, {defaultAction: 'SCMP_ACT_PRAY'});
test('Localhost: rules that are no list are refused', refused, {defaultAction: 'SCMP_ACT_LOG', syscalls: {}}); // prettier-ignore
test('Localhost: a rule without names is refused', refused, {defaultAction: 'SCMP_ACT_LOG', syscalls: [{action: 'SCMP_ACT_LOG'}]}); // prettier-ignore
test('Localhost: a name that is no text is refused', refused, {defaultAction: 'SCMP_ACT_LOG', syscalls: [{names: [null], action: 'SCMP_ACT_LOG'}]}); // prettier-ignore
test('Localhost: an unknown operator is refused', refused, {defaultAction: 'SCMP_ACT_LOG', syscalls: [{names: ['a'], action: 'SCMP_ACT_LOG', args: [{index: 0, op: '=='}]}]}); // prettier-ignore
test('Localhost: more rules than anybody needs are refused', refused, {defaultAction: 'SCMP_ACT_LOG', syscalls: Array.from({length: 5000}, () => ({names: ['a'], action: 'SCMP_ACT_LOG'}))}); // prettier-ignore

test('without seccomp: RuntimeDefault is left out and said, Localhost refused', t => {
  const withoutIt = containerSeccomp({
    profile: {profileType: 0, localhostRef: ''},
    privileged: false,
    capabilities: [],
    host: aMachine({seccomp: false}),
    localhost: undefined,
  });
  t.is(withoutIt.seccomp, undefined);
  t.is(withoutIt.notices.length, 1);
  t.throws(() => localhost({defaultAction: 'SCMP_ACT_ALLOW'}, false), {
    code: 'ERR_SECCOMP_PROFILE_INVALID',
  });
});

test('a profile type that the CRI does not have is refused', t => {
  const request = {
    privileged: false,
    capabilities: [],
    host: aMachine(),
    localhost: undefined,
  };
  t.throws(() => containerSeccomp({...request, profile: {profileType: 3, localhostRef: ''}}), {
    code: 'ERR_REQUEST_INVALID',
  });
});
