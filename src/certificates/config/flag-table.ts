/** What the value of a flag looks like on the command line. */
export type FlagKind = 'text' | 'boolean' | 'duration' | 'integer' | 'list' | 'choice';

export interface Flag {
  readonly name: string;
  readonly kind: FlagKind;
  /** As it would be written; an empty text means none. */
  readonly default: string;
  /** One sentence without its full stop. */
  readonly help: string;
  /** Of an integer, or of a duration in milliseconds. */
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
}

/** Keys generated from RSA need a core each; more workers than this only wait for each other. */
const WORKERS_MAX = 1000;
const HOUR_MS = 3_600_000;
const DURATION_MS_MAX = 365 * 24 * HOUR_MS;

/**
 * Every flag of `slipway-certs`, with cert-manager's names and defaults; docs/certificates.md shows
 * the same table, which a test compares.
 */
export const FLAGS = [
  {
    name: 'kubeconfig',
    kind: 'text',
    default: '',
    help: 'File that says how to reach the API server; without it the service account of the pod is used',
  },
  {
    name: 'namespace',
    kind: 'text',
    default: '',
    help: 'Work in this namespace alone, and without ClusterIssuers; all namespaces when empty',
  },
  {
    name: 'cluster-resource-namespace',
    kind: 'text',
    default: 'kube-system',
    help: 'Where the Secrets of ClusterIssuers live; our manifests set the namespace of the controller',
  },
  {
    name: 'controllers',
    kind: 'list',
    default: '*',
    help: 'Which parts run: "*" is all that are on by default, "x" adds part x, "-x" takes it away',
  },
  {
    name: 'concurrent-workers',
    kind: 'integer',
    default: '5',
    min: 1,
    max: WORKERS_MAX,
    help: 'How many objects of a kind are worked on at the same time',
  },
  {
    name: 'enable-certificate-owner-ref',
    kind: 'boolean',
    default: 'false',
    help: 'Make a Certificate the owner of its Secret, so that both are deleted together',
  },
  {
    name: 'copied-annotation-prefixes',
    kind: 'list',
    default: '*,-kubectl.kubernetes.io/,-fluxcd.io/,-argocd.argoproj.io/',
    help: 'Which annotations of a Certificate its requests get: "*" is all, "-x" leaves out those that begin with x',
  },
  {
    name: 'certificate-request-minimum-backoff-duration',
    kind: 'duration',
    default: '1h',
    min: 1_000,
    max: DURATION_MS_MAX,
    help: 'How long to wait after a failed issuance; it doubles with each further one',
  },
  {
    name: 'certificate-request-maximum-backoff-duration',
    kind: 'duration',
    default: '32h',
    min: 1_000,
    max: DURATION_MS_MAX,
    help: 'The longest wait after failed issuances',
  },
  {
    name: 'leader-elect',
    kind: 'boolean',
    default: 'true',
    help: 'Work only while holding a Lease, so that several replicas can run',
  },
  {
    name: 'leader-election-namespace',
    kind: 'text',
    default: 'kube-system',
    help: 'Where the Lease cert-manager-controller lives; cert-manager holds the same, so both never work at once',
  },
  {
    name: 'leader-election-lease-duration',
    kind: 'duration',
    default: '1m0s',
    min: 1_000,
    max: HOUR_MS,
    help: 'How long a Lease that is not renewed keeps others waiting',
  },
  {
    name: 'leader-election-renew-deadline',
    kind: 'duration',
    default: '40s',
    min: 1_000,
    max: HOUR_MS,
    help: 'How long the leader tries to renew before it stops working; shorter than the lease duration',
  },
  {
    name: 'leader-election-retry-period',
    kind: 'duration',
    default: '15s',
    min: 100,
    max: HOUR_MS,
    help: 'How often the Lease is renewed, or tried; shorter than the renew deadline',
  },
  {
    name: 'metrics-listen-address',
    kind: 'text',
    default: '0.0.0.0:9402',
    help: 'HOST:PORT of the Prometheus metrics, at /metrics',
  },
  {
    name: 'internal-healthz-listen-address',
    kind: 'text',
    default: ':9403',
    help: 'HOST:PORT of /livez, /readyz and /healthz',
  },
  {
    name: 'logging-format',
    kind: 'choice',
    default: 'json',
    choices: ['json', 'text'],
    help: 'One JSON object per line, or text',
  },
  {
    name: 'v',
    kind: 'integer',
    default: '2',
    min: 0,
    max: 10,
    help: 'How much is logged: 0 problems only, 1 to 3 what happens, from 4 on every decision',
  },
] as const satisfies readonly Flag[];

export type FlagName = (typeof FLAGS)[number]['name'];

/**
 * Flags of cert-manager that would change nothing here, by the reason: they are refused, so that
 * nobody believes in a setting that has no effect.
 */
export const FLAGS_WITHOUT_EFFECT: readonly {
  readonly pattern: RegExp;
  readonly reason: string;
}[] = [
  {
    pattern: /^(acme-|dns01-|max-concurrent-challenges$|.*issuer-ambient-credentials$)/,
    reason: 'ACME issuers do not work here yet',
  },
  {
    pattern:
      /^(default-issuer-|auto-certificate-annotations$|extra-certificate-annotations$|.*gateway-api)/,
    reason: 'Ingresses and Gateways make no Certificates here yet',
  },
  {
    pattern: /^kube-api-(qps|burst)$/,
    reason: 'requests are not throttled by the client: the API server says when it has had enough',
  },
  {pattern: /^max-(certificate|private-key)-/, reason: 'the limits of PEM texts are fixed'},
  {pattern: /^metrics-(tls|dynamic)-/, reason: 'metrics are served without TLS'},
  {pattern: /^(enable-profiling|profiler-address)$/, reason: 'there is no profiler to serve'},
  {
    pattern: /^feature-gates$/,
    reason: 'what is stable is always on, and --controllers switches on the rest',
  },
  {pattern: /^(config|master)$/, reason: 'flags and --kubeconfig say everything'},
];
