/** Any object of the Kubernetes API, as JSON carries it (times are strings). */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMetadata;
  readonly [field: string]: unknown;
}

export interface ObjectMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** A kind of the API; `T` says what its objects look like, as far as we read them. */
export interface ObjectKind<T extends KubernetesObject = KubernetesObject> {
  readonly apiVersion: string; // e.g. `v1`, `apps/v1`
  readonly kind: string; // e.g. `Node`
  /** Never set: it only carries the type. */
  readonly object?: T;
}

/** Names one object. `namespace` is left out for kinds that have none. */
export interface ObjectReference<
  T extends KubernetesObject = KubernetesObject,
> extends ObjectKind<T> {
  readonly name: string;
  readonly namespace?: string;
}

/** `apps/v1 DaemonSet kube-flannel/kube-flannel`, for messages and plans. */
export function formatReference({kind, name, namespace}: ObjectReference): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** The reference of an object that we hold. */
export function referenceOf(object: KubernetesObject): ObjectReference {
  const {apiVersion, kind, metadata} = object;
  const {name, namespace} = metadata;
  return namespace === undefined ? {apiVersion, kind, name} : {apiVersion, kind, name, namespace};
}

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string;
  readonly message?: string;
}

/** core/v1 Node, the fields we read. */
export interface NodeObject extends KubernetesObject {
  readonly spec?: {readonly podCIDR?: string; readonly unschedulable?: boolean};
  readonly status?: {
    readonly addresses?: readonly {readonly type: string; readonly address: string}[];
    readonly conditions?: readonly Condition[];
    readonly nodeInfo?: {
      readonly kubeletVersion: string; // `v1.36.3`
      readonly containerRuntimeVersion: string; // `containerd://2.1.9`
    };
  };
}

/** core/v1 Pod, the fields we read. */
export interface PodObject extends KubernetesObject {
  readonly spec?: {readonly nodeName?: string};
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly {
      readonly name: string;
      readonly ready: boolean;
      readonly restartCount?: number;
      readonly state?: {
        readonly waiting?: {readonly reason?: string; readonly message?: string};
        readonly running?: {readonly startedAt?: string};
        readonly terminated?: {readonly exitCode: number; readonly reason?: string};
      };
    }[];
  };
}

/** core/v1 Service, the fields we read. */
export interface ServiceObject extends KubernetesObject {
  readonly spec?: {
    readonly clusterIP?: string;
    readonly [field: string]: unknown;
    readonly ports?: readonly {
      readonly port: number;
      readonly nodePort?: number;
      readonly [field: string]: unknown;
    }[];
  };
}

/** apps/v1 DaemonSet, the fields we read. */
export interface DaemonSetObject extends KubernetesObject {
  readonly status?: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
  };
}

/** apps/v1 Deployment, the fields we read. */
export interface DeploymentObject extends KubernetesObject {
  readonly spec?: {readonly replicas?: number};
  readonly status?: {
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

export const nodeKind: ObjectKind<NodeObject> = {apiVersion: 'v1', kind: 'Node'};
export const podKind: ObjectKind<PodObject> = {apiVersion: 'v1', kind: 'Pod'};
export const namespaceKind: ObjectKind = {apiVersion: 'v1', kind: 'Namespace'};
export const configMapKind: ObjectKind<
  KubernetesObject & {readonly data?: Readonly<Record<string, string>>}
> = {apiVersion: 'v1', kind: 'ConfigMap'};
export const daemonSetKind: ObjectKind<DaemonSetObject> = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
};
export const deploymentKind: ObjectKind<DeploymentObject> = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
};
