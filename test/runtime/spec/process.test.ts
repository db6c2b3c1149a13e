import test from 'ava';
import {ALL_CAPABILITIES, aMachine} from '#test/a-container';
import {CAPABILITIES, containerCapabilities, heldCapabilities} from '#runtime/spec/capabilities';
import {oomScoreAdjustment, processLimits} from '#runtime/spec/limits';
import {processArguments, processEnvironment, workingDirectory} from '#runtime/spec/process';
import {criSignal, signalNumber, stopSignal} from '#runtime/spec/stop-signal';
import {resolveUser, type UserRequest} from '#runtime/spec/user';

const bytes = (text: string) => new TextEncoder().encode(text);

const lines = test.macro(
  (
    t,
    {command = [], args = []}: {command?: string[]; args?: string[]},
    expected: string[] | undefined,
    image: {entrypoint?: string[]; cmd?: string[]} = {entrypoint: ['/e'], cmd: ['c']},
  ) => {
    const line = () => processArguments({command, args}, image);
    if (expected === undefined) t.throws(line, {code: 'ERR_REQUEST_INVALID'});
    else t.deepEqual(line(), expected);
  },
);
test('neither command nor args: the image’s entry point and command', lines, {}, ['/e', 'c']);
test('args alone replace the image’s command', lines, {args: ['a']}, ['/e', 'a']);
test('a command replaces both', lines, {command: ['x']}, ['x']);
test('command and args stand together', lines, {command: ['x'], args: ['a']}, ['x', 'a']);
test('an image with a command only runs it', lines, {}, ['c'], {cmd: ['c']});
test('nothing to run is refused', lines, {}, undefined, {});
test('an empty program name is refused', lines, {command: ['']}, undefined);
test('a NUL byte in an argument is refused', lines, {command: ['a\0b']}, undefined);

test('the working folder: CRI, then image, then the root; relative ones count from the root', t => {
  t.is(workingDirectory({workingDir: '/a'}, {workingDir: '/b'}), '/a');
  t.is(workingDirectory({workingDir: ''}, {workingDir: 'b'}), '/b');
  t.is(workingDirectory({workingDir: ''}, {}), '/');
});

test('environment: configuration, image, container; the last one wins, each key stands once', t => {
  t.deepEqual(
    processEnvironment({
      defaults: ['A=daemon', 'B=daemon', 'C=daemon'],
      image: ['PATH=/image', 'B=image', 'C=image', 'without-value'],
      container: [{key: 'C', value: bytes('x=y')}],
      hostname: 'h',
      terminal: true,
    }),
    ['PATH=/image', 'HOSTNAME=h', 'TERM=xterm', 'A=daemon', 'B=image', 'C=x=y'],
  );
});

const environment = test.macro((t, key: string, value: Uint8Array) => {
  t.throws(
    () =>
      processEnvironment({
        defaults: [],
        image: [],
        container: [{key, value}],
        hostname: 'h',
        terminal: false,
      }),
    {code: 'ERR_REQUEST_INVALID'},
  );
});
test('an empty variable name is refused', environment, '', bytes('1'));
test('a variable name with "=" is refused', environment, 'A=B', bytes('1'));
test('a NUL byte in a value is refused', environment, 'A', bytes('a\0b'));
test('a value that is not UTF-8 is refused', environment, 'A', new Uint8Array([0xff, 0xfe]));

const granted = test.macro(
  (
    t,
    asked: {add?: string[]; drop?: string[]; ambient?: string[]; privileged?: boolean},
    expected: readonly string[],
  ) => {
    const {capabilities, notices} = containerCapabilities({
      defaults: ['CHOWN', 'KILL'],
      add: [],
      drop: [],
      ambient: [],
      privileged: false,
      held: ALL_CAPABILITIES,
      ...asked,
    });
    t.deepEqual(capabilities.bounding, expected);
    t.deepEqual(capabilities.permitted, expected);
    t.deepEqual(capabilities.effective, expected);
    t.deepEqual(notices, []);
  },
);
test('capabilities: the defaults', granted, {}, ['CAP_CHOWN', 'CAP_KILL']);
test('capabilities: added with and without CAP_, in any case', granted, {add: ['CAP_BPF', 'sys_time']}, ['CAP_CHOWN', 'CAP_KILL', 'CAP_SYS_TIME', 'CAP_BPF']); // prettier-ignore
test('capabilities: dropped', granted, {drop: ['cap_kill']}, ['CAP_CHOWN']);
test('capabilities: all dropped, one added', granted, {drop: ['ALL'], add: ['KILL']}, ['CAP_KILL']);
test('capabilities: all added, one dropped', granted, {add: ['all'], drop: ['CHOWN']}, CAPABILITIES.slice(1)); // prettier-ignore
test('capabilities: a drop wins over an add', granted, {add: ['BPF'], drop: ['BPF', 'ALL']}, []);
test('capabilities: privileged has all, whatever is dropped', granted, {privileged: true, drop: ['ALL']}, CAPABILITIES); // prettier-ignore

test('an ambient capability is inheritable too, and nothing else is', t => {
  const {capabilities} = containerCapabilities({
    defaults: ['CHOWN'],
    add: [],
    drop: ['ALL'],
    ambient: ['NET_BIND_SERVICE'],
    privileged: false,
    held: ALL_CAPABILITIES,
  });
  t.deepEqual(capabilities.ambient, ['CAP_NET_BIND_SERVICE']);
  t.deepEqual(capabilities.inheritable, ['CAP_NET_BIND_SERVICE']);
  t.deepEqual(capabilities.bounding, ['CAP_NET_BIND_SERVICE']);
});

test('a capability that the daemon does not hold is left out, and said', t => {
  const {capabilities, notices} = containerCapabilities({
    defaults: [],
    add: [],
    drop: [],
    ambient: [],
    privileged: true,
    held: ALL_CAPABILITIES & ~(1n << 24n),
  });
  t.false(capabilities.bounding.includes('CAP_SYS_RESOURCE'));
  t.is(capabilities.bounding.length, CAPABILITIES.length - 1);
  t.is(notices.length, 1);
  t.deepEqual(heldCapabilities(0b101n), ['CAP_CHOWN', 'CAP_DAC_READ_SEARCH']);
});

test('an unknown capability is refused', t => {
  const request = {add: [], drop: [], ambient: [], privileged: false, held: 0n};
  t.throws(() => containerCapabilities({...request, defaults: ['FLY']}), {
    code: 'ERR_REQUEST_INVALID',
  });
});

test('limits are clamped to the daemon’s hard limits; what fits stays', t => {
  const {rlimits, notices} = processLimits(
    [
      {name: 'nofile', soft: 5000n, hard: 2n ** 64n - 1n},
      {name: 'RLIMIT_CORE', soft: 0n, hard: 0n},
      {name: 'nproc', soft: 9n, hard: 9n},
    ],
    {hardLimits: {RLIMIT_NOFILE: 4096n, RLIMIT_CORE: 'unlimited'}},
  );
  t.deepEqual(rlimits, [
    {type: 'RLIMIT_NOFILE', soft: 4096n, hard: 4096n},
    {type: 'RLIMIT_CORE', soft: 0n, hard: 0n},
    {type: 'RLIMIT_NPROC', soft: 9n, hard: 9n},
  ]);
  t.is(notices.length, 1);
});

test('the out-of-memory score stays in the kernel’s range and above the machine’s floor', t => {
  const free = aMachine();
  t.is(oomScoreAdjustment(-2000n, free).oomScoreAdj, -1000);
  t.is(oomScoreAdjustment(2000n, free).oomScoreAdj, 1000);
  t.deepEqual(oomScoreAdjustment(-998n, free), {oomScoreAdj: -998, notices: []});
  t.is(oomScoreAdjustment(-998n, {oomScoreAdjMin: 0}).notices.length, 1);
  t.is(oomScoreAdjustment(-998n, {oomScoreAdjMin: 0}).oomScoreAdj, 0);
});

test('the stop signal: CRI before image before TERM', t => {
  t.is(stopSignal(12, 'SIGUSR1'), 6); // SIGNAL_SIGIOT is the kernel's ABRT
  t.is(stopSignal(0, 'SIGUSR1'), 10);
  t.is(stopSignal(0, 'RTMIN+3'), 37);
  t.is(stopSignal(0, '9'), 9);
  t.is(stopSignal(0, undefined), 15);
  t.is(stopSignal(0, 'SIGNONSENSE'), 15);
  t.is(stopSignal(35, undefined), 34);
  t.is(stopSignal(65, undefined), 64);
  t.throws(() => stopSignal(66, undefined), {code: 'ERR_REQUEST_INVALID'});
  t.throws(() => stopSignal(-1, undefined), {code: 'ERR_REQUEST_INVALID'});
});

test('signals are found by any of their names, and go back to the CRI’s number', t => {
  t.is(signalNumber(' sigterm '), 15);
  t.is(signalNumber('RTMAX-14'), 50);
  t.is(signalNumber('RTMIN+31'), undefined);
  t.is(signalNumber('RTMAX-31'), undefined);
  t.is(signalNumber('constructor'), undefined);
  t.is(signalNumber('0'), undefined);
  for (const number of [1, 9, 15, 34, 50, 64])
    t.is(stopSignal(criSignal(number), undefined), number);
  t.is(criSignal(33), 0);
});

const PASSWD = `root:x:0:0::/root:/bin/sh
# a comment
web:x:1000:2000::/home/web:/bin/sh
broken:x:many:0::/:/bin/sh
`;
const GROUP = `root:x:0:
web:x:2000:
logs:x:3000:web,other
audio:x:4000:other
`;
const user = test.macro(
  (
    t,
    asked: Partial<UserRequest>,
    expected: {uid: number; gid: number; additionalGids: number[]} | undefined,
  ) => {
    const resolve = () =>
      resolveUser({
        supplementalGroups: [],
        strictGroups: false,
        imageUser: '',
        passwd: PASSWD,
        group: GROUP,
        ...asked,
      });
    if (expected === undefined) t.throws(resolve, {code: 'ERR_USER_INVALID'});
    else t.deepEqual(resolve(), expected);
  },
);
const web = {uid: 1000, gid: 2000, additionalGids: [2000, 3000]};
test('user: root when nobody says', user, {}, {uid: 0, gid: 0, additionalGids: [0]});
test('user: of the image, by name', user, {imageUser: 'web'}, web);
test('user: of the image, by number, with its passwd entry', user, {imageUser: '1000'}, web);
test('user: of the image, with a group by name', user, {imageUser: 'web:logs'}, {uid: 1000, gid: 3000, additionalGids: [3000]}); // prettier-ignore
test('user: of the image, with a group by number', user, {imageUser: '7:8'}, {uid: 7, gid: 8, additionalGids: [8]}); // prettier-ignore
test(
  'user: the request’s name before its number',
  user,
  {runAsUsername: 'web', runAsUser: 5n},
  web,
);
test('user: the request’s number before the image', user, {runAsUser: 5n, imageUser: 'web'}, {uid: 5, gid: 0, additionalGids: [0]}); // prettier-ignore
test('user: the group of the request', user, {runAsUser: 1000n, runAsGroup: 9n}, {uid: 1000, gid: 9, additionalGids: [9, 3000]}); // prettier-ignore
test('user: the group of the request with the image’s user', user, {runAsGroup: 9n, imageUser: 'web:logs'}, {uid: 1000, gid: 9, additionalGids: [9, 3000]}); // prettier-ignore
test('user: supplemental groups are merged with the image’s', user, {imageUser: 'web', supplementalGroups: [50n, 3000n]}, {...web, additionalGids: [2000, 3000, 50]}); // prettier-ignore
test('user: strict groups leave the image’s out', user, {imageUser: 'web', strictGroups: true, supplementalGroups: [50n]}, {...web, additionalGids: [2000, 50]}); // prettier-ignore
test('user: an image without passwd knows numbers only', user, {runAsUser: 5n, passwd: '', group: ''}, {uid: 5, gid: 0, additionalGids: [0]}); // prettier-ignore
const digits = {
  passwd: '1000:x:0:0::/:/bin/sh\n-7:x:0:0::/:/bin/sh\n',
  group: '1000:x:0:\n5:x:0:\n',
};
test('user: a number of the request is no name of the image', user, {...digits, runAsUser: 1000n, runAsGroup: 1000n}, {uid: 1000, gid: 1000, additionalGids: [1000]}); // prettier-ignore
test('user: a number of the image’s USER is no name of its accounts', user, {...digits, imageUser: '1000:5'}, {uid: 1000, gid: 5, additionalGids: [5]}); // prettier-ignore
test('user: a number given as the request’s name is no name', user, {...digits, runAsUsername: '1000'}, {uid: 1000, gid: 0, additionalGids: [0]}); // prettier-ignore
test('user: a negative number is refused, also where an account is called so', user, {...digits, imageUser: '-7'}, undefined); // prettier-ignore
test('user: an unknown name is refused', user, {imageUser: 'nobody-knows'}, undefined);
test('user: an unknown group is refused', user, {imageUser: 'web:none'}, undefined);
test('user: a group without a user is refused', user, {runAsGroup: 9n}, undefined);
test('user: a negative number is refused', user, {runAsUser: -1n}, undefined);
test('user: a number beyond 31 bits is refused', user, {runAsUser: 2_147_483_648n}, undefined);
test('user: a supplemental group out of range is refused', user, {supplementalGroups: [-5n]}, undefined); // prettier-ignore
test('user: an entry with a broken number is no entry', user, {imageUser: 'broken'}, undefined);
