/** rbac.authorization.k8s.io/v1 PolicyRule. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const OURS = 'cert-manager.io';
const ACME = 'acme.cert-manager.io';
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];

/**
 * What the controller asks of the API, and nothing else: a test records its requests and compares
 * both ways.
 */
export const controllerRules: readonly Rule[] = [
  rule(OURS, ['certificates', 'issuers', 'clusterissuers'], ['list', 'watch']),
  // get: a request of that name is there already, and no watch has told of it.
  rule(OURS, ['certificaterequests'], ['get', 'list', 'watch', 'create', 'delete']),
  rule(
    OURS,
    [
      'certificates/status',
      'certificaterequests/status',
      'issuers/status',
      'clusterissuers/status',
    ],
    ['update'],
  ),
  // To name a Certificate as owner with blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on.
  rule(OURS, ['certificates/finalizers'], ['update']),
  rule('', ['secrets'], ['get', 'list', 'watch', 'create', 'patch', 'delete']),
  rule('', ['events'], ['create', 'patch']),
];

/** The right to approve requests for our own issuers; the admission policy asks for it. */
export const approverRules: readonly Rule[] = [
  signers(['issuers.cert-manager.io/*', 'clusterissuers.cert-manager.io/*'], 'approve'),
];

/** Kubernetes' own CertificateSigningRequests, when `--controllers` switches them on. */
export const signingRequestRules: readonly Rule[] = [
  rule('certificates.k8s.io', ['certificatesigningrequests'], ['list', 'watch']),
  rule('certificates.k8s.io', ['certificatesigningrequests/status'], ['update']),
  signers(['issuers.cert-manager.io/*', 'clusterissuers.cert-manager.io/*'], 'sign', 'certificates.k8s.io'), // prettier-ignore
  rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
];

/** The Lease; a Role in its namespace. `create` cannot be limited to a name. */
export function leaseRules(name: string): readonly Rule[] {
  const leases = {apiGroups: ['coordination.k8s.io'], resources: ['leases']};
  return [
    {...leases, verbs: ['create']},
    {...leases, resourceNames: [name], verbs: ['get', 'update']},
  ];
}

/** What people with the cluster's own roles `view`, `edit` and `admin` may see of ours. */
export const viewRules: readonly Rule[] = [
  rule(OURS, ['certificates', 'certificaterequests', 'issuers'], READ),
  rule(ACME, ['challenges', 'orders'], READ),
];

/** What people with `edit` and `admin` may change; `certificates/status` is for "renew now". */
export const editRules: readonly Rule[] = [
  rule(OURS, ['certificates', 'certificaterequests', 'issuers'], WRITE),
  rule(OURS, ['certificates/status'], ['update']),
  rule(ACME, ['challenges', 'orders'], WRITE),
];

/** ClusterIssuers, for those who may see the cluster itself. */
export const clusterViewRules: readonly Rule[] = [rule(OURS, ['clusterissuers'], READ)];

function rule(group: string, resources: readonly string[], verbs: readonly string[]): Rule {
  return {apiGroups: [group], resources, verbs};
}

function signers(names: readonly string[], verb: string, group = OURS): Rule {
  return {apiGroups: [group], resources: ['signers'], resourceNames: names, verbs: [verb]};
}
