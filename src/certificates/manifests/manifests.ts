import type {KubernetesObject} from '#shared/kube/object';
import {LEASE_NAME} from '../apis/names.ts';
import {deployment} from './deployment.ts';
import {
  approverRules,
  clusterViewRules,
  controllerRules,
  editRules,
  leaseRules,
  type Rule,
  signingRequestRules,
  viewRules,
} from './rules.ts';

export interface ManifestOptions {
  /** Of the controller: reference, with a digest or without. */
  readonly image: string;
  /** Where it runs and where Secrets of ClusterIssuers live; default `cert-manager`. */
  readonly namespace?: string;
  /** Default 1; one works, the others stand by. */
  readonly replicas?: number;
  readonly version: string;
  /** Flags beside the namespaces, which are given anyway. */
  readonly extraArguments?: readonly string[];
  /** Signs Kubernetes' own CertificateSigningRequests too; default false. */
  readonly signingRequests?: boolean;
}

/** Of the Deployment, the ServiceAccount, the Service and the bindings. */
export const NAME = 'slipway-certs';
export const NAMESPACE = 'cert-manager';
/** Where cert-manager's chart has its Lease: who takes over must wait for the same one. */
export const LEASE_NAMESPACE = 'kube-system';
/**
 * Everything but the kinds and their policies that a cluster needs for the controller, in the order
 * in which it is applied.
 */
export function manifests(options: ManifestOptions): readonly KubernetesObject[] {
  const {namespace = NAMESPACE, signingRequests = false} = options;
  const account = {kind: 'ServiceAccount', name: NAME, namespace};
  const extra = signingRequests
    ? [SIGNING_REQUESTS_FLAG, ...(options.extraArguments ?? [])]
    : options.extraArguments;
  return [
    object('v1', 'Namespace', {name: namespace, labels: labels()}),
    object('v1', 'ServiceAccount', metadata(NAME, namespace), {
      automountServiceAccountToken: false, // the pod asks for it
    }),
    ...granted(`${NAME}-controller`, controllerRules, account),
    ...granted(`${NAME}-approve`, approverRules, account),
    ...(signingRequests ? granted(`${NAME}-signing-requests`, signingRequestRules, account) : []),
    ...leaseRole(account),
    clusterRole('cert-manager-view', viewRules, ['view', 'edit', 'admin']),
    clusterRole('cert-manager-edit', editRules, ['edit', 'admin']),
    clusterRole('cert-manager-cluster-view', clusterViewRules, ['cluster-reader']),
    object('v1', 'Service', metadata(NAME, namespace), {
      spec: {
        selector: SELECTOR,
        ports: [{name: 'metrics', port: METRICS_PORT, targetPort: 'metrics', protocol: 'TCP'}],
      },
    }),
    deployment({
      name: NAME,
      namespace,
      labels: labels(),
      selector: SELECTOR,
      image: options.image,
      version: options.version,
      replicas: options.replicas ?? 1,
      ports: {metrics: METRICS_PORT, health: HEALTH_PORT},
      arguments: [
        `--cluster-resource-namespace=${namespace}`,
        `--leader-election-namespace=${LEASE_NAMESPACE}`,
        ...(extra ?? []),
      ],
    }),
  ];
}

const METRICS_PORT = 9402;
const HEALTH_PORT = 9403;
const SELECTOR = {'app.kubernetes.io/name': NAME, 'app.kubernetes.io/component': 'controller'};
const SIGNING_REQUESTS_FLAG =
  '--controllers=*,certificatesigningrequests-issuer-ca,certificatesigningrequests-issuer-selfsigned';
const RBAC = 'rbac.authorization.k8s.io';

interface Account {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
}

function granted(
  name: string,
  rules: readonly Rule[],
  account: Account,
): readonly KubernetesObject[] {
  return [
    clusterRole(name, rules, []),
    object(`${RBAC}/v1`, 'ClusterRoleBinding', metadata(name), {
      roleRef: {apiGroup: RBAC, kind: 'ClusterRole', name},
      subjects: [account],
    }),
  ];
}

function leaseRole(account: Account): readonly KubernetesObject[] {
  const name = `${NAME}-leader-election`;
  return [
    object(`${RBAC}/v1`, 'Role', metadata(name, LEASE_NAMESPACE), {rules: leaseRules(LEASE_NAME)}),
    object(`${RBAC}/v1`, 'RoleBinding', metadata(name, LEASE_NAMESPACE), {
      roleRef: {apiGroup: RBAC, kind: 'Role', name},
      subjects: [account],
    }),
  ];
}

/** @param into the cluster's own roles that get these rules too */
function clusterRole(
  name: string,
  rules: readonly Rule[],
  into: readonly string[],
): KubernetesObject {
  const aggregation = Object.fromEntries(
    into.map(role => [`${RBAC}/aggregate-to-${role}`, 'true'] as const),
  );
  return object(
    `${RBAC}/v1`,
    'ClusterRole',
    {name, labels: {...labels(), ...aggregation}},
    {rules},
  );
}

function object(
  apiVersion: string,
  kind: string,
  metadata: KubernetesObject['metadata'],
  rest: Readonly<Record<string, unknown>> = {},
): KubernetesObject {
  return {apiVersion, kind, metadata, ...rest};
}

function metadata(name: string, namespace?: string): KubernetesObject['metadata'] {
  return {name, ...(namespace === undefined ? {} : {namespace}), labels: labels()};
}

function labels(): Readonly<Record<string, string>> {
  return {...SELECTOR, 'app.kubernetes.io/part-of': 'slipway'};
}
