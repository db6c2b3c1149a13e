import type {KubernetesObject} from '#shared/kube/object';

/** One rule of rbac.authorization.k8s.io/v1 PolicyRule. */
export interface PolicyRule {
  readonly apiGroups: readonly string[]; // '' is core
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface AccountOptions {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly rules: readonly PolicyRule[];
}

/** A ServiceAccount that may do what the rules say, in the whole cluster. */
export function accountObjects(options: AccountOptions): readonly KubernetesObject[] {
  const {name, namespace, labels, rules} = options;
  return [
    {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {name, namespace, labels}},
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: {name, labels},
      rules,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: {name, labels},
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name},
      subjects: [{kind: 'ServiceAccount', name, namespace}],
    },
  ];
}
