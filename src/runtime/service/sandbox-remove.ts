import type {CallContext} from '../cri/handlers.ts';
import type {RemovePodSandboxRequest} from '../cri/gen/cri-v1_pb.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {allOrFirstFailure} from './all-or-first-failure.ts';
import {removeEndedContainer} from './container-remove.ts';
import type {Dependencies} from './dependencies.ts';
import {containersOf} from './lifecycle-events.ts';
import {removeSandboxFolder} from './sandbox-release.ts';
import {stopSandbox} from './sandbox-stop.ts';

/** CRI v1 RemovePodSandbox: stops it, removes its containers and then itself. Unknown is success. */
export async function removePodSandbox(
  {podSandboxId}: RemovePodSandboxRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const sandbox = deps.sandboxes.find(podSandboxId);
  if (!sandbox) return {};
  const {state, networkReleased} = sandbox.status;
  if (state !== 'stopped' || !networkReleased || hasLiving(sandbox, deps)) {
    await stopSandbox(sandbox, signal, deps);
  }
  await deps.work.join(`remove ${sandbox.id}`, signal, async () => {
    await deps.queues.of(sandbox.id).run({
      name: 'remove sandbox',
      interruptible: false,
      run: () => removeNow(sandbox, deps),
    });
    return sandbox.id;
  });
  return {};
}

async function removeNow(sandbox: Sandbox, deps: Dependencies): Promise<void> {
  if (!deps.sandboxes.get(sandbox.id)) return;
  const containers = containersOf(sandbox.id, deps.containers);
  await allOrFirstFailure(containers.map(container => removeEndedContainer(container, deps)));
  await removeSandboxFolder(deps.layout.sandbox(sandbox.id));
  await deps.sandboxes.remove(sandbox.id);
  deps.events.sandbox('deleted', sandbox);
}

function hasLiving(sandbox: Sandbox, deps: Dependencies): boolean {
  return containersOf(sandbox.id, deps.containers).some(({status}) => status.state !== 'exited');
}
