import {join} from 'node:path';
import {cgroupPathFor, podCgroupFor} from '../cgroup/paths.ts';
import type {
  ContainerStatsFilter,
  ContainerStatsRequest,
  ListContainerStatsRequest,
  ListPodSandboxStatsRequest,
  PodSandboxStatsFilter,
  PodSandboxStatsRequest,
  StreamContainerStatsRequest,
  StreamPodSandboxStatsRequest,
} from '../cri/gen/cri-v1_pb.ts';
import type {MeasuredContainer, MeasuredSandbox} from '../stats/measured.ts';
import type {Container} from '../store/container.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {selectContainers} from './container-list.ts';
import type {Dependencies} from './dependencies.ts';
import {containerNotFound, sandboxNotFound} from './invalid.ts';
import {containersOf} from './lifecycle-events.ts';
import {chunks, hasLabels} from './listing.ts';

/** CRI v1 ContainerStats. @throws CodedError `ERR_CONTAINER_NOT_FOUND` */
export function containerStats({containerId}: ContainerStatsRequest, deps: Dependencies) {
  const container = deps.containers.find(containerId);
  if (!container) throw containerNotFound(containerId);
  return Promise.resolve({stats: deps.stats.containerStats(measured(container, deps))});
}

/** CRI v1 ListContainerStats: created and running containers. */
export async function listContainerStats({filter}: ListContainerStatsRequest, deps: Dependencies) {
  const containers = living(filter, deps).map(container => measured(container, deps));
  return {stats: [...(await deps.stats.listContainerStats(containers))]};
}

/** CRI v1 StreamContainerStats: the same in pieces, then the end. */
export async function* streamContainerStats(
  {filter}: StreamContainerStatsRequest,
  deps: Dependencies,
) {
  for await (const piece of chunks(living(filter, deps))) {
    const containers = piece.map(container => measured(container, deps));
    yield {containerStats: [...(await deps.stats.listContainerStats(containers))]};
  }
}

/** CRI v1 PodSandboxStats. @throws CodedError `ERR_SANDBOX_NOT_FOUND` */
export function podSandboxStats({podSandboxId}: PodSandboxStatsRequest, deps: Dependencies) {
  const sandbox = deps.sandboxes.find(podSandboxId);
  if (!sandbox) throw sandboxNotFound(podSandboxId);
  return Promise.resolve({stats: deps.stats.sandboxStats(measuredSandbox(sandbox, deps))});
}

/** CRI v1 ListPodSandboxStats: of ready sandboxes. */
export async function listPodSandboxStats(
  {filter}: ListPodSandboxStatsRequest,
  deps: Dependencies,
) {
  const sandboxes = ready(filter, deps).map(sandbox => measuredSandbox(sandbox, deps));
  return {stats: [...(await deps.stats.listSandboxStats(sandboxes))]};
}

/** CRI v1 StreamPodSandboxStats: the same in pieces, then the end. */
export async function* streamPodSandboxStats(
  {filter}: StreamPodSandboxStatsRequest,
  deps: Dependencies,
) {
  for await (const piece of chunks(ready(filter, deps))) {
    const sandboxes = piece.map(sandbox => measuredSandbox(sandbox, deps));
    yield {podSandboxStats: [...(await deps.stats.listSandboxStats(sandboxes))]};
  }
}

function living(
  filter: ContainerStatsFilter | undefined,
  deps: Dependencies,
): readonly Container[] {
  return selectContainers(filter ?? {}, deps).filter(({status}) => status.state !== 'exited');
}

function ready(filter: PodSandboxStatsFilter | undefined, deps: Dependencies): readonly Sandbox[] {
  const {id = '', labelSelector = {}} = filter ?? {};
  const found = id === '' ? deps.sandboxes.list() : [deps.sandboxes.find(id)];
  return found.filter(
    (sandbox): sandbox is Sandbox =>
      sandbox?.status.state === 'ready' && hasLabels(sandbox.metadata.labels, labelSelector),
  );
}

function measured({id, metadata}: Container, deps: Dependencies): MeasuredContainer {
  const {container, labels, annotations, cgroupParent: parent} = metadata;
  const {cgroups: layout, config, writableLayers} = deps;
  return {
    id,
    metadata: container,
    labels,
    annotations,
    cgroup: cgroupPathFor({layout, manager: config.cgroupManager, parent, id}),
    writableLayer: writableLayers.of(id),
  };
}

function measuredSandbox({id, metadata}: Sandbox, deps: Dependencies): MeasuredSandbox {
  const {pod, labels, annotations, cgroupParent: parent, namespaces} = metadata;
  const {cgroups: layout, config} = deps;
  return {
    id,
    metadata: pod,
    labels,
    annotations,
    cgroup: podCgroupFor({layout, manager: config.cgroupManager, parent}),
    networkNamespace:
      namespaces.network === 'pod' ? join(deps.layout.sandbox(id).namespaces, 'net') : undefined,
    containers: containersOf(id, deps.containers)
      .filter(({status}) => status.state !== 'exited')
      .map(container => measured(container, deps)),
  };
}
