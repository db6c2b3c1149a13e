import test, {type ExecutionContext} from 'ava';
import {aContainer, aContainerConfig, aMachine} from '#test/a-container';
import {isGolden} from '#test/golden';
import {NamespaceMode, SecurityProfile_ProfileType} from '#runtime/cri/gen/cri-v1_pb';
import {containerSpec} from '#runtime/spec/container-spec';
import type {ContainerSpecInput} from '#runtime/spec/input';
import {encodeSpec} from '#runtime/spec/oci-spec';
import {sandboxSpec} from '#runtime/spec/sandbox-spec';

/** RuntimeDefault is its own test: 400 names in every golden file would hide what differs. */
function isGoldenSpec(t: ExecutionContext, input: ContainerSpecInput, name: string): void {
  const {spec, notices} = containerSpec(input);
  const text = JSON.stringify(JSON.parse(encodeSpec({spec, notices})), undefined, 2);
  isGolden(t, `${text}\n`, new URL(`golden/${name}.json`, import.meta.url));
}

const envs = [{key: 'A', value: new TextEncoder().encode('1 = one')}];
const secrets = {
  containerPath: '/var/run/secrets',
  hostPath: '/var/lib/kubelet/pods/0b3e/secrets',
  readonly: true,
  recursiveReadOnly: false,
  propagation: 0,
};

test('a container of a pod has the spec that a kubelet means', t => {
  const container = aContainerConfig({
    args: ['serve', '--port=80'],
    envs,
    context: {
      noNewPrivs: true,
      readonlyRootfs: true,
      capabilities: {dropCapabilities: ['ALL'], addCapabilities: ['NET_BIND_SERVICE']},
    },
    resources: {
      cpuPeriod: 100_000n,
      cpuQuota: 50_000n,
      cpuShares: 512n,
      memoryLimitInBytes: 67_108_864n,
      memorySwapLimitInBytes: 67_108_864n,
      oomScoreAdj: 985n,
      hugepageLimits: [{pageSize: '2MB', limit: 0n}],
      unified: {'memory.oom.group': '1'},
    },
  });
  isGoldenSpec(t, aContainer({container, mounts: [secrets]}), 'pod-container');
});

test('a privileged container has every device, capability and path, and no filter', t => {
  const container = aContainerConfig({
    context: {privileged: true, seccomp: {profileType: 0}},
    tty: true,
  });
  const hostDevices = [{path: '/dev/fuse', type: 'c', major: 10, minor: 229} as const];
  const namespaces = {pid: 'host'} as const;
  isGoldenSpec(t, aContainer({container, hostDevices, namespaces}), 'privileged');
});

test('a container on a machine that forbids much is clamped, and each clamp is said', t => {
  const host = aMachine({
    capabilities: 0x1ff_feff_ffffn,
    hardLimits: {RLIMIT_NOFILE: 20_000n},
    oomScoreAdjMin: 0,
    seccomp: false,
    cgroupVersion: 1,
    controllers: new Set(['cpu', 'memory']),
    swapAccounting: false,
  });
  const container = aContainerConfig({
    context: {
      capabilities: {addCapabilities: ['SYS_RESOURCE']},
      seccomp: {profileType: 0},
    },
    resources: {
      oomScoreAdj: -997n,
      memoryLimitInBytes: 1_000_000n,
      hugepageLimits: [{pageSize: '2MB', limit: 4_194_304n}],
      unified: {'memory.high': '1'},
    },
  });
  const {defaults} = aContainer();
  const ulimits = [{name: 'nofile', soft: 1_048_576n, hard: 2n ** 64n - 1n}];
  isGoldenSpec(
    t,
    aContainer({
      container,
      host,
      systemdCgroup: false,
      cgroupsPath: '/kubepods/pod1/slipway-c',
      defaults: {...defaults, ulimits, pidsLimit: 100},
    }),
    'clamped',
  );
});

test('the init of a shared PID namespace can do nothing but wait', t => {
  const {spec} = sandboxSpec({
    sandboxId: 'd'.repeat(64),
    sandbox: aContainer().sandbox,
    rootfs: '/run/slipway/init',
    namespaces: {network: '/ns/net', ipc: '/ns/ipc', uts: '/ns/uts'},
    cgroupsPath: '/kubepods/pod1/slipway-d',
    systemdCgroup: false,
    host: aMachine({seccomp: false}),
  });
  const text = JSON.stringify(JSON.parse(encodeSpec(spec)), undefined, 2);
  isGolden(t, `${text}\n`, new URL('golden/sandbox-init.json', import.meta.url));
});

test('a filter is there when the pod asks for RuntimeDefault, and only then', t => {
  const withProfile = (profileType: SecurityProfile_ProfileType) =>
    containerSpec(aContainer({container: aContainerConfig({context: {seccomp: {profileType}}})}))
      .spec.linux.seccomp;
  t.is(withProfile(SecurityProfile_ProfileType.RuntimeDefault)?.defaultErrnoRet, 38);
  t.is(withProfile(SecurityProfile_ProfileType.Unconfined), undefined);
  t.is(containerSpec(aContainer()).spec.linux.seccomp, undefined);
});

test('a user namespace is refused, the mode of the host is not', t => {
  const withMode = (mode: NamespaceMode) => () =>
    containerSpec(
      aContainer({
        container: aContainerConfig({context: {namespaceOptions: {usernsOptions: {mode}}}}),
      }),
    );
  t.throws(withMode(NamespaceMode.POD), {code: 'ERR_NOT_IMPLEMENTED'});
  t.notThrows(withMode(NamespaceMode.NODE));
});

test('numbers beyond 2^53 reach the JSON with all their digits', t => {
  t.is(encodeSpec({limit: 2n ** 64n - 1n}), '{"limit":18446744073709551615}');
});

test('the lists of the kubelet decide what is hidden; without them ours do', t => {
  const linux = (context: object) =>
    containerSpec(aContainer({container: aContainerConfig({context})})).spec.linux;
  t.deepEqual(linux({maskedPaths: ['/proc/x'], readonlyPaths: ['/proc/y']}).maskedPaths, [
    '/proc/x',
  ]);
  t.true(linux({}).maskedPaths.includes('/proc/kcore'));
  t.true(linux({}).readonlyPaths.includes('/proc/sys'));
  t.deepEqual(linux({privileged: true}).maskedPaths, []);
});

test('a namespace without a path is the host’s, and a path is joined', t => {
  const types = (namespaces: ContainerSpecInput['namespaces']) =>
    containerSpec(aContainer({namespaces})).spec.linux.namespaces;
  t.deepEqual(types({pid: 'host'}), [{type: 'mount'}, {type: 'cgroup'}]);
  t.deepEqual(types({pid: {path: '/proc/7/ns/pid'}, network: '/n'}), [
    {type: 'mount'},
    {type: 'pid', path: '/proc/7/ns/pid'},
    {type: 'network', path: '/n'},
    {type: 'cgroup'},
  ]);
});

test('AppArmor: a named profile needs AppArmor, the default one does not', t => {
  const spec = (profile: object, host = aMachine()) =>
    containerSpec(aContainer({host, container: aContainerConfig({context: {apparmor: profile}})}))
      .spec.process.apparmorProfile;
  const armoured = aMachine({apparmor: true, apparmorDefaultProfile: 'slipway-default'});
  t.is(spec({profileType: 0}), undefined);
  t.is(spec({profileType: 0}, armoured), 'slipway-default');
  t.is(spec({profileType: 1}, armoured), 'unconfined');
  t.is(spec({profileType: 2, localhostRef: 'mine'}, armoured), 'mine');
  t.throws(() => spec({profileType: 2, localhostRef: 'mine'}), {code: 'ERR_REQUEST_INVALID'});
  t.is(containerSpec(aContainer({host: aMachine({apparmor: true})})).notices.length, 1);
});
