import {reopenLog} from '../conmon/control.ts';
import type {CallContext} from '../cri/handlers.ts';
import type {ReopenContainerLogRequest} from '../cri/gen/cri-v1_pb.ts';
import {runningContainer} from './container-exec.ts';
import type {Dependencies} from './dependencies.ts';

/** CRI v1 ReopenContainerLog: after the kubelet has moved the log away. Running containers only. */
export async function reopenContainerLog(
  {containerId}: ReopenContainerLogRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<Record<string, never>> {
  const {id, metadata} = runningContainer(containerId, deps);
  if (metadata.logPath === '') return {};
  await reopenLog({bundle: deps.layout.bundle(id), logPath: metadata.logPath, signal});
  return {};
}
