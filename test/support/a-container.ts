import {create, type MessageInitShape} from '@bufbuild/protobuf';
import {
  ContainerConfigSchema,
  LinuxContainerResourcesSchema,
  LinuxContainerSecurityContextSchema,
  type ContainerConfig,
} from '#runtime/cri/gen/cri-v1_pb';
import type {ContainerSpecInput, HostAbilities} from '#runtime/spec/input';

/** Every capability that Linux 6 has. */
export const ALL_CAPABILITIES = 0x1ff_ffff_ffffn;

/** A machine that forbids nothing. */
export function aMachine(changes: Partial<HostAbilities> = {}): HostAbilities {
  return {
    capabilities: ALL_CAPABILITIES,
    hardLimits: {},
    oomScoreAdjMin: -1000,
    seccomp: true,
    apparmor: false,
    selinux: false,
    cgroupVersion: 2,
    controllers: new Set(['cpu', 'cpuset', 'hugetlb', 'io', 'memory', 'pids']),
    swapAccounting: true,
    recursiveReadOnly: true,
    architecture: 'x64',
    x32: true,
    ...changes,
  };
}

/** A container as a kubelet would ask for it: generated messages, as they come in. */
export function aContainerConfig({
  context = {},
  resources,
  ...config
}: Omit<MessageInitShape<typeof ContainerConfigSchema>, '$typeName' | 'linux'> & {
  readonly context?: MessageInitShape<typeof LinuxContainerSecurityContextSchema>;
  readonly resources?: MessageInitShape<typeof LinuxContainerResourcesSchema>;
} = {}): ContainerConfig {
  return create(ContainerConfigSchema, {
    metadata: {name: 'web', attempt: 0},
    image: {image: 'sha256:1'},
    ...config,
    linux: {securityContext: context, ...(resources === undefined ? {} : {resources})},
  });
}

/** All that `containerSpec` wants, but for what the test says otherwise. */
export function aContainer(changes: Partial<ContainerSpecInput> = {}): ContainerSpecInput {
  return {
    containerId: 'c'.repeat(64),
    sandboxId: 'd'.repeat(64),
    sandbox: {
      metadata: {name: 'web-0', namespace: 'default', uid: '0b3e'},
      annotations: {},
    },
    container: aContainerConfig(),
    image: {env: ['PATH=/bin'], entrypoint: ['/entry'], cmd: ['serve'], workingDir: '/srv'},
    user: {uid: 0, gid: 0, additionalGids: [0]},
    rootfs: '/var/lib/slipway/rootfs',
    namespaces: {
      network: '/run/slipway/ns/net',
      ipc: '/run/slipway/ns/ipc',
      uts: '/run/slipway/ns/uts',
      pid: 'container',
    },
    mounts: [],
    devices: [],
    hostDevices: [],
    files: {
      resolvConf: '/run/slipway/s/resolv.conf',
      hostname: '/run/slipway/s/hostname',
      shm: '/run/slipway/s/shm',
    },
    hostname: 'web-0',
    cgroupsPath: `kubepods-pod0b3e.slice:slipway:${'c'.repeat(64)}`,
    systemdCgroup: true,
    host: aMachine(),
    defaults: {
      capabilities: ['CHOWN', 'NET_BIND_SERVICE', 'SETGID', 'SETUID'],
      ulimits: [],
      env: [],
      pidsLimit: 0,
    },
    ...changes,
  };
}
