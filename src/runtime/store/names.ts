/** The parts of a pod's identity that make its sandbox's name; CRI `PodSandboxMetadata`. */
export interface PodIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly attempt: number;
}

/**
 * The unique name of a sandbox: a retried RunPodSandbox has the same one, a new attempt another.
 * The form is the one that Kubernetes' container runtimes have used since dockershim.
 */
export function sandboxName({name, namespace, uid, attempt}: PodIdentity): string {
  return ['k8s', name, namespace, uid, attempt].join('_');
}

/** The unique name of a container within a sandbox. */
export function containerName(
  container: {readonly name: string; readonly attempt: number},
  pod: PodIdentity,
): string {
  return ['k8s', container.name, pod.name, pod.namespace, pod.uid, container.attempt].join('_');
}
