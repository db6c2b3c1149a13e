import type {Log} from '#shared/log';
import type {ApiClient} from '../kube/client.ts';
import type {Clock} from '../kube/clock.ts';
import type {EventRecorder} from '../kube/events.ts';
import type {IssuerTypes} from '../issuers/registry.ts';
import type {SecretReader} from './secret-reader.ts';
import type {Views} from './views.ts';

/** What reconcilers are told by the command line. */
export interface ControllerSettings {
  /** Where Secrets of ClusterIssuers live. */
  readonly clusterResourceNamespace: string;
  /** Whether a target Secret belongs to its Certificate, and goes with it. */
  readonly certificateOwnerRef: boolean;
  /** The wait after the first failure of an issuance; it doubles with each further one. */
  readonly minimumBackoffMs: number;
  readonly maximumBackoffMs: number;
  /** Which annotations of a Certificate its requests get; `-prefix` excludes, `*` means all. */
  readonly copiedAnnotationPrefixes: readonly string[];
  /** Names of the controllers that run, as cert-manager names them. */
  readonly controllers: readonly string[];
}

/** What every reconciler works with. */
export interface ReconcilerDependencies {
  readonly client: ApiClient;
  readonly views: Views;
  readonly secrets: SecretReader;
  /** One for all reconcilers: it keeps the parsed key pairs of CAs. */
  readonly issuerTypes: IssuerTypes;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: ControllerSettings;
  /** 0 ≤ x < 1; names of temporary objects and the spread of waits come from it. */
  readonly random: () => number;
}
