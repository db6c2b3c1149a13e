import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {create, type MessageInitShape} from '@bufbuild/protobuf';
import {waitFor} from '#shared/wait-for';
import {
  ContainerConfigSchema,
  ContainerState,
  NamespaceMode,
  PodSandboxConfigSchema,
  type ContainerConfig,
  type ContainerStatus,
  type LinuxContainerResourcesSchema,
  type LinuxContainerSecurityContextSchema,
  type PodSandboxConfig,
} from '#runtime/cri/gen/cri-v1_pb';
import {eventually} from '#test/eventually';
import {BUSYBOX_IMAGE} from './busybox-archive.ts';
import type {RuntimeDaemon} from './runtime-daemon.ts';

const {signal} = new AbortController();
const EXITED_MS = 20_000;
let count = 0;

export type PodOptions = Omit<
  MessageInitShape<typeof PodSandboxConfigSchema>,
  '$typeName' | 'linux'
> & {
  readonly network?: NamespaceMode;
  readonly pid?: NamespaceMode;
  readonly ipc?: NamespaceMode;
  readonly sysctls?: Record<string, string>;
};

/** A pod's configuration as a kubelet sends it; host network and own PIDs unless said otherwise. */
export function podConfig(daemon: RuntimeDaemon, options: PodOptions = {}): PodSandboxConfig {
  const {
    network = NamespaceMode.NODE,
    pid = NamespaceMode.CONTAINER,
    ipc,
    sysctls,
    ...config
  } = options;
  count += 1;
  const uid = `uid-${count}`;
  return create(PodSandboxConfigSchema, {
    metadata: {name: `pod-${count}`, namespace: 'test', uid, attempt: 0},
    logDirectory: join(daemon.folder, 'logs', uid),
    ...config,
    linux: {
      cgroupParent: daemon.cgroupParent,
      sysctls: sysctls ?? {},
      securityContext: {namespaceOptions: {network, pid, ipc: ipc ?? NamespaceMode.POD}},
    },
  });
}

export type ContainerOptions = Omit<
  MessageInitShape<typeof ContainerConfigSchema>,
  '$typeName' | 'linux'
> & {
  readonly context?: Omit<
    MessageInitShape<typeof LinuxContainerSecurityContextSchema>,
    '$typeName' | '$unknown'
  >;
  readonly resources?: MessageInitShape<typeof LinuxContainerResourcesSchema>;
};

/** A container that sleeps, unless said otherwise; its PIDs are its own. */
export function containerConfig(options: ContainerOptions = {}): ContainerConfig {
  const {context = {}, resources, metadata, ...config} = options;
  count += 1;
  const name = `app-${count}`;
  return create(ContainerConfigSchema, {
    metadata: metadata ?? {name, attempt: 0},
    image: {image: BUSYBOX_IMAGE},
    command: ['sleep', '1000'],
    logPath: `${name}/0.log`,
    ...config,
    linux: {
      securityContext: {namespaceOptions: {pid: NamespaceMode.CONTAINER}, ...context},
      ...(resources === undefined ? {} : {resources}),
    },
  });
}

/** Runs a script, and does not answer TERM by accident. */
export function shell(script: string, options: ContainerOptions = {}): ContainerOptions {
  return {command: ['sh', '-c', script], ...options};
}

/** A ready sandbox, and how its containers are used in tests. */
export class TestPod {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly #daemon: RuntimeDaemon;

  constructor(id: string, config: PodSandboxConfig, daemon: RuntimeDaemon) {
    this.id = id;
    this.config = config;
    this.#daemon = daemon;
  }

  async create(options: ContainerOptions = {}): Promise<string> {
    const {containerId} = await this.#daemon.cri().runtime.createContainer({
      podSandboxId: this.id,
      config: containerConfig(options),
      sandboxConfig: this.config,
    });
    return containerId;
  }

  async run(options: ContainerOptions = {}): Promise<string> {
    const containerId = await this.create(options);
    await this.#daemon.cri().runtime.startContainer({containerId});
    return containerId;
  }

  async remove(): Promise<void> {
    const {runtime} = this.#daemon.cri();
    await runtime.stopPodSandbox({podSandboxId: this.id});
    await runtime.removePodSandbox({podSandboxId: this.id});
  }
}

export async function aPod(daemon: RuntimeDaemon, options: PodOptions = {}): Promise<TestPod> {
  const config = podConfig(daemon, options);
  const {podSandboxId} = await daemon.cri().runtime.runPodSandbox({config});
  return new TestPod(podSandboxId, config, daemon);
}

export async function statusOf(
  daemon: RuntimeDaemon,
  containerId: string,
): Promise<ContainerStatus> {
  const {status} = await daemon.cri().runtime.containerStatus({containerId});
  if (!status) throw new Error(`no status of ${containerId}`);
  return status;
}

/** Waits for the end of a container. */
export async function exited(daemon: RuntimeDaemon, containerId: string): Promise<ContainerStatus> {
  const probe = async () => {
    const status = await statusOf(daemon, containerId);
    return status.state === ContainerState.CONTAINER_EXITED ? status : undefined;
  };
  return waitFor(probe, {signal, timeoutMs: EXITED_MS, intervalMs: 10});
}

/** The contents of a container's log, without stamps: stdout and stderr as they came. */
export async function logOf(daemon: RuntimeDaemon, containerId: string): Promise<string> {
  const {logPath} = await statusOf(daemon, containerId);
  const lines = (await readFile(logPath, 'utf8')).split('\n').filter(line => line !== '');
  return lines
    .map(line => /^\S+ (?:stdout|stderr) ([PF]) (.*)$/.exec(line))
    .map(found => `${found?.[2] ?? ''}${found?.[1] === 'F' ? '\n' : ''}`)
    .join('');
}

/** Runs a container that a SIGTERM does not end, and returns when it does so. */
export async function runStubborn(daemon: RuntimeDaemon, pod: TestPod): Promise<string> {
  const containerId = await pod.run(
    shell('trap "" TERM; echo ready; while true; do sleep 0.1; done'),
  );
  await eventually(async () => (await logOf(daemon, containerId)) === 'ready\n');
  return containerId;
}

/** Runs a script in a container and gives its standard output, without the last end of line. */
export async function execute(
  daemon: RuntimeDaemon,
  containerId: string,
  script: string,
): Promise<string> {
  const {stdout, stderr, exitCode} = await daemon.cri().runtime.execSync({
    containerId,
    cmd: ['sh', '-c', script],
    timeout: 20n,
  });
  const text = Buffer.from(stdout).toString('utf8');
  if (exitCode !== 0) {
    throw new Error(`${script}: ${exitCode}: ${text}${Buffer.from(stderr).toString('utf8')}`);
  }
  return text.replace(/\n$/, '');
}
