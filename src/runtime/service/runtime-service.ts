import {CodedError} from '#shared/errors';
import type {CallContext, RuntimeServiceHandlers} from '../cri/handlers.ts';
import type {RuntimeErrorCode} from '../errors.ts';
import {createContainer} from './container-create.ts';
import {execSync} from './container-exec.ts';
import {containerStatus, listContainers, streamContainers} from './container-list.ts';
import {reopenContainerLog} from './container-log.ts';
import {removeContainer} from './container-remove.ts';
import {startContainer} from './container-start.ts';
import {stopContainer} from './container-stop.ts';
import {updateContainerResources} from './container-update.ts';
import type {Dependencies} from './dependencies.ts';
import {listPodSandbox, podSandboxStatus, streamPodSandboxes} from './sandbox-list.ts';
import {removePodSandbox} from './sandbox-remove.ts';
import {runPodSandbox} from './sandbox-run.ts';
import {stopPodSandbox} from './sandbox-stop.ts';
import {
  containerStats,
  listContainerStats,
  listPodSandboxStats,
  podSandboxStats,
  streamContainerStats,
  streamPodSandboxStats,
} from './stats.ts';
import {runtimeConfig, status, version} from './status.ts';
import {attach, exec, portForward} from './streaming.ts';

/** All RPCs of CRI v1's RuntimeService. */
export function runtimeService(deps: Dependencies): RuntimeServiceHandlers {
  return {
    ...podService(deps),
    ...containerService(deps),
    ...statsService(deps),
    version: () => version(deps),
    status: request => status(request, deps),
    runtimeConfig: () => runtimeConfig(deps),
    // Success without effect: the network plugin owns the addresses of pods.
    updateRuntimeConfig: () => Promise.resolve({}),
    getContainerEvents: (_request, {signal}: CallContext) => deps.events.subscribe(signal),
    checkpointContainer: () => notImplemented('CheckpointContainer'),
    checkpointPod: () => notImplemented('CheckpointPod'),
    restorePod: () => notImplemented('RestorePod'),
  };
}

function podService(deps: Dependencies) {
  return {
    runPodSandbox: (request, context) => runPodSandbox(request, context, deps),
    stopPodSandbox: (request, context) => stopPodSandbox(request, context, deps),
    removePodSandbox: (request, context) => removePodSandbox(request, context, deps),
    podSandboxStatus: request => podSandboxStatus(request, deps),
    listPodSandbox: request => listPodSandbox(request, deps),
    streamPodSandboxes: request => streamPodSandboxes(request, deps),
    // A notice only: the kubelet has changed the pod's cgroup itself.
    updatePodSandboxResources: () => Promise.resolve({}),
    portForward: request => portForward(request, deps),
  } satisfies Partial<RuntimeServiceHandlers>;
}

function containerService(deps: Dependencies) {
  return {
    createContainer: (request, context) => createContainer(request, context, deps),
    startContainer: (request, context) => startContainer(request, context, deps),
    stopContainer: (request, context) => stopContainer(request, context, deps),
    removeContainer: (request, context) => removeContainer(request, context, deps),
    containerStatus: request => containerStatus(request, deps),
    listContainers: request => listContainers(request, deps),
    streamContainers: request => streamContainers(request, deps),
    updateContainerResources: (request, context) =>
      updateContainerResources(request, context, deps),
    reopenContainerLog: (request, context) => reopenContainerLog(request, context, deps),
    execSync: (request, context) => execSync(request, context, deps),
    exec: request => exec(request, deps),
    attach: request => attach(request, deps),
  } satisfies Partial<RuntimeServiceHandlers>;
}

function statsService(deps: Dependencies) {
  return {
    containerStats: request => containerStats(request, deps),
    listContainerStats: request => listContainerStats(request, deps),
    streamContainerStats: request => streamContainerStats(request, deps),
    podSandboxStats: request => podSandboxStats(request, deps),
    listPodSandboxStats: request => listPodSandboxStats(request, deps),
    streamPodSandboxStats: request => streamPodSandboxStats(request, deps),
    listMetricDescriptors: () => notImplemented('ListMetricDescriptors'),
    listPodSandboxMetrics: () => notImplemented('ListPodSandboxMetrics'),
    streamPodSandboxMetrics: () => notImplementedStream('StreamPodSandboxMetrics'),
  } satisfies Partial<RuntimeServiceHandlers>;
}

function notImplemented(rpc: string): Promise<never> {
  return Promise.reject(
    new CodedError<RuntimeErrorCode>('ERR_NOT_IMPLEMENTED', `${rpc} is not offered`, {
      hint: 'use another runtime for what needs it',
    }),
  );
}

async function* notImplementedStream(rpc: string): AsyncGenerator<never> {
  await notImplemented(rpc);
  yield* [];
}
