import type {CallContext} from '../cri/handlers.ts';
import type {StartContainerRequest} from '../cri/gen/cri-v1_pb.ts';
import type {Container} from '../store/container.ts';
import {untilAborted} from '../store/shared-work.ts';
import {recordStartFailure} from './container-exit.ts';
import type {Dependencies} from './dependencies.ts';
import {containerNotFound, containerState} from './invalid.ts';

/** CRI v1 StartContainer: only what was created and not started yet. */
export async function startContainer(
  {containerId}: StartContainerRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const container = deps.containers.find(containerId);
  if (!container) throw containerNotFound(containerId);
  const started = deps.queues.of(container.metadata.sandboxId).run({
    name: `start container ${container.metadata.container.name}`,
    interruptible: true,
    signal,
    run: () => startNow(container, deps),
  });
  started.catch(() => undefined); // its caller may be gone; the state says how it went
  await untilAborted(started, signal);
  return {};
}

async function startNow(container: Container, deps: Dependencies): Promise<void> {
  const {id, metadata, status} = container;
  if (status.state !== 'created') throw containerState(id, {is: status.state, needs: 'created'});
  const life = deps.lives.of(id);
  const startedAtNs = deps.clock.now();
  const starting = deps.runtimes.get(metadata.runtimeHandler).start(id, {init: status.init});
  life.starting = starting.then(() => {
    return container.update(now =>
      now.state === 'created' ? {...now, state: 'running', startedAtNs} : now,
    );
  });
  try {
    await life.starting;
    deps.events.container('started', {id, sandboxId: metadata.sandboxId});
  } catch (error) {
    await recordStartFailure(container, error, deps);
    throw error;
  } finally {
    life.starting = undefined;
  }
}
