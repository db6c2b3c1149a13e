import type {ObjectName} from '../kube/resource.ts';
import type {Issuer} from '../apis/issuer.ts';
import type {SigningRequest} from '../x509/certificate-request.ts';

/** The fields of `spec` that name a type; exactly one is set. */
export type IssuerKind = 'selfSigned' | 'ca' | 'acme' | 'vault' | 'venafi';

/**
 * What can sign. A type that talks to a network fits as well: `check` logs in or registers,
 * `sign` answers `pending` with the instant at which it wants to look again; neither ever sleeps.
 *
 * What the API server or a network refuses for the moment is thrown, and the queue tries again;
 * what only a change by the user can mend is returned.
 */
export interface IssuerType {
  readonly kind: IssuerKind;
  /** Whether the issuer could sign now. */
  check(issuer: Issuer, context: IssuerContext): Promise<IssuerVerdict>;
  /** Signs a request that was approved and is valid in itself. */
  sign(request: SigningInput, issuer: Issuer, context: IssuerContext): Promise<SigningResult>;
}

export interface IssuerContext {
  /** Where the Secrets of this issuer live: its own namespace, or that of cluster resources. */
  readonly secretNamespace: string;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** The Ready condition of an issuer. */
export interface IssuerVerdict {
  readonly ready: boolean;
  /** One word, e.g. `KeyPairVerified`; certificates.md §1.4. */
  readonly reason: string;
  readonly message: string;
  /** When the verdict may change without any object changing. */
  readonly recheckAt?: Date;
}

/** What is to be signed, from a CertificateRequest or a CertificateSigningRequest of Kubernetes. */
export interface SigningInput {
  readonly csr: SigningRequest;
  /** Above 0; whole seconds. */
  readonly durationMs: number;
  readonly isCa: boolean;
  /** cert-manager's words; never empty. */
  readonly usages: readonly string[];
  /** The Secret of the key that made the CSR, where the request names one (self-signed). */
  readonly privateKeySecret?: ObjectName;
}

/** What came of signing. `reason` is one word, for the event. */
export type SigningResult =
  | {
      readonly kind: 'issued';
      /** Leaf first, without the root. */
      readonly chainPem: string;
      /** The top-most certificate that is known. */
      readonly caPem?: string;
      /** What the user should know although the certificate was issued. */
      readonly warnings?: readonly Remark[];
    }
  | ({readonly kind: 'pending'; readonly requeueAt?: Date} & Remark)
  | ({readonly kind: 'failed'} & Remark);

export interface Remark {
  readonly reason: string;
  readonly message: string;
}
