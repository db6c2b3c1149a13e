import {CodedError} from '#shared/errors';
import type {CallContext} from '../cri/handlers.ts';
import type {StopPodSandboxRequest} from '../cri/gen/cri-v1_pb.ts';
import type {RuntimeErrorCode} from '../errors.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {allOrFirstFailure} from './all-or-first-failure.ts';
import {endContainer} from './container-stop.ts';
import type {Dependencies} from './dependencies.ts';
import {containersOf} from './lifecycle-events.ts';
import {releaseSandbox} from './sandbox-release.ts';

/**
 * CRI v1 StopPodSandbox: containers are killed, then the network is given back, then namespaces.
 * Unknown and stopped sandboxes are success; a network plugin that failed is asked again by the
 * next call. It does not wait for containers that are being made: their making is interrupted.
 */
export async function stopPodSandbox(
  {podSandboxId}: StopPodSandboxRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const sandbox = deps.sandboxes.find(podSandboxId);
  if (sandbox) await stopSandbox(sandbox, signal, deps);
  return {};
}

/** Stops a sandbox, or joins the stop under way; `signal` ends the waiting only. */
export async function stopSandbox(
  sandbox: Sandbox,
  signal: AbortSignal,
  deps: Dependencies,
): Promise<void> {
  await deps.work.join(`stop ${sandbox.id}`, signal, async () => {
    const queue = deps.queues.of(sandbox.id);
    queue.interrupt(beingStopped(sandbox.id));
    await queue.run({
      name: 'stop sandbox',
      interruptible: false,
      run: () => stopNow(sandbox, deps),
    });
    return sandbox.id;
  });
}

async function stopNow(sandbox: Sandbox, deps: Dependencies): Promise<void> {
  const wasReady = sandbox.status.state === 'ready';
  const living = containersOf(sandbox.id, deps.containers).filter(
    ({status}) => status.state !== 'exited',
  );
  const now = {timeoutSeconds: 0, signal: deps.ending};
  await allOrFirstFailure(living.map(container => endContainer(container, now, deps)));
  try {
    await releaseSandbox(sandbox, deps);
  } finally {
    if (wasReady) deps.events.sandbox('stopped', sandbox);
  }
}

function beingStopped(id: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_SANDBOX_NOT_READY', `sandbox ${id} is being stopped`, {
    hint: 'start a new sandbox',
  });
}
