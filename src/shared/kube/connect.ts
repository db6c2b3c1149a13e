import {CodedError} from '../errors.ts';
import type {
  ApplyOptions,
  CallOptions,
  KubernetesApi,
  ListOptions,
  LogOptions,
  PodName,
} from './kubernetes-api.ts';
import {applyRequest, changeBetween} from './apply.ts';
import {ApiRefusedError} from './errors.ts';
import {execInPod} from './exec.ts';
import {isRecord} from './json.ts';
import {formatReference, referenceOf} from './object.ts';
import type {KubernetesObject, ObjectKind, ObjectReference} from './object.ts';
import {createRequester, type Requester} from './request.ts';
import {createResources, type Resources} from './resources.ts';
import {openTransport, type Transport, type TransportOptions} from './transport.ts';
import {listCollection, watchCollection, type WatchOptions} from './watch.ts';

export interface ConnectOptions extends TransportOptions {
  readonly signal: AbortSignal;
  /** How long requests are repeated while the API starts or is overloaded; default 15 s. */
  readonly retryTimeoutMs?: number;
}

/** An API server restarts within seconds; a longer silence is a failure to tell. */
const RETRY_TIMEOUT_MS = 15_000;
/** One page of a log is for people. */
const LOG_BYTES_MAX = 1024 * 1024;
const READY_TIMEOUT_MS = 5_000;

/**
 * Opens the API that a kubeconfig leads to. Nothing is sent yet.
 *
 * TLS is always verified against the kubeconfig's own CA, also when another server address is
 * given (kubeadm's serving certificate must then name that address: 127.0.0.1 for a tunnel).
 *
 * @throws CodedError ERR_KUBECONFIG_INVALID
 */
export async function connectKubernetes(options: ConnectOptions): Promise<KubernetesApi> {
  options.signal.throwIfAborted();
  const {retryTimeoutMs = RETRY_TIMEOUT_MS} = options;
  return createKubernetesApi(await openTransport(options), {retryTimeoutMs});
}

/**
 * Begins to load the client library, which takes half a second, while other work waits for hosts.
 * A failure shows when the API is opened.
 */
export function preloadKubernetesClient(): void {
  import('@kubernetes/client-node').catch(() => undefined);
}

/** The API over any transport; see {@link connectKubernetes}. */
export function createKubernetesApi(
  transport: Transport,
  {retryTimeoutMs}: {readonly retryTimeoutMs: number},
): KubernetesApi {
  const requester = createRequester(transport, {retryTimeoutMs});
  const resources = createResources(requester);
  return {
    server: transport.server,
    isReady: options => isReady(transport, options),
    ...objectCalls(requester, resources),
    ...collectionCalls(requester, resources),
    logs: (pod, options) => readLogs(requester, pod, options),
    exec: (pod, argv, options) => execInPod(transport, pod, argv, options),
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

async function isReady(transport: Transport, {signal}: CallOptions): Promise<boolean> {
  const once = createRequester(transport, {retryTimeoutMs: 0});
  const limited = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
  try {
    await once.text({method: 'GET', path: '/readyz'}, {signal: limited, attempt: 'ask /readyz'});
    return true;
  } catch (error) {
    signal.throwIfAborted();
    // A wrong CA or a refused certificate will not pass by waiting.
    if (!isNotReadyYet(error) && !limited.aborted) throw error;
    return false;
  }
}

function isNotReadyYet(error: unknown): boolean {
  if (!(error instanceof CodedError)) return false;
  if (error instanceof ApiRefusedError) return error.status >= 500;
  return error.code === 'ERR_API_UNREACHABLE';
}

function objectCalls(
  requester: Requester,
  resources: Resources,
): Pick<KubernetesApi, 'get' | 'apply' | 'patch' | 'delete'> {
  const get = async <T extends KubernetesObject>(
    reference: ObjectReference<T>,
    {signal}: CallOptions,
  ): Promise<T | undefined> => {
    const path = await resources.pathOf(reference, reference, {signal});
    const attempt = `get ${formatReference(reference)}`;
    return orUndefined(
      requester
        .json({method: 'GET', path}, {signal, attempt})
        .then(value => parseObject(value, attempt) as T),
    );
  };
  return {
    get,
    async apply<T extends KubernetesObject>(object: T, options: ApplyOptions) {
      const {signal} = options;
      // The same type: a reference of T's own apiVersion and kind.
      const reference = referenceOf(object) as ObjectReference<T>;
      const path = await resources.pathOf(reference, reference, {signal});
      const before = await get(reference, {signal});
      const attempt = `apply ${formatReference(reference)}`;
      const request = applyRequest(path, object, options);
      const after = parseObject(await requester.json(request, {signal, attempt}), attempt) as T;
      return {change: changeBetween(before, after), before, after};
    },
    async patch<T extends KubernetesObject>(
      reference: ObjectReference<T>,
      patch: Readonly<Record<string, unknown>>,
      {signal}: CallOptions,
    ) {
      const path = await resources.pathOf(reference, reference, {signal});
      const attempt = `patch ${formatReference(reference)}`;
      const body = {contentType: 'application/merge-patch+json', text: JSON.stringify(patch)};
      const answer = await requester.json({method: 'PATCH', path, body}, {signal, attempt});
      return parseObject(answer, attempt) as T;
    },
    async delete(reference, {signal, gracePeriodSeconds, propagation = 'Background'}) {
      const path = await resources.pathOf(reference, reference, {signal});
      const attempt = `delete ${formatReference(reference)}`;
      const text = JSON.stringify({
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: propagation,
        ...(gracePeriodSeconds === undefined ? {} : {gracePeriodSeconds}),
      });
      const request = {
        method: 'DELETE',
        path,
        body: {contentType: 'application/json', text},
      } as const;
      return (await orUndefined(requester.text(request, {signal, attempt}))) !== undefined;
    },
  };
}

function collectionCalls(
  requester: Requester,
  resources: Resources,
): Pick<KubernetesApi, 'list' | 'waitFor'> {
  const collection = async (
    verb: string,
    {apiVersion, kind}: ObjectKind,
    {signal, namespace, labelSelector, fieldSelector}: ListOptions,
  ): Promise<WatchOptions> => {
    const path = await resources.pathOf({apiVersion, kind}, {namespace}, {signal});
    const query = new URLSearchParams();
    if (labelSelector !== undefined) query.set('labelSelector', labelSelector);
    if (fieldSelector !== undefined) query.set('fieldSelector', fieldSelector);
    return {signal, attempt: `${verb} ${kind}`, path, query, apiVersion, kind};
  };
  return {
    async list<T extends KubernetesObject>(kind: ObjectKind<T>, options: ListOptions) {
      const asked = await collection('list', kind, options);
      const {objects} = await listCollection(requester, asked);
      return objects as readonly T[]; // the kind was asked for; the API keeps its schema
    },
    async waitFor(kind, decide, options) {
      const {signal, timeoutMs, description} = options;
      const deadline = AbortSignal.timeout(timeoutMs);
      const limited = {...options, signal: AbortSignal.any([signal, deadline])};
      try {
        const asked = await collection('watch', kind, limited);
        for await (const objects of watchCollection(requester, asked)) {
          const decision = decide(objects as Parameters<typeof decide>[0]);
          if (decision !== undefined) return decision;
        }
        throw new Error('a watch never ends by itself');
      } catch (error) {
        if (signal.aborted || !deadline.aborted) throw error;
        const message = `waited ${timeoutMs / 1_000} s for ${description}`;
        throw new CodedError('ERR_API_TIMEOUT', message, {
          hint: 'look at it (kubectl describe) and at the events: "provision kubectl get events -A"',
          cause: error,
        });
      }
    },
  };
}

function readLogs(
  requester: Requester,
  {namespace, name}: PodName,
  {signal, container, tailLines, previous = false}: LogOptions,
): Promise<string> {
  const query = new URLSearchParams({limitBytes: `${LOG_BYTES_MAX}`});
  if (container !== undefined) query.set('container', container);
  if (tailLines !== undefined) query.set('tailLines', `${tailLines}`);
  if (previous) query.set('previous', 'true');
  const pod = `namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  const path = `/api/v1/${pod}/log?${query.toString()}`;
  return requester.text({method: 'GET', path}, {signal, attempt: `logs of ${namespace}/${name}`});
}

/** A 404 of the object itself; a kind that does not exist stays an error (it comes earlier). */
async function orUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ApiRefusedError && error.status === 404) return undefined;
    throw error;
  }
}

function parseObject(value: unknown, attempt: string): KubernetesObject {
  if (isRecord(value) && isRecord(value['metadata']) && typeof value['kind'] === 'string') {
    return value as KubernetesObject;
  }
  throw new CodedError('ERR_API_RESPONSE_INVALID', `${attempt}: the answer is not an object`, {
    hint: 'check that the address is a Kubernetes API and not a proxy or another service',
  });
}
