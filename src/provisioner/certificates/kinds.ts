/** The objects of the certificate controller's API, as far as the provisioner reads them. */
import type {Condition, KubernetesObject, ObjectKind} from '#shared/kube/object';

export const CERTIFICATES_GROUP = 'cert-manager.io';
const API_VERSION = `${CERTIFICATES_GROUP}/v1`;
/** Where Secrets of ClusterIssuers lie, and the controller runs. */
export const CERTIFICATES_NAMESPACE = 'cert-manager';

/** A condition that says which generation it is about. */
export interface ObservedCondition extends Condition {
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

export interface IssuerReference {
  readonly name: string;
  readonly kind?: string; // default Issuer
  readonly group?: string; // default cert-manager.io
}

export interface IssuerObject extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: {readonly conditions?: readonly ObservedCondition[]};
}

export interface CertificateObject extends KubernetesObject {
  readonly spec: {readonly secretName: string; readonly issuerRef: IssuerReference};
  readonly status?: {
    readonly conditions?: readonly ObservedCondition[];
    readonly notBefore?: string;
    readonly notAfter?: string;
    readonly renewalTime?: string;
    readonly revision?: number;
    readonly lastFailureTime?: string;
    readonly failedIssuanceAttempts?: number;
  };
}

export interface CertificateRequestObject extends KubernetesObject {
  readonly status?: {
    readonly conditions?: readonly ObservedCondition[];
    readonly failureTime?: string;
  };
}

export interface SecretObject extends KubernetesObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>; // base64
}

export const issuerKind: ObjectKind<IssuerObject> = {apiVersion: API_VERSION, kind: 'Issuer'};
export const clusterIssuerKind: ObjectKind<IssuerObject> = {
  apiVersion: API_VERSION,
  kind: 'ClusterIssuer',
};
export const certificateKind: ObjectKind<CertificateObject> = {
  apiVersion: API_VERSION,
  kind: 'Certificate',
};
export const certificateRequestKind: ObjectKind<CertificateRequestObject> = {
  apiVersion: API_VERSION,
  kind: 'CertificateRequest',
};
export const secretKind: ObjectKind<SecretObject> = {apiVersion: 'v1', kind: 'Secret'};

/** coordination.k8s.io/v1 Lease, the field we read. */
export interface LeaseObject extends KubernetesObject {
  readonly spec?: {readonly holderIdentity?: string};
}
export const leaseKind: ObjectKind<LeaseObject> = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
};
export const definitionKind: ObjectKind<
  KubernetesObject & {readonly status?: {readonly conditions?: readonly Condition[]}}
> = {apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition'};

/** The condition of this type, unless it is about an earlier generation of the object. */
export function currentCondition(
  {metadata, status}: Pick<IssuerObject, 'metadata' | 'status'>,
  type: string,
): ObservedCondition | undefined {
  const found = status?.conditions?.find(condition => condition.type === type);
  const {generation = 0} = metadata;
  const {observedGeneration = generation} = found ?? {};
  return observedGeneration < generation ? undefined : found;
}
