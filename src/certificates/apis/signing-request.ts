import type {KubernetesObject} from '#shared/kube/object';
import type {Condition} from './conditions.ts';

/** certificates.k8s.io/v1 CertificateSigningRequest, the fields we read and write. */
export interface SigningRequestObject extends KubernetesObject {
  readonly spec: {
    /** Base64 of a PEM certificate request. */
    readonly request: string;
    readonly signerName: string;
    readonly expirationSeconds?: number;
    readonly usages?: readonly string[];
    readonly username?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
  readonly status?: {
    readonly conditions?: readonly (Condition & {readonly lastUpdateTime?: string})[];
    /** Base64 of a PEM chain, leaf first. */
    readonly certificate?: string;
  };
}
