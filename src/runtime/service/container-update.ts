import type {CallContext} from '../cri/handlers.ts';
import type {UpdateContainerResourcesRequest} from '../cri/gen/cri-v1_pb.ts';
import {encodeSpec} from '../spec/oci-spec.ts';
import {resourcesForUpdate} from '../spec/resources.ts';
import type {ContainerResources} from '../spec/input.ts';
import type {Container} from '../store/container.ts';
import {untilAborted} from '../store/shared-work.ts';
import type {Dependencies} from './dependencies.ts';
import {containerNotFound, containerState} from './invalid.ts';

/** CRI v1 UpdateContainerResources: of created and running containers. */
export async function updateContainerResources(
  {containerId, linux}: UpdateContainerResourcesRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const container = deps.containers.find(containerId);
  if (!container) throw containerNotFound(containerId);
  if (!linux) return {};
  const updated = deps.queues.of(container.metadata.sandboxId).run({
    name: `update container ${container.metadata.container.name}`,
    interruptible: true,
    signal,
    run: () => updateNow(container, linux, deps),
  });
  updated.catch(() => undefined); // its caller may be gone, and asks again
  await untilAborted(updated, signal);
  return {};
}

async function updateNow(
  container: Container,
  asked: ContainerResources,
  deps: Dependencies,
): Promise<void> {
  const {id, metadata, status} = container;
  if (status.state !== 'created' && status.state !== 'running') {
    throw containerState(id, {is: status.state, needs: 'created or running'});
  }
  const resources = encodeSpec(resourcesForUpdate(asked, deps.host(metadata.runtimeHandler)));
  await deps.runtimes.get(metadata.runtimeHandler).update(id, resources);
  await container.update(now => ({...now, resources: merge(now.resources, asked)}));
}

/** What a request leaves at zero or empty stays as it was. */
function merge(
  before: ContainerResources | undefined,
  asked: ContainerResources,
): ContainerResources {
  return {
    cpuPeriod: asked.cpuPeriod || (before?.cpuPeriod ?? 0n),
    cpuQuota: asked.cpuQuota || (before?.cpuQuota ?? 0n),
    cpuShares: asked.cpuShares || (before?.cpuShares ?? 0n),
    memoryLimitInBytes: asked.memoryLimitInBytes || (before?.memoryLimitInBytes ?? 0n),
    // Not applied to a running process, by no runtime; hugepages neither.
    oomScoreAdj: before?.oomScoreAdj ?? 0n,
    hugepageLimits: before?.hugepageLimits ?? [],
    cpusetCpus: asked.cpusetCpus || (before?.cpusetCpus ?? ''),
    cpusetMems: asked.cpusetMems || (before?.cpusetMems ?? ''),
    unified: {...before?.unified, ...asked.unified},
    memorySwapLimitInBytes: asked.memorySwapLimitInBytes || (before?.memorySwapLimitInBytes ?? 0n),
  };
}
