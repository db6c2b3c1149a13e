import type {Kubectl} from './kubectl.ts';

const READY_MS = 120_000;

/** What the tests read of a pod. */
export interface PodStatus {
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly resources?: {readonly limits?: Readonly<Record<string, string>>};
      readonly state: {
        readonly waiting?: {readonly reason: string};
        readonly terminated?: Ended;
      };
      readonly lastState: {readonly terminated?: Ended};
    }[];
  };
}

/** How a container's process ended. */
export interface Ended {
  readonly exitCode: number;
  readonly reason: string;
}

/** A pod of the namespace `runtime`. */
export async function podStatus(kube: Kubectl, name: string): Promise<PodStatus> {
  return await kube.get<PodStatus>(['pod', '--namespace', 'runtime', name]);
}

/** Waits for a pod of the namespace `runtime`. */
export async function waitUntilReady(kube: Kubectl, name: string): Promise<void> {
  const wait = ['wait', '--for=condition=Ready', `pod/${name}`, '--namespace', 'runtime'];
  await kube.run([...wait, `--timeout=${READY_MS}ms`]);
}
