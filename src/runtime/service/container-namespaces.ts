import {NamespaceMode, type NamespaceOption} from '../cri/gen/cri-v1_pb.ts';
import type {ContainerNamespaces} from '../spec/input.ts';
import type {ProcessIdentity, Sandbox} from '../store/sandbox.ts';
import {isAlive} from '../sys/processes.ts';
import type {Dependencies} from './dependencies.ts';
import {containerNotFound, containerState, invalidRequest} from './invalid.ts';

/**
 * Whose processes a container sees; CRI v1 `NamespaceOption.pid` of the container.
 *
 * @throws CodedError `ERR_REQUEST_INVALID`, `ERR_CONTAINER_NOT_FOUND`, `ERR_CONTAINER_STATE`
 */
export function pidNamespace(
  options: NamespaceOption | undefined,
  sandbox: Sandbox,
  deps: Dependencies,
): ContainerNamespaces['pid'] {
  switch (options?.pid ?? NamespaceMode.POD) {
    case NamespaceMode.CONTAINER:
      return 'container';
    case NamespaceMode.NODE:
      return 'host';
    case NamespaceMode.TARGET:
      return {path: namespaceOfTarget(options?.targetId ?? '', sandbox, deps)};
    case NamespaceMode.POD:
      return podNamespace(sandbox);
    default:
      throw invalidRequest(
        `namespace_options.pid is ${String(options?.pid)}`,
        'ask for POD, CONTAINER, NODE or TARGET',
      );
  }
}

/** A request without options leaves the choice to the sandbox's. */
function podNamespace({metadata, status}: Sandbox): ContainerNamespaces['pid'] {
  switch (metadata.namespaces.pid) {
    case 'container':
      return 'container';
    case 'node':
      return 'host';
    case 'pod':
      if (status.init && isAlive(status.init)) return {path: pathOf(status.init)};
      throw invalidRequest(
        `sandbox ${metadata.id} has lost the init of its PID namespace`,
        'start a new sandbox',
      );
    default:
      return metadata.namespaces.pid satisfies never;
  }
}

function namespaceOfTarget(targetId: string, sandbox: Sandbox, deps: Dependencies): string {
  const target = deps.containers.find(targetId);
  if (!target) throw containerNotFound(targetId);
  if (target.metadata.sandboxId !== sandbox.id) {
    throw invalidRequest(
      `container ${targetId}, whose processes are to be seen, is in another pod`,
      'name a container of the same pod',
    );
  }
  const {state, init} = target.status;
  if (!init || state !== 'running' || !isAlive(init)) {
    throw containerState(target.id, {is: state, needs: 'running'});
  }
  return pathOf(init);
}

function pathOf({pid}: ProcessIdentity): string {
  return `/proc/${pid}/ns/pid`;
}
