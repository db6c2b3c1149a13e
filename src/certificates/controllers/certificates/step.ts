import type {CertificateStatus} from '../../apis/certificate.ts';
import type {OwnedRequest} from '../../policies/certificate-state.ts';
import type {Violation} from '../../policies/violation.ts';
import type {SecretFacts} from './secret-facts.ts';

/**
 * What happens next to a Certificate: one write, or a wait. The whole of an issuance:
 *
 *   begin-issuing ─▶ create-key ─▶ create-request ─▶ wait ─▶ write-secret ─▶ finish ─▶ delete-keys
 *                                                     └────▶ fail ─▶ delete-keys ─▶ wait (back-off)
 *
 * Every step follows from the state that the step before it leaves behind, so it does not matter
 * who took that step, or whether the controller was killed in between.
 */
export type Step =
  /** The Certificate is being deleted: nothing is done any more. */
  | {readonly kind: 'idle'}
  /** Everything is as it should be, or somebody else's turn; at the instant, it is looked at again. */
  | {readonly kind: 'wait'; readonly until?: Date | undefined}
  | {
      readonly kind: 'update-readiness';
      readonly status: CertificateStatus;
      /** Said once, when the status comes to tell it. */
      readonly warning?: Violation | undefined;
    }
  | {readonly kind: 'begin-issuing'; readonly violation: Violation}
  /** The issuance ends without result: the Secret turned out to be another Certificate's. */
  | {readonly kind: 'abandon'}
  /** The key of this issuance gets a Secret name, or another one when that key cannot be used. */
  | {readonly kind: 'name-key'; readonly unusable?: SecretFacts | undefined}
  | {readonly kind: 'adopt-key'; readonly name: string}
  | {
      readonly kind: 'create-key';
      readonly name: string;
      /** `reuse` takes the key of the target Secret (rotationPolicy Never). */
      readonly source: 'generate' | 'reuse';
      readonly warning?: Violation | undefined;
    }
  | {readonly kind: 'delete-keys'; readonly secrets: readonly SecretFacts[]}
  | {readonly kind: 'create-request'; readonly revision: number; readonly key: SecretFacts}
  | {readonly kind: 'delete-requests'; readonly requests: readonly OwnedRequest[]}
  | {readonly kind: 'write-temporary'; readonly key: SecretFacts}
  | {readonly kind: 'write-secret'; readonly key: SecretFacts; readonly issued: IssuedCertificate}
  | {readonly kind: 'finish'}
  | {readonly kind: 'fail'; readonly failure: Violation}
  | {
      readonly kind: 'repair-secret';
      readonly secret: SecretFacts;
      readonly violation: Violation;
    }
  | {readonly kind: 'prune-requests'; readonly requests: readonly OwnedRequest[]};

/** What a signed request brought. */
export interface IssuedCertificate {
  /** Leaf first, then the intermediates, as the issuer gave it. */
  readonly chainPem: string;
  readonly caPem?: string | undefined;
}

/** Nothing to be done now; why, and until when. */
export interface Pause {
  readonly kind: 'pause';
  readonly until?: Date | undefined;
  /** What is waited for, or in the way; shown in the conditions. */
  readonly waitsFor?: string | undefined;
  /** An event for when that begins. */
  readonly warning?: Violation | undefined;
}
