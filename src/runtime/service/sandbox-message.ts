import type {MessageInitShape} from '@bufbuild/protobuf';
import {
  NamespaceMode,
  PodSandboxState,
  type PodSandboxSchema,
  type PodSandboxStatusSchema,
} from '../cri/gen/cri-v1_pb.ts';
import type {NamespaceOwner, Sandbox} from '../store/sandbox.ts';

/** A sandbox as lists show it. */
export function sandboxMessage({
  id,
  metadata,
  status,
}: Sandbox): MessageInitShape<typeof PodSandboxSchema> {
  return {
    id,
    metadata: metadata.pod,
    state: sandboxState(status.state),
    createdAt: metadata.createdAtNs,
    labels: metadata.labels,
    annotations: metadata.annotations,
    runtimeHandler: metadata.runtimeHandler,
  };
}

/** A sandbox as PodSandboxStatus and events show it. */
export function sandboxStatusMessage({
  id,
  metadata,
  status,
}: Sandbox): MessageInitShape<typeof PodSandboxStatusSchema> {
  const {network, pid, ipc} = metadata.namespaces;
  const [ip = '', ...more] = status.addresses;
  return {
    id,
    metadata: metadata.pod,
    state: sandboxState(status.state),
    createdAt: metadata.createdAtNs,
    network: {ip, additionalIps: more.map(address => ({ip: address}))},
    linux: {
      namespaces: {
        options: {network: modes[network], pid: modes[pid], ipc: modes[ipc]},
      },
    },
    labels: metadata.labels,
    annotations: metadata.annotations,
    runtimeHandler: metadata.runtimeHandler,
  };
}

const modes: Readonly<Record<NamespaceOwner, NamespaceMode>> = {
  pod: NamespaceMode.POD,
  container: NamespaceMode.CONTAINER,
  node: NamespaceMode.NODE,
};

function sandboxState(state: Sandbox['status']['state']): PodSandboxState {
  return state === 'ready' ? PodSandboxState.SANDBOX_READY : PodSandboxState.SANDBOX_NOTREADY;
}
