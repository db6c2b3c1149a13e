import type {CallContext} from '../cri/handlers.ts';
import type {StopContainerRequest} from '../cri/gen/cri-v1_pb.ts';
import {stopContainer as beginStop} from '../oci/stop.ts';
import type {Container} from '../store/container.ts';
import {untilAborted} from '../store/shared-work.ts';
import {recordExit} from './container-exit.ts';
import type {Dependencies} from './dependencies.ts';
import {invalidRequest} from './invalid.ts';

/**
 * CRI v1 StopContainer: the stop signal, then SIGKILL after `timeout` seconds, until it is dead.
 * Unknown and ended containers are success. It does not queue behind other work of the pod, and of
 * several callers the one with the earliest deadline wins.
 */
export async function stopContainer(
  {containerId, timeout}: StopContainerRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  if (timeout < 0n) throw invalidRequest(`timeout ${timeout} is negative`, 'give seconds, or 0');
  const container = deps.containers.find(containerId);
  if (container) await endContainer(container, {timeoutSeconds: Number(timeout), signal}, deps);
  return {};
}

export interface EndOptions {
  /** From the stop signal to SIGKILL; 0: SIGKILL at once. */
  readonly timeoutSeconds: number;
  /** Ends the waiting; the container goes on dying. */
  readonly signal: AbortSignal;
}

/** Sees to it that a container is exited; joins a stop under way, and may only make it quicker. */
export async function endContainer(
  container: Container,
  {timeoutSeconds, signal}: EndOptions,
  deps: Dependencies,
): Promise<void> {
  const life = deps.lives.of(container.id);
  if (life.starting) await untilAborted(life.starting.catch(ignore), signal);
  const {state, init} = container.status;
  if (state === 'exited') {
    await container.update(status => status); // writes what a full disk did not take
    return;
  }
  // What was created and not started has nothing to clean up, and does not listen to signals yet.
  const patience = state === 'created' ? 0 : timeoutSeconds;
  life.stop?.shorten(patience);
  life.stop ??=
    init &&
    beginStop({
      runtime: deps.runtimes.get(container.metadata.runtimeHandler),
      id: container.id,
      identity: init,
      signalName: String(container.metadata.stopSignal),
      timeoutSeconds: patience,
      isStopped: life.exited.promise,
      signal: deps.ending,
      log: deps.log,
    });
  if (life.stop) await untilAborted(life.stop.stopped, signal);
  await recordExit(container, undefined, deps);
}

/** How a start ended is its own caller's matter; the state says what has to be done. */
function ignore(): void {
  // Nothing is lost: see above.
}
