import type {KubernetesObject} from '#shared/kube/object';
import type {Log} from '#shared/log';
import {labels} from './apis/names.ts';
import {
  certificateRequests,
  certificates,
  clusterIssuers,
  issuers,
  secrets,
  signingRequests,
} from './apis/resources.ts';
import type {ControllerConfig} from './config/flags.ts';
import {createCertificateRequestReconciler} from './controllers/certificate-requests/reconciler.ts';
import {createCertificateReconciler} from './controllers/certificates/reconciler.ts';
import {secretFacts} from './controllers/certificates/secret-facts.ts';
import type {ReconcilerDependencies} from './controllers/dependencies.ts';
import {createIssuerReconciler} from './controllers/issuers/reconciler.ts';
import {createSecretReader} from './controllers/secret-reader.ts';
import {createSigningRequestReconciler} from './controllers/signing-requests/reconciler.ts';
import {triggers, type Queues} from './controllers/triggers.ts';
import {createViews, itemOf, type Item, type Views} from './controllers/views.ts';
import {createIssuerTypes} from './issuers/registry.ts';
import {keyOf, type ApiClient} from './kube/client.ts';
import type {Clock} from './kube/clock.ts';
import {createEventRecorder} from './kube/events.ts';
import {startReflector, type Reflector} from './kube/reflector.ts';
import type {ResourceType} from './kube/resource.ts';
import type {View} from './kube/view.ts';
import type {ControllerObserver} from './metrics/observer.ts';
import {createWorkQueue, type AddOptions, type Outcome, type WorkQueue} from './kube/work-queue.ts';

export interface ControllerOptions {
  readonly client: ApiClient;
  readonly config: ControllerConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** 0 ≤ x < 1; default Math.random. */
  readonly random?: () => number;
  /** Told of what happens, for metrics. */
  readonly observer?: ControllerObserver;
}

/** A running controller. Disposing it waits for the reconciliations that run. */
export interface Controller extends AsyncDisposable {
  readonly views: Views;
  readonly queues: readonly {readonly name: string; readonly depth: number}[];
}

/** First and last wait of an object whose reconciliation failed. */
const BACKOFF = {
  certificates: {firstMs: 1_000, lastMs: 30_000},
  others: {firstMs: 5_000, lastMs: 300_000},
} as const;

/**
 * Reads the cluster, and from then on brings every Certificate, request and issuer to where it
 * should be. Resolves when everything has been read once and work has begun.
 *
 * @throws the signal's reason when aborted meanwhile
 */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const {client, config, clock, log} = options;
  const resources = new AsyncDisposableStack();
  try {
    const ending = new AbortController();
    resources.defer(() => {
      ending.abort(new Error('the controller ends'));
    });
    const signal = AbortSignal.any([options.signal, ending.signal]);
    const events = createEventRecorder({client, component: COMPONENT, clock, log});
    resources.use(events);

    const enqueue = lateQueues();
    const listeners = triggers(() => views, enqueue.queues);
    const views: Views = createViews({
      clusterResourceNamespace: config.clusterResourceNamespace,
      listeners: {
        ...listeners,
        certificates: change => {
          listeners.certificates(change);
          options.observer?.certificateChanged(change);
        },
      },
    });
    for (const reflector of startReflectors(views, {...options, signal})) {
      resources.use(reflector);
      await reflector.synced;
    }
    signal.throwIfAborted();
    const secretReader = createSecretReader({client, views});
    const dependencies: ReconcilerDependencies = {
      client,
      views,
      secrets: secretReader,
      issuerTypes: createIssuerTypes({secrets: secretReader}),
      events,
      clock,
      log,
      settings: config,
      random: options.random ?? Math.random,
    };
    const queues = startQueues(dependencies, {...options, signal});
    for (const {queue} of queues) resources.use(queue);
    enqueue.open(queues);
    return {
      views,
      queues: queues.map(({name, queue}) => ({
        name,
        get depth() {
          return queue.depth;
        },
      })),
      [Symbol.asyncDispose]: () => resources.disposeAsync(),
    };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}

/** The source of our events, as in `kubectl describe`. */
const COMPONENT = 'cert-manager-slipway';

type QueueName = 'certificates' | 'certificateRequests' | 'issuers' | 'clusterIssuers' | 'signingRequests'; // prettier-ignore

interface StartedQueue {
  readonly name: QueueName;
  readonly queue: WorkQueue;
}

/** Keys that come before the queues run, which is while the cluster is read, are kept. */
function lateQueues(): {
  readonly queues: Queues;
  readonly open: (queues: readonly StartedQueue[]) => void;
} {
  const waiting = new Map<QueueName, Set<string>>();
  let started: ReadonlyMap<QueueName, WorkQueue> | undefined;
  const enqueue = (name: QueueName) => (key: string, options?: AddOptions) => {
    if (started !== undefined) {
      started.get(name)?.add(key, options);
      return;
    }
    const keys = waiting.get(name) ?? new Set();
    waiting.set(name, keys.add(key));
  };
  return {
    queues: {
      certificates: enqueue('certificates'),
      certificateRequests: enqueue('certificateRequests'),
      issuers: enqueue('issuers'),
      clusterIssuers: enqueue('clusterIssuers'),
      signingRequests: enqueue('signingRequests'),
    },
    open: queues => {
      started = new Map(queues.map(({name, queue}) => [name, queue]));
      for (const [name, keys] of waiting) for (const key of keys) started.get(name)?.add(key);
      waiting.clear();
    },
  };
}

/** One watch per kind. Secrets without our label are known by name and version only. */
function startReflectors(
  views: Views,
  {client, config, clock, log, signal}: ControllerOptions,
): readonly Reflector[] {
  const {namespace} = config;
  const common = {client, clock, log, signal};
  const reflect = <O extends KubernetesObject>(
    resource: ResourceType<O>,
    view: View<Item<O>>,
  ): Reflector =>
    startReflector({
      ...common,
      ...(namespace === undefined || !resource.namespaced ? {} : {namespace}),
      resource,
      transform: itemOf,
      view,
    });
  return [
    reflect(certificates, views.certificates),
    reflect(certificateRequests, views.certificateRequests),
    reflect(issuers, views.issuers),
    // Without rights beyond one namespace there are no kinds of the cluster.
    ...(namespace === undefined ? [reflect(clusterIssuers, views.clusterIssuers)] : []),
    ...(signsForKubernetes(config) ? [reflect(signingRequests, views.signingRequests)] : []),
    startReflector({
      ...common,
      ...(namespace === undefined ? {} : {namespace}),
      resource: secrets,
      labelSelector: `${labels.managed}=true`,
      // What is known of its data is kept while the data stays.
      transform: object => secretFacts(object, views.secrets.get(keyOf(object))),
      view: views.secrets,
    }),
    startReflector({
      ...common,
      ...(namespace === undefined ? {} : {namespace}),
      resource: secrets,
      labelSelector: `${labels.managed}!=true`,
      metadataOnly: true,
      transform: object => ({key: keyOf(object), resourceVersion: resourceVersionOf(object)}),
      view: views.otherSecrets,
    }),
  ];
}

function resourceVersionOf({metadata}: KubernetesObject): string {
  return metadata.resourceVersion ?? '';
}

function startQueues(
  dependencies: ReconcilerDependencies,
  {config, clock, log, signal, observer}: ControllerOptions,
): readonly StartedQueue[] {
  const start = (
    name: QueueName,
    reconcile: (key: string, options: {readonly signal: AbortSignal}) => Promise<Outcome>,
  ): StartedQueue => ({
    name,
    queue: createWorkQueue({
      name,
      workers: config.concurrentWorkers,
      reconcile,
      clock,
      backoff: name === 'certificates' ? BACKOFF.certificates : BACKOFF.others,
      log,
      signal,
      onOutcome: result => observer?.outcome(name, result),
    }),
  });
  return [
    start('certificates', createCertificateReconciler(dependencies)),
    start('certificateRequests', createCertificateRequestReconciler(dependencies)),
    start('issuers', createIssuerReconciler(dependencies, 'Issuer')),
    start('clusterIssuers', createIssuerReconciler(dependencies, 'ClusterIssuer')),
    ...(signsForKubernetes(config)
      ? [start('signingRequests', createSigningRequestReconciler(dependencies))]
      : []),
  ];
}

function signsForKubernetes(config: ControllerConfig): boolean {
  return config.controllers.some(name => name.startsWith('certificatesigningrequests-issuer-'));
}
