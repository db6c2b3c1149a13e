import type {KubernetesObject} from '#shared/kube/object';

/** A node as the proof wants it, but for the status that the test says otherwise. */
export function aNode(
  name: string,
  changes: Readonly<Record<string, unknown>> = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {name},
    status: {
      conditions: [{type: 'Ready', status: 'True'}],
      nodeInfo: {kubeletVersion: 'v1.36.3', containerRuntimeVersion: 'containerd://2.1.9'},
      ...changes,
    },
  };
}

export const daemonSet: KubernetesObject = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: {name: 'kube-proxy', namespace: 'kube-system', generation: 1},
  status: {
    observedGeneration: 1,
    desiredNumberScheduled: 3,
    updatedNumberScheduled: 3,
    numberAvailable: 3,
  },
};

export const deployment: KubernetesObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name: 'cluster-dns', namespace: 'kube-system', generation: 2},
  spec: {replicas: 2},
  status: {observedGeneration: 2, updatedReplicas: 2, availableReplicas: 2},
};
