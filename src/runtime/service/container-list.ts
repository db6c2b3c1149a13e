import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {
  ContainerState,
  type ContainerFilter,
  type ContainerStatusRequest,
  type ListContainersRequest,
  type StreamContainersRequest,
} from '../cri/gen/cri-v1_pb.ts';
import type {Container, ContainerStatus} from '../store/container.ts';
import {containerMessage, containerStatusMessage} from './container-message.ts';
import type {Dependencies} from './dependencies.ts';
import {containerNotFound} from './invalid.ts';
import {chunks, hasLabels} from './listing.ts';

/** CRI v1 ListContainers: finished containers only, ended ones too; an id may be a prefix. */
export function listContainers({filter}: ListContainersRequest, deps: Dependencies) {
  return Promise.resolve({containers: matching(filter, deps).map(containerMessage)});
}

/** CRI v1 StreamContainers: the same in pieces, then the end. */
export async function* streamContainers({filter}: StreamContainersRequest, deps: Dependencies) {
  for await (const piece of chunks(matching(filter, deps))) {
    yield {containers: piece.map(containerMessage)};
  }
}

/** CRI v1 ContainerStatus. @throws CodedError `ERR_CONTAINER_NOT_FOUND` */
export async function containerStatus(
  {containerId, verbose}: ContainerStatusRequest,
  deps: Dependencies,
) {
  const container = deps.containers.find(containerId);
  if (!container) throw containerNotFound(containerId);
  return {
    status: containerStatusMessage(container),
    info: verbose ? {info: await verboseInfo(container, deps)} : {},
  };
}

interface Selection {
  readonly id?: string;
  readonly podSandboxId?: string;
  readonly labelSelector?: Readonly<Record<string, string>>;
}

/** The finished containers that a filter means; stale ids mean none. */
export function selectContainers(
  {id = '', podSandboxId = '', labelSelector = {}}: Selection,
  deps: Dependencies,
): readonly Container[] {
  const sandboxId = podSandboxId === '' ? undefined : deps.sandboxes.find(podSandboxId)?.id;
  if (podSandboxId !== '' && sandboxId === undefined) return [];
  const found = id === '' ? deps.containers.list() : [deps.containers.find(id)];
  return found.filter(
    (container): container is Container =>
      container !== undefined &&
      (sandboxId === undefined || container.metadata.sandboxId === sandboxId) &&
      hasLabels(container.metadata.labels, labelSelector),
  );
}

function matching(filter: ContainerFilter | undefined, deps: Dependencies): readonly Container[] {
  const wanted = filter?.state && states[filter.state.state];
  const selected = selectContainers(filter ?? {}, deps);
  return filter?.state ? selected.filter(({status}) => status.state === wanted) : selected;
}

const states: Readonly<Record<number, ContainerStatus['state']>> = {
  [ContainerState.CONTAINER_CREATED]: 'created',
  [ContainerState.CONTAINER_RUNNING]: 'running',
  [ContainerState.CONTAINER_EXITED]: 'exited',
};

/** For people: crictl and `slipway-cri inspect` print it as it is. */
async function verboseInfo({id, metadata, status}: Container, {layout}: Dependencies) {
  const bundle = layout.bundle(id);
  const spec = await readFile(join(bundle, 'config.json'), 'utf8').catch(() => 'null');
  const about = JSON.stringify({
    sandboxID: metadata.sandboxId,
    pid: status.state === 'exited' ? 0 : (status.init?.pid ?? 0),
    conmonPid: status.conmon?.pid ?? 0,
    privileged: metadata.privileged,
    runtimeHandler: metadata.runtimeHandler,
    rootfs: metadata.rootfs,
    bundle,
  });
  return `${about.slice(0, -1)},"runtimeSpec":${spec}}`;
}
