import {createKubernetesApi} from '#shared/kube/connect';
import type {ExecResult, KubernetesApi, PodName} from '#shared/kube/kubernetes-api';
import type {KubernetesObject} from '#shared/kube/object';
import type {ChannelHandlers, HttpRequest, HttpResponse, Transport} from '#shared/kube/transport';

/** A cluster in memory that answers like the API, as far as our door asks. */
export interface FakeKubernetes {
  readonly api: KubernetesApi;
  readonly transport: Transport;
  /** Every request, as `GET /api/v1/nodes`. */
  readonly requests: readonly string[];
  readonly objects: () => readonly KubernetesObject[];
  readonly put: (object: KubernetesObject) => void;
  readonly remove: (kind: string, name: string) => void;
}

export interface FakeOptions {
  readonly objects?: readonly KubernetesObject[];
  /** Controllers of the cluster: may change an object as it is stored. */
  readonly admit?: (object: KubernetesObject) => KubernetesObject;
  /** Answers instead of the fake when it returns something; throws to be unreachable. */
  readonly intercept?: (request: HttpRequest) => HttpResponse | undefined;
  readonly logs?: (pod: PodName) => string;
  readonly exec?: (pod: PodName, argv: readonly string[]) => ExecResult;
  readonly retryTimeoutMs?: number;
}

export const fakeKinds = [
  {apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false},
  {apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false},
  {apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true},
  {apiVersion: 'v1', kind: 'Service', plural: 'services', namespaced: true},
  {apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true},
  {apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true},
  {apiVersion: 'apps/v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true},
  {apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments', namespaced: true},
  {apiVersion: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true},
  {apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases', namespaced: true},
  {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions',
    namespaced: false,
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    plural: 'validatingadmissionpolicies',
    namespaced: false,
  },
  {apiVersion: 'cert-manager.io/v1', kind: 'ClusterIssuer', plural: 'clusterissuers', namespaced: false}, // prettier-ignore
  {apiVersion: 'cert-manager.io/v1', kind: 'Issuer', plural: 'issuers', namespaced: true},
  {apiVersion: 'cert-manager.io/v1', kind: 'Certificate', plural: 'certificates', namespaced: true},
  {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    plural: 'certificaterequests',
    namespaced: true,
  },
] as const;

export function createFakeKubernetes(options: FakeOptions = {}): FakeKubernetes {
  const {retryTimeoutMs = 0} = options;
  const admit = options.admit ?? ((object: KubernetesObject) => object);
  const store = new Map<string, KubernetesObject>();
  const watchers = new Set<(event: string) => void>();
  const requests: string[] = [];
  let version = 1;

  const tell = (type: string, object: KubernetesObject): void => {
    for (const watcher of watchers) watcher(`${JSON.stringify({type, object})}\n`);
  };
  const put = (object: KubernetesObject): KubernetesObject => {
    version += 1;
    const metadata = {...object.metadata, resourceVersion: `${version}`};
    const stored = admit({...object, metadata});
    const type = store.has(keyOf(stored)) ? 'MODIFIED' : 'ADDED';
    store.set(keyOf(stored), stored);
    tell(type, stored);
    return stored;
  };
  const remove = (key: string): void => {
    const object = store.get(key);
    if (object === undefined) return;
    store.delete(key);
    tell('DELETED', object);
  };
  for (const object of options.objects ?? []) put(object);

  const answer = (request: HttpRequest, signal: AbortSignal): HttpResponse => {
    const url = new URL(request.path, 'https://fake.invalid');
    const discovery = discover(url.pathname);
    if (discovery !== undefined) return json(200, discovery);
    const log = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/log$/.exec(url.pathname);
    if (log !== null) {
      return text(200, options.logs?.({namespace: log[1] ?? '', name: log[2] ?? ''}) ?? '');
    }
    const place = parsePath(url.pathname);
    if (place === undefined) return refuse(404, 'NotFound');
    const {kind, namespace, name} = place;
    const inPlace = (object: KubernetesObject): boolean =>
      object.kind === kind && (namespace === undefined || object.metadata.namespace === namespace);
    if (name === undefined) {
      const label = url.searchParams.get('labelSelector');
      const items = [...store.values()].filter(
        object =>
          inPlace(object) && (label === null || object.metadata.labels?.[label] !== undefined),
      );
      if (url.searchParams.get('watch') !== 'true') {
        return json(200, {metadata: {resourceVersion: `${version}`}, items});
      }
      return {status: 200, headers: {}, body: watch(watchers, inPlace, signal)};
    }
    const key = `${kind}/${namespace ?? ''}/${name}`;
    const found = store.get(key);
    switch (request.method) {
      case 'GET':
        return found === undefined ? refuse(404, 'NotFound') : json(200, found);
      case 'DELETE':
        if (found === undefined) return refuse(404, 'NotFound');
        remove(key);
        return json(200, found);
      case 'PATCH': {
        const patch = JSON.parse(request.body?.text ?? '{}') as KubernetesObject;
        const merged = {...found, ...patch, metadata: {...found?.metadata, ...patch.metadata}};
        if (url.searchParams.get('dryRun') === 'All') return json(200, merged);
        return json(found === undefined ? 201 : 200, put(merged));
      }
      default:
        return refuse(405, 'MethodNotAllowed');
    }
  };

  const transport: Transport = {
    server: 'https://fake.invalid',
    send(request, {signal}) {
      requests.push(`${request.method} ${request.path}`);
      return Promise.resolve().then(() => options.intercept?.(request) ?? answer(request, signal));
    },
    openChannels(path, handlers) {
      requests.push(`EXEC ${path}`);
      return Promise.resolve(openExec(path, handlers, options));
    },
    close: () => Promise.resolve(),
  };
  return {
    api: createKubernetesApi(transport, {retryTimeoutMs}),
    transport,
    requests,
    objects: () => [...store.values()],
    put,
    remove: (kind, name) => {
      remove(`${kind}/${name}`);
    },
  };
}

/** An answer as the API gives it; for `intercept`. */
export function json(status: number, value: unknown): HttpResponse {
  return text(status, JSON.stringify(value));
}

export function refuse(status: number, reason: string, message = reason): HttpResponse {
  return json(status, {kind: 'Status', status: 'Failure', reason, message});
}

export function text(status: number, body: string): HttpResponse {
  return {
    status,
    headers: {},
    body: (async function* () {
      await Promise.resolve();
      yield Buffer.from(body);
    })(),
  };
}

function discover(path: string): unknown {
  const apiVersion = /^\/(?:api|apis)\/(v1|[^/]+\/v1)$/.exec(path)?.[1];
  if (apiVersion === undefined) return undefined;
  const resources = fakeKinds
    .filter(kind => kind.apiVersion === apiVersion)
    .map(({kind, plural, namespaced}) => ({name: plural, kind, namespaced}));
  return {kind: 'APIResourceList', resources};
}

function parsePath(
  path: string,
): {kind: string; namespace: string | undefined; name: string | undefined} | undefined {
  const rest = path.replace(/^\/(api\/v1|apis\/[^/]+\/[^/]+)\//, '');
  const parts = rest.split('/');
  const inNamespace = parts[0] === 'namespaces' && parts.length > 2;
  const [plural, name] = inNamespace ? parts.slice(2) : parts;
  const kind = fakeKinds.find(entry => entry.plural === plural)?.kind;
  return kind === undefined
    ? undefined
    : {kind, namespace: inNamespace ? parts[1] : undefined, name};
}

async function* watch(
  watchers: Set<(event: string) => void>,
  selects: (object: KubernetesObject) => boolean,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const events: string[] = [];
  let wake = (): void => undefined;
  const watcher = (event: string): void => {
    if (!selects((JSON.parse(event) as {object: KubernetesObject}).object)) return;
    events.push(event);
    wake();
  };
  watchers.add(watcher);
  // As a socket does, it keeps the process alive: what ends a watch may be a timer that does not.
  const open = setInterval(() => undefined, 60_000);
  try {
    for (;;) {
      signal.throwIfAborted();
      const event = events.shift();
      if (event !== undefined) {
        yield Buffer.from(event);
        continue;
      }
      await new Promise<void>(resolve => {
        wake = resolve;
        signal.addEventListener(
          'abort',
          () => {
            resolve();
          },
          {once: true},
        );
      });
    }
  } finally {
    clearInterval(open);
    watchers.delete(watcher);
  }
}

function openExec(
  path: string,
  handlers: ChannelHandlers,
  options: FakeOptions,
): Awaited<ReturnType<Transport['openChannels']>> {
  const url = new URL(path, 'https://fake.invalid');
  const [, namespace = '', name = ''] =
    /\/namespaces\/([^/]+)\/pods\/([^/]+)\/exec$/.exec(url.pathname) ?? [];
  const argv = url.searchParams.getAll('command');
  const run = (): void => {
    const result = options.exec?.({namespace, name}, argv);
    if (result === undefined) return;
    handlers.onData(1, Buffer.from(result.stdout));
    handlers.onData(2, Buffer.from(result.stderr));
    const causes = [{reason: 'ExitCode', message: `${result.exitCode}`}];
    const status =
      result.exitCode === 0
        ? {status: 'Success'}
        : {status: 'Failure', reason: 'NonZeroExitCode', details: {causes}};
    handlers.onData(3, Buffer.from(JSON.stringify(status)));
  };
  setImmediate(run);
  return {send: () => undefined, end: () => undefined, close: () => undefined};
}

function keyOf({kind, metadata}: KubernetesObject): string {
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}
