import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {CallContext} from '../cri/handlers.ts';
import type {RemoveContainerRequest} from '../cri/gen/cri-v1_pb.ts';
import type {Container} from '../store/container.ts';
import {releaseContainer} from './container-exit.ts';
import {endContainer} from './container-stop.ts';
import type {Dependencies} from './dependencies.ts';

/** CRI v1 RemoveContainer: a running one is killed first. Unknown is success. The log stays. */
export async function removeContainer(
  {containerId}: RemoveContainerRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const container = deps.containers.find(containerId);
  if (!container) return {};
  const {id, metadata} = container;
  await deps.work.join(`remove ${id}`, signal, async () => {
    // Outside the queue: a process that does not die must not keep the pod from being stopped.
    await endContainer(container, {timeoutSeconds: 0, signal: deps.ending}, deps);
    await deps.queues.of(metadata.sandboxId).run({
      name: `remove container ${metadata.container.name}`,
      interruptible: false,
      run: () => removeEndedContainer(container, deps),
    });
    return id;
  });
  return {};
}

/** Removes everything of an ended container but its log. Idempotent; a failure leaves the rest. */
export async function removeEndedContainer(
  container: Container,
  deps: Dependencies,
): Promise<void> {
  const {id, metadata} = container;
  if (!deps.containers.get(id)) return;
  await releaseContainer(container, deps);
  await Promise.all([
    deps.images.removeRootfs(id),
    rm(deps.layout.bundle(id), {recursive: true, force: true}),
    rm(join(deps.layout.exits, id), {force: true}),
  ]);
  await deps.containers.remove(id);
  deps.lives.forget(id);
  deps.writableLayers.forget(id);
  deps.events.container('deleted', {id, sandboxId: metadata.sandboxId});
}
