import type {KubernetesObject} from '#shared/kube/object';
import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import type {Issuer} from '#certificates/apis/issuer';
import {labels} from '#certificates/apis/names';
import * as kinds from '#certificates/apis/resources';
import {formatTime} from '#certificates/apis/time';
import type {SecretObject} from '#certificates/apis/resources';
import {createCertificateRequestReconciler} from '#certificates/controllers/certificate-requests/reconciler';
import {decide} from '#certificates/controllers/certificates/decide';
import {createCertificateReconciler} from '#certificates/controllers/certificates/reconciler';
import {secretFacts} from '#certificates/controllers/certificates/secret-facts';
import {gatherState} from '#certificates/controllers/certificates/state';
import type {Step} from '#certificates/controllers/certificates/step';
import type {
  ControllerSettings,
  ReconcilerDependencies,
} from '#certificates/controllers/dependencies';
import {createIssuerReconciler} from '#certificates/controllers/issuers/reconciler';
import {createSecretReader} from '#certificates/controllers/secret-reader';
import {triggers} from '#certificates/controllers/triggers';
import {createViews, itemOf, type Views} from '#certificates/controllers/views';
import {createIssuerTypes} from '#certificates/issuers/registry';
import {keyOf, type ResourceType} from '#certificates/kube/resource';
import type {Outcome} from '#certificates/kube/work-queue';
import type {CertificateState} from '#certificates/policies/certificate-state';
import {aCertificate, aClusterIssuer, NAMESPACE} from './some-objects.ts';
import {MemoryApi} from './memory-api.ts';
import {MovableClock} from './movable-clock.ts';

export {EXTERNAL, NAMESPACE} from './some-objects.ts';

export interface Told {
  readonly on: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

type Kind = 'certificates' | 'certificateRequests' | 'issuers' | 'clusterIssuers';
type Reconcile = (key: string, waiting: {readonly signal: AbortSignal}) => Promise<Outcome>;

/** A controller's mind: what dies with its process. */
interface Mind {
  readonly views: Views;
  readonly dirty: Map<Kind, Set<string>>;
  readonly due: Map<string, {readonly kind: Kind; readonly key: string; readonly at: Date}>;
  readonly reconcilers: Readonly<Record<Kind, Reconcile>>;
  readonly dependencies: ReconcilerDependencies;
}

const SETTINGS: ControllerSettings = {
  clusterResourceNamespace: 'cert-manager',
  certificateOwnerRef: false,
  minimumBackoffMs: 3_600_000,
  maximumBackoffMs: 32 * 3_600_000,
  copiedAnnotationPrefixes: ['*', '-kubectl.kubernetes.io/'],
  controllers: [
    'certificaterequests-approver',
    'certificaterequests-issuer-ca',
    'certificaterequests-issuer-selfsigned',
  ],
};

/**
 * A cluster in memory with our reconcilers, without any waiting: `settle` works until nobody has
 * anything to do, `advance` moves the clock and wakes whoever asked for it.
 */
export class World {
  readonly clock = new MovableClock({start: new Date('2026-03-01T00:00:00Z'), frozen: true});
  readonly api = new MemoryApi(this.clock);
  readonly told: Told[] = [];
  readonly errors: unknown[] = [];
  readonly settings: ControllerSettings;
  #mind: Mind;

  constructor(settings: Partial<ControllerSettings> = {}) {
    this.settings = {...SETTINGS, ...settings};
    this.#mind = this.#wake();
  }

  get views(): Views {
    return this.#mind.views;
  }

  /** The controller dies; a new one reads the cluster. */
  restart(): void {
    this.#mind = this.#wake();
    for (const kind of READ) {
      for (const object of this.api.all(kind)) this.#observe(kind, object);
    }
  }

  /** Works until nothing is left, or a reconciliation fails: that is kept in `errors`. */
  async settle({retries = 10}: {readonly retries?: number} = {}): Promise<void> {
    let failures = 0;
    for (;;) {
      const next = this.#next();
      if (next === undefined) return;
      const {kind, key} = next;
      try {
        const outcome = await this.#mind.reconcilers[kind](key, {signal: NEVER});
        const id = `${kind}/${key}`;
        if (outcome === undefined) this.#mind.due.delete(id);
        else this.#mind.due.set(id, {kind, key, at: outcome.requeueAt});
      } catch (error) {
        this.errors.push(error);
        failures += 1;
        if (failures > retries) throw error;
        this.#add(kind, key);
      }
    }
  }

  /** Moves the clock from one wake-up to the next, and settles after each. */
  async advance(ms: number): Promise<void> {
    const target = this.clock.now().getTime() + ms;
    for (;;) {
      const [next] = [...this.#mind.due.values()].toSorted(
        (a, b) => a.at.getTime() - b.at.getTime(),
      );
      if (next === undefined || next.at.getTime() > target) break;
      if (next.at > this.clock.now()) this.clock.set(next.at);
      this.#mind.due.delete(`${next.kind}/${next.key}`);
      this.#add(next.kind, next.key);
      await this.settle();
    }
    this.clock.set(new Date(target));
  }

  /** When a Certificate asked to be looked at again. */
  dueAt(name: string): Date | undefined {
    return this.#mind.due.get(`certificates/${NAMESPACE}/${name}`)?.at;
  }

  /** A root CA and a ClusterIssuer `ca` that signs with it, both ready. */
  async withIssuer(): Promise<void> {
    this.put(kinds.clusterIssuers, {...aClusterIssuer('self'), spec: {selfSigned: {}}});
    this.put(
      kinds.certificates,
      aCertificate('root', {
        secretName: 'root',
        isCA: true,
        commonName: 'root',
        duration: '87600h',
        privateKey: {algorithm: 'ECDSA'},
        issuerRef: {name: 'self', kind: 'ClusterIssuer'},
      }),
    );
    await this.settle();
    const root = this.secret('root');
    if (root === undefined) throw new Error(`no root: ${JSON.stringify(this.certificate('root'))}`);
    const {type, data} = root;
    this.put(kinds.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {namespace: this.settings.clusterResourceNamespace, name: 'root'},
      ...(type !== undefined && {type}),
      ...(data !== undefined && {data}),
    });
    this.put(kinds.clusterIssuers, {...aClusterIssuer('ca'), spec: {ca: {secretName: 'root'}}});
    await this.settle();
    this.api.writes.length = 0;
    this.told.length = 0;
  }

  put<T extends KubernetesObject>(resource: ResourceType<T>, object: T): T {
    return this.api.put(resource, object);
  }

  /** Creates or changes a Certificate, and keeps its status. */
  order(name: string, spec: Partial<CertificateSpec> = {}, metadata: object = {}): Certificate {
    const before = this.certificate(name);
    const after = aCertificate(name, spec);
    return this.put(kinds.certificates, {
      ...after,
      metadata: {...before?.metadata, ...after.metadata, ...metadata},
      ...(before?.status && {status: before.status}),
    });
  }

  certificate(name: string): Certificate | undefined {
    return this.api.find(kinds.certificates, `${NAMESPACE}/${name}`);
  }

  request(name: string): CertificateRequest | undefined {
    return this.api.find(kinds.certificateRequests, `${NAMESPACE}/${name}`);
  }

  requestsOf(name: string): readonly CertificateRequest[] {
    return this.api
      .all(kinds.certificateRequests)
      .filter(({metadata}) => metadata.annotations?.['cert-manager.io/certificate-name'] === name);
  }

  secret(name: string): SecretObject | undefined {
    return this.api.find(kinds.secrets, `${NAMESPACE}/${name}`);
  }

  keySecrets(): readonly SecretObject[] {
    return this.api
      .all(kinds.secrets)
      .filter(({metadata}) => metadata.labels?.[labels.nextPrivateKey] === 'true');
  }

  condition(name: string, type: string) {
    return this.certificate(name)?.status?.conditions?.find(each => each.type === type);
  }

  /** Gives a request a status, as an external issuer does. */
  answer(name: string, status: object): void {
    const request = this.request(name);
    if (request === undefined) throw new Error(`there is no request ${name}`);
    this.put(kinds.certificateRequests, {...request, status});
  }

  /** The status of a request that fails now. */
  failure(message = 'no'): object {
    const now = formatTime(this.clock.now());
    const condition = {type: 'Ready', status: 'False', reason: 'Failed', message};
    return {conditions: [{...condition, lastTransitionTime: now}], failureTime: now};
  }

  /** What a person sees of writes: `create Secret shop/web-x`, without events. */
  writes(): readonly string[] {
    return this.api.writes.map(({verb, kind, key}) => `${verb} ${kind} ${key}`);
  }

  async state(name: string): Promise<CertificateState> {
    const state = await gatherState(`${NAMESPACE}/${name}`, this.#mind.dependencies, {
      signal: NEVER,
    });
    if (state === undefined) throw new Error(`there is no Certificate ${name}`);
    return state;
  }

  async decision(name: string): Promise<Step> {
    return decide(await this.state(name), this.clock.now(), this.settings);
  }

  #wake(): Mind {
    const dirty = new Map<Kind, Set<string>>();
    const enqueue = (kind: Kind) => (key: string) => {
      dirty.set(kind, (dirty.get(kind) ?? new Set()).add(key));
    };
    const views: Views = createViews({
      clusterResourceNamespace: this.settings.clusterResourceNamespace,
      listeners: triggers(() => views, {
        certificates: enqueue('certificates'),
        certificateRequests: enqueue('certificateRequests'),
        issuers: enqueue('issuers'),
        clusterIssuers: enqueue('clusterIssuers'),
        signingRequests: () => undefined,
      }),
    });
    const client = this.api.client();
    const secrets = createSecretReader({client, views});
    const dependencies: ReconcilerDependencies = {
      client,
      views,
      secrets,
      issuerTypes: createIssuerTypes({secrets}),
      events: {
        record: (subject, {type, reason, message}) => {
          this.told.push({on: `${subject.kind} ${subject.metadata.name}`, type, reason, message});
        },
        flush: () => Promise.resolve(),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      },
      clock: this.clock,
      log: SILENT,
      settings: this.settings,
      random: Math.random,
    };
    this.api.onChange = (resource, object, gone) => {
      if (gone) this.#forget(resource, object);
      else this.#observe(resource, object);
    };
    return {
      views,
      dirty,
      due: new Map(),
      dependencies,
      reconcilers: {
        certificates: createCertificateReconciler(dependencies),
        certificateRequests: createCertificateRequestReconciler(dependencies),
        issuers: createIssuerReconciler(dependencies, 'Issuer'),
        clusterIssuers: createIssuerReconciler(dependencies, 'ClusterIssuer'),
      },
    };
  }

  #observe(resource: ResourceType, object: KubernetesObject): void {
    const {views} = this.#mind;
    switch (resource.plural) {
      case 'certificates':
        views.certificates.observe(itemOf(object as Certificate));
        return;
      case 'certificaterequests':
        views.certificateRequests.observe(itemOf(object as CertificateRequest));
        return;
      case 'issuers':
        views.issuers.observe(itemOf(object as Issuer));
        return;
      case 'clusterissuers':
        views.clusterIssuers.observe(itemOf(object as Issuer));
        return;
      case 'secrets':
        this.#observeSecret(object);
        return;
      default:
    }
  }

  /** As the two watches of Secrets: with our label all of it, without only that it is there. */
  #observeSecret(object: SecretObject): void {
    const {views} = this.#mind;
    const key = keyOf(object);
    const resourceVersion = object.metadata.resourceVersion ?? '';
    if (object.metadata.labels?.[labels.managed] === 'true') {
      views.otherSecrets.forget(key);
      views.secrets.observe(secretFacts(object, views.secrets.get(key)));
    } else {
      views.secrets.forget(key, resourceVersion);
      views.otherSecrets.observe({key, resourceVersion});
    }
  }

  #forget(resource: ResourceType, object: KubernetesObject): void {
    const {views} = this.#mind;
    const key = keyOf(object);
    const version = object.metadata.resourceVersion;
    if (resource.plural === 'certificates') views.certificates.forget(key, version);
    if (resource.plural === 'certificaterequests') views.certificateRequests.forget(key, version);
    if (resource.plural === 'issuers') views.issuers.forget(key, version);
    if (resource.plural === 'clusterissuers') views.clusterIssuers.forget(key, version);
    if (resource.plural !== 'secrets') return;
    views.secrets.forget(key, version);
    views.otherSecrets.forget(key, version);
  }

  #add(kind: Kind, key: string): void {
    const {dirty} = this.#mind;
    dirty.set(kind, (dirty.get(kind) ?? new Set()).add(key));
  }

  #next(): {readonly kind: Kind; readonly key: string} | undefined {
    for (const [kind, keys] of this.#mind.dirty) {
      for (const key of keys) {
        keys.delete(key);
        return {kind, key};
      }
    }
    return undefined;
  }
}

/** A world with the ClusterIssuer `ca`, in which nothing has happened yet. */
export async function aWorld(settings: Partial<ControllerSettings> = {}): Promise<World> {
  const world = new World(settings);
  await world.withIssuer();
  return world;
}

const READ: readonly ResourceType[] = [
  kinds.certificates,
  kinds.certificateRequests,
  kinds.issuers,
  kinds.clusterIssuers,
  kinds.secrets,
];

const NEVER = new AbortController().signal;

const SILENT: ReconcilerDependencies['log'] = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  once: () => undefined,
  setLevel: () => undefined,
};
