import {NamespaceMode, SecurityProfile_ProfileType} from '#runtime/cri/gen/cri-v1_pb';
import type {Peer} from './peer.ts';
import {type Sample, summarize, timed} from './sample.ts';

export interface RunningPod {
  readonly sandboxId: string;
  readonly containerId: string;
}

const STEPS = [
  'RunPodSandbox',
  'CreateContainer',
  'StartContainer',
  'ExecSync',
  'StopContainer',
  'RemoveContainer',
  'StopPodSandbox',
  'RemovePodSandbox',
] as const;
export type Step = (typeof STEPS)[number];

/** What one pod cost, by step, in milliseconds. */
export type PodTimes = ReadonlyMap<Step, number>;

const NAMESPACES = {
  network: NamespaceMode.POD,
  ipc: NamespaceMode.POD,
  pid: NamespaceMode.CONTAINER,
};
const MEMORY_LIMIT_BYTES = 64n * 1024n * 1024n;
const CPU_PERIOD = 100_000n;

/**
 * Starts a pod as a kubelet asks for it: its own network and IPC, a PID namespace per container,
 * limits, RuntimeDefault seccomp, two bind mounts, a log file.
 */
export async function startPod(
  peer: Peer,
  {image, folder, number}: {image: string; folder: string; number: number},
  record: (step: Step, ms: number) => void = () => undefined,
): Promise<RunningPod> {
  const name = `bench-${number}`;
  const sandboxConfig = {
    metadata: {name, namespace: 'bench', uid: `${peer.name}-${name}`, attempt: 0},
    hostname: name,
    logDirectory: `${folder}/logs/${name}`,
    labels: {'io.kubernetes.pod.name': name},
    linux: {
      cgroupParent: peer.cgroupParent,
      securityContext: {namespaceOptions: NAMESPACES},
    },
  };
  const run = await timed(() => peer.cri.runtime.runPodSandbox({config: sandboxConfig}));
  record('RunPodSandbox', run.ms);
  const sandboxId = run.result.podSandboxId;
  const create = await timed(() =>
    peer.cri.runtime.createContainer({
      podSandboxId: sandboxId,
      sandboxConfig,
      config: {
        metadata: {name: 'main', attempt: 0},
        image: {image},
        command: ['/bin/sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done'],
        logPath: 'main.log',
        mounts: [
          {containerPath: '/etc/hosts', hostPath: `${folder}/hosts`},
          {containerPath: '/dev/termination-log', hostPath: `${folder}/termination-log`},
        ],
        linux: {
          resources: {
            cpuPeriod: CPU_PERIOD,
            cpuQuota: CPU_PERIOD / 2n,
            cpuShares: 256n,
            memoryLimitInBytes: MEMORY_LIMIT_BYTES,
          },
          securityContext: {
            namespaceOptions: NAMESPACES,
            seccomp: {profileType: SecurityProfile_ProfileType.RuntimeDefault},
          },
        },
      },
    }),
  );
  record('CreateContainer', create.ms);
  const {containerId} = create.result;
  const start = await timed(() => peer.cri.runtime.startContainer({containerId}));
  record('StartContainer', start.ms);
  return {sandboxId, containerId};
}

/** Stops and removes it, the way a kubelet does. */
export async function endPod(
  {cri}: Peer,
  {sandboxId, containerId}: RunningPod,
  record: (step: Step, ms: number) => void = () => undefined,
): Promise<void> {
  const steps: readonly [Step, () => Promise<unknown>][] = [
    ['StopContainer', () => cri.runtime.stopContainer({containerId, timeout: 10n})],
    ['RemoveContainer', () => cri.runtime.removeContainer({containerId})],
    ['StopPodSandbox', () => cri.runtime.stopPodSandbox({podSandboxId: sandboxId})],
    ['RemovePodSandbox', () => cri.runtime.removePodSandbox({podSandboxId: sandboxId})],
  ];
  for (const [step, work] of steps) record(step, (await timed(work)).ms);
}

/** A probe runs again and again: the first exec of a container is not what counts. */
const EXECS = 10;

/** The life of one pod, with some execs in it. */
export async function cyclePod(
  peer: Peer,
  options: {image: string; folder: string; number: number},
): Promise<PodTimes> {
  const times = new Map<Step, number>();
  const record = (step: Step, ms: number) => times.set(step, ms);
  const pod = await startPod(peer, options, record);
  const {containerId} = pod;
  const execs: number[] = [];
  for (let count = 0; count < EXECS; count += 1) {
    const call = () => peer.cri.runtime.execSync({containerId, cmd: ['/bin/true']});
    const {result, ms} = await timed(call);
    if (result.exitCode !== 0) throw new Error(`${peer.name}: exec ended with an error`);
    execs.push(ms);
  }
  record('ExecSync', summarize(execs).p50);
  await endPod(peer, pod, record);
  return times;
}

/** By step, and the sum that a user waits for: Run, Create and Start. */
export function summarizePods(pods: readonly PodTimes[]): ReadonlyMap<string, Sample> {
  const of = (step: Step) => pods.map(times => times.get(step) ?? Number.NaN);
  const sum = (...steps: readonly Step[]) =>
    pods.map(times => steps.reduce((total, step) => total + (times.get(step) ?? 0), 0));
  return new Map<string, Sample>([
    ['pod start', summarize(sum('RunPodSandbox', 'CreateContainer', 'StartContainer'))],
    [
      'pod end',
      summarize(sum('StopContainer', 'RemoveContainer', 'StopPodSandbox', 'RemovePodSandbox')),
    ],
    ...STEPS.map((step): [string, Sample] => [step, summarize(of(step))]),
  ]);
}
