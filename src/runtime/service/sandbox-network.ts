import type {PodNetworkIdentity} from '../network/pod-network.ts';
import type {SandboxMetadata} from '../store/sandbox.ts';
import type {Dependencies} from './dependencies.ts';
import {join} from 'node:path';

/** CNI ADD; the addresses come primary first. Nothing for a pod in the node's network. */
export async function attachNetwork(
  metadata: SandboxMetadata,
  deps: Dependencies,
): Promise<readonly string[]> {
  if (metadata.namespaces.network !== 'pod') return [];
  const {addresses} = await deps.network.add(networkIdentity(metadata, deps), deps.ending);
  return addresses;
}

/** CNI DEL; idempotent, and works when the namespace is gone already. */
export async function detachNetwork(metadata: SandboxMetadata, deps: Dependencies): Promise<void> {
  if (metadata.namespaces.network !== 'pod') return;
  await deps.network.remove(
    networkIdentity(metadata, deps),
    AbortSignal.timeout(DETACH_TIMEOUT_MS),
  );
}

/** It runs whether or not its caller still waits, so it has a limit of its own. */
const DETACH_TIMEOUT_MS = 60_000;

function networkIdentity(metadata: SandboxMetadata, {layout}: Dependencies): PodNetworkIdentity {
  const {id, pod, portMappings, cgroupParent, annotations} = metadata;
  return {
    sandboxId: id,
    namespace: pod.namespace,
    name: pod.name,
    uid: pod.uid,
    networkNamespace: join(layout.sandbox(id).namespaces, 'net'),
    portMappings,
    cgroupParent,
    annotations,
  };
}
