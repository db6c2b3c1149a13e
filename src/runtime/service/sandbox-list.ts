import {
  PodSandboxState,
  type ListPodSandboxRequest,
  type PodSandboxFilter,
  type PodSandboxStatusRequest,
  type StreamPodSandboxesRequest,
} from '../cri/gen/cri-v1_pb.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {containerStatusMessage} from './container-message.ts';
import type {Dependencies} from './dependencies.ts';
import {containersOf} from './lifecycle-events.ts';
import {chunks, hasLabels} from './listing.ts';
import {sandboxNotFound} from './invalid.ts';
import {sandboxMessage, sandboxStatusMessage} from './sandbox-message.ts';

/** CRI v1 ListPodSandbox: finished sandboxes only; an id may be a prefix. */
export function listPodSandbox({filter}: ListPodSandboxRequest, deps: Dependencies) {
  return Promise.resolve({items: matching(filter, deps).map(sandboxMessage)});
}

/** CRI v1 StreamPodSandboxes: the same in pieces, then the end. */
export async function* streamPodSandboxes({filter}: StreamPodSandboxesRequest, deps: Dependencies) {
  for await (const piece of chunks(matching(filter, deps))) {
    yield {podSandboxes: piece.map(sandboxMessage)};
  }
}

/** CRI v1 PodSandboxStatus. @throws CodedError `ERR_SANDBOX_NOT_FOUND` */
export function podSandboxStatus(
  {podSandboxId, verbose}: PodSandboxStatusRequest,
  deps: Dependencies,
) {
  const sandbox = deps.sandboxes.find(podSandboxId);
  if (!sandbox) throw sandboxNotFound(podSandboxId);
  return Promise.resolve({
    status: sandboxStatusMessage(sandbox),
    info: verbose ? {info: verboseInfo(sandbox, deps)} : {},
    containersStatuses: containersOf(sandbox.id, deps.containers).map(containerStatusMessage),
    timestamp: deps.clock.now(),
  });
}

function matching(filter: PodSandboxFilter | undefined, deps: Dependencies): readonly Sandbox[] {
  const {id = '', state, labelSelector = {}} = filter ?? {};
  const wanted = state && (state.state === PodSandboxState.SANDBOX_READY ? 'ready' : 'stopped');
  const found = id === '' ? deps.sandboxes.list() : [deps.sandboxes.find(id)];
  return found.filter(
    (sandbox): sandbox is Sandbox =>
      sandbox !== undefined &&
      (wanted === undefined || sandbox.status.state === wanted) &&
      hasLabels(sandbox.metadata.labels, labelSelector),
  );
}

function verboseInfo({id, metadata, status}: Sandbox, {layout}: Dependencies): string {
  const {namespaces, folder} = layout.sandbox(id);
  const {network, pid, ipc} = metadata.namespaces;
  return JSON.stringify({
    sandboxId: id,
    folder,
    pid: status.init?.pid ?? 0,
    runtimeHandler: metadata.runtimeHandler,
    cgroupParent: metadata.cgroupParent,
    namespaceOptions: {network, pid, ipc},
    networkNamespace: network === 'pod' ? `${namespaces}/net` : '',
    networkReleased: status.networkReleased,
  });
}
