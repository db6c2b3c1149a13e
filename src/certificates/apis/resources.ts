import type {KubernetesObject} from '#shared/kube/object';
import type {ResourceType} from '../kube/resource.ts';
import type {CertificateRequest} from './certificate-request.ts';
import type {Certificate} from './certificate.ts';
import type {Challenge} from './challenge.ts';
import type {ClusterIssuer, Issuer} from './issuer.ts';
import {ACME_GROUP, GROUP} from './names.ts';
import type {Order} from './order.ts';
import type {SigningRequestObject} from './signing-request.ts';

const ours = {group: GROUP, version: 'v1', namespaced: true} as const;
const acme = {group: ACME_GROUP, version: 'v1', namespaced: true} as const;
const core = {group: '', version: 'v1', namespaced: true} as const;

/** The resources that the controller reads and writes, by what the API calls them. */
export const certificates: ResourceType<Certificate> = {
  ...ours,
  kind: 'Certificate',
  plural: 'certificates',
};
export const certificateRequests: ResourceType<CertificateRequest> = {
  ...ours,
  kind: 'CertificateRequest',
  plural: 'certificaterequests',
};
export const issuers: ResourceType<Issuer> = {...ours, kind: 'Issuer', plural: 'issuers'};
export const clusterIssuers: ResourceType<ClusterIssuer> = {
  ...ours,
  kind: 'ClusterIssuer',
  plural: 'clusterissuers',
  namespaced: false,
};
export const orders: ResourceType<Order> = {...acme, kind: 'Order', plural: 'orders'};
export const challenges: ResourceType<Challenge> = {
  ...acme,
  kind: 'Challenge',
  plural: 'challenges',
};

/** core/v1 Secret; values are base64. */
export interface SecretObject extends KubernetesObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly immutable?: boolean;
}

export const secrets: ResourceType<SecretObject> = {...core, kind: 'Secret', plural: 'secrets'};
export const events: ResourceType = {...core, kind: 'Event', plural: 'events'};
export const namespaces: ResourceType = {
  ...core,
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};
export const leases: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
export const signingRequests: ResourceType<SigningRequestObject> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  namespaced: false,
};
export const subjectAccessReviews: ResourceType = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SubjectAccessReview',
  plural: 'subjectaccessreviews',
  namespaced: false,
};
