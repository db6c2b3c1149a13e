import type {CallContext} from '../cri/handlers.ts';
import type {ExecSyncRequest} from '../cri/gen/cri-v1_pb.ts';
import {execSync as runInContainer} from '../exec/exec-sync.ts';
import type {Container} from '../store/container.ts';
import type {Dependencies} from './dependencies.ts';
import {containerCgroup} from './container-exit.ts';
import {containerNotFound, containerState, invalidRequest} from './invalid.ts';

/** CRI v1 ExecSync: of running containers; not queued, so that a probe never waits for a pod. */
export async function execSync(
  {containerId, cmd, timeout}: ExecSyncRequest,
  {signal}: CallContext,
  deps: Dependencies,
) {
  if (cmd.length === 0) throw invalidRequest('cmd is empty', 'name a command');
  if (timeout < 0n) throw invalidRequest(`timeout ${timeout} is negative`, 'give seconds, or 0');
  const container = runningContainer(containerId, deps);
  const {id, metadata, status} = container;
  const {stdout, stderr, exitCode} = await runInContainer({
    runtime: deps.runtimes.get(metadata.runtimeHandler),
    direct: deps.directExec,
    container: {
      id,
      bundle: deps.layout.bundle(id),
      init: status.init,
      cgroup: containerCgroup(container, deps),
    },
    command: cmd,
    timeoutSeconds: Number(timeout),
    signal,
  });
  return {stdout, stderr, exitCode};
}

/** @throws CodedError `ERR_CONTAINER_NOT_FOUND`, `ERR_CONTAINER_STATE` */
export function runningContainer(idOrPrefix: string, deps: Dependencies): Container {
  const container = deps.containers.find(idOrPrefix);
  if (!container) throw containerNotFound(idOrPrefix);
  const {id, status} = container;
  if (status.state !== 'running') throw containerState(id, {is: status.state, needs: 'running'});
  return container;
}
