import {CodedError} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import {isRecord} from '#shared/kube/json';
import type {KubernetesObject} from '#shared/kube/object';
import {createRequester, type Requester} from '#shared/kube/request';
import type {HttpRequest, HttpTransport} from '#shared/kube/transport';
import type {Credentials} from './credentials.ts';
import {openHttpPool} from './http-transport.ts';
import {
  listPages,
  watchLines,
  type Page,
  type PageOptions,
  type WatchLineOptions,
} from './pages.ts';
import {apiVersionOf, collectionPath, keyOf, objectPath} from './resource.ts';
import type {ObjectName, ResourceType} from './resource.ts';

export {keyOf, parseKey, type ObjectName} from './resource.ts';

export interface CallOptions {
  readonly signal: AbortSignal;
}

export interface WriteOptions extends CallOptions {
  /** Who owns the fields that are written (`managedFields`); default: the API takes the user agent. */
  readonly fieldManager?: string;
}

export interface UpdateOptions extends WriteOptions {
  readonly subresource?: 'status' | 'approval';
}

export interface ApplyOptions extends UpdateOptions {
  readonly fieldManager: string;
  /** Takes fields over that others own; default true, as for every controller. */
  readonly force?: boolean;
}

export interface SelectOptions extends CallOptions {
  readonly namespace?: string; // without it, of all namespaces
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/**
 * The API as the controller uses it.
 *
 * Every call rejects with the signal's reason when aborted, and otherwise with a CodedError:
 * ERR_API_UNREACHABLE, ERR_API_UNTRUSTED, ERR_API_REFUSED (an ApiRefusedError with `status` and
 * `reason`), ERR_API_RESPONSE_INVALID. What is safe to repeat is repeated for a few seconds while
 * the API starts or is overloaded; a create is repeated only if it was surely not received.
 */
export interface ApiClient extends AsyncDisposable {
  /** Where requests go, e.g. `https://10.96.0.1:443`. */
  readonly server: string;
  /** Resolves to undefined when there is no such object. */
  get<T extends KubernetesObject>(
    resource: ResourceType<T>,
    name: ObjectName,
    options: CallOptions,
  ): Promise<T | undefined>;
  list<T extends KubernetesObject>(
    resource: ResourceType<T>,
    options: SelectOptions,
  ): Promise<readonly T[]>;
  create<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: NoInfer<T>,
    options: WriteOptions & {readonly dryRun?: boolean},
  ): Promise<T>;
  /** Replaces an object; its `metadata.resourceVersion`, if any, is the lock (409). */
  update<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: NoInfer<T>,
    options: UpdateOptions,
  ): Promise<T>;
  updateStatus<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: NoInfer<T>,
    options: WriteOptions,
  ): Promise<T>;
  /** Server-side apply: creates the object, or sets exactly the fields that it names. */
  apply<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: NoInfer<T>,
    options: ApplyOptions,
  ): Promise<T>;
  /** JSON merge patch (RFC 7396). */
  patch<T extends KubernetesObject>(
    resource: ResourceType<T>,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: UpdateOptions,
  ): Promise<T>;
  /**
   * Resolves to false when there was nothing to delete, or, with `uid`, another object by now has
   * that name. Does not wait for finalizers.
   */
  delete(
    resource: ResourceType,
    name: ObjectName,
    options: CallOptions & {readonly uid?: string},
  ): Promise<boolean>;
  /** A collection page by page, for the reflector. */
  pages<T extends KubernetesObject>(
    resource: ResourceType<T>,
    options: PageOptions,
  ): AsyncIterable<Page<T>>;
  /** The events of a collection as lines of JSON, for the reflector. Never repeated. */
  watchLines(resource: ResourceType, options: WatchLineOptions): AsyncIterable<string>;
}

export interface ClientOptions {
  readonly credentials: Credentials;
  /** Default `slipway-certs`. */
  readonly userAgent?: string;
  /** How long the API may be silent within a request; default 30 s. */
  readonly requestTimeoutMs?: number;
  /** Requests at the same time; default 32. Watches do not count. */
  readonly connections?: number;
}

const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS = 32;
/** More watches than kinds we know would be a defect. */
const WATCHES_MAX = 64;
/** An API server that restarts is the queues' affair; this bridges what passes at once. */
const RETRY_TIMEOUT_MS = 2_000;

/** Opens the API. Nothing is sent yet. */
export function openApiClient({
  credentials,
  userAgent = 'slipway-certs',
  requestTimeoutMs = REQUEST_TIMEOUT_MS,
  connections = CONNECTIONS,
}: ClientOptions): ApiClient {
  const requests = openHttpPool({
    credentials,
    userAgent,
    timeoutMs: requestTimeoutMs,
    connections,
  });
  // Silence on a watch is normal: the reflector knows for how long.
  const watches = openHttpPool({credentials, userAgent, timeoutMs: 0, connections: WATCHES_MAX});
  const close = async (): Promise<void> => {
    await Promise.all([requests.close(), watches.close()]);
  };
  return createApiClient({requests, watches, close});
}

export interface ApiTransports {
  readonly requests: HttpTransport;
  readonly watches: HttpTransport;
  readonly close: () => Promise<void>;
  /** Default 2 s; 0: nothing is repeated. */
  readonly retryTimeoutMs?: number;
}

/** The API over any transport; see {@link openApiClient}. */
export function createApiClient({
  requests,
  watches,
  close,
  retryTimeoutMs = RETRY_TIMEOUT_MS,
}: ApiTransports): ApiClient {
  const requester = createRequester(requests, {retryTimeoutMs});
  const watcher = createRequester(watches, {retryTimeoutMs: 0});
  return {
    server: requester.server,
    ...readCalls(requester),
    ...writeCalls(requester),
    pages: (resource, options) => listPages(requester, resource, options),
    watchLines: (resource, options) => watchLines(watcher, resource, options),
    [Symbol.asyncDispose]: close,
  };
}

function readCalls(requester: Requester): Pick<ApiClient, 'get' | 'list'> {
  return {
    async get(resource, name, {signal}) {
      const attempt = `get ${resource.kind} ${keyOf(name)}`;
      const path = objectPath(resource, name);
      return orUndefined(sendObject(requester, {method: 'GET', path}, {signal, attempt}));
    },
    async list<T extends KubernetesObject>(resource: ResourceType<T>, options: SelectOptions) {
      const items: T[] = [];
      for await (const page of listPages(requester, resource, options)) {
        if (page.first) items.length = 0; // the API lost its place, and the list begins anew
        items.push(...page.items);
      }
      return items;
    },
  };
}

function writeCalls(
  requester: Requester,
): Pick<ApiClient, 'create' | 'update' | 'updateStatus' | 'apply' | 'patch' | 'delete'> {
  const update = <T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: NoInfer<T>,
    {signal, fieldManager, subresource}: UpdateOptions,
  ): Promise<T> => {
    const path = objectPath(resource, object.metadata, subresource);
    const request = {
      method: 'PUT' as const,
      path: withQuery(path, {fieldManager}),
      body: jsonBody(typed(resource, object)),
    };
    const attempt = `update ${subresource ?? ''} ${resource.kind} ${keyOf(object)}`;
    return sendObject(requester, request, {signal, attempt: attempt.replace('  ', ' ')});
  };
  return {
    update,
    updateStatus: (resource, object, options) =>
      update(resource, object, {...options, subresource: 'status'}),
    create(resource, object, {signal, fieldManager, dryRun = false}) {
      const query = {fieldManager, dryRun: dryRun ? 'All' : undefined};
      const path = withQuery(collectionPath(resource, object.metadata.namespace), query);
      const body = jsonBody(typed(resource, object));
      const attempt = `create ${resource.kind} ${keyOf(object)}`;
      return sendObject(requester, {method: 'POST', path, body}, {signal, attempt});
    },
    apply(resource, object, {signal, fieldManager, force = true, subresource}) {
      const path = objectPath(resource, object.metadata, subresource);
      const text = JSON.stringify(typed(resource, object));
      const request = {
        method: 'PATCH' as const,
        path: withQuery(path, {fieldManager, force: `${force}`}),
        body: {contentType: 'application/apply-patch+yaml', text}, // JSON is YAML
      };
      const attempt = `apply ${resource.kind} ${keyOf(object)}`;
      return sendObject(requester, request, {signal, attempt});
    },
    patch(resource, name, patch, {signal, fieldManager, subresource}) {
      const request = {
        method: 'PATCH' as const,
        path: withQuery(objectPath(resource, name, subresource), {fieldManager}),
        body: {contentType: 'application/merge-patch+json', text: JSON.stringify(patch)},
      };
      const attempt = `patch ${resource.kind} ${keyOf(name)}`;
      return sendObject(requester, request, {signal, attempt});
    },
    async delete(resource, name, {signal, uid}) {
      const preconditions = uid === undefined ? {} : {preconditions: {uid}};
      const options = {apiVersion: 'v1', kind: 'DeleteOptions', ...preconditions};
      const request = {
        method: 'DELETE' as const,
        path: objectPath(resource, name),
        body: jsonBody({...options, propagationPolicy: 'Background'}),
      };
      const attempt = `delete ${resource.kind} ${keyOf(name)}`;
      try {
        await requester.text(request, {signal, attempt});
        return true;
      } catch (error) {
        if (isGone(error) || (uid !== undefined && isOtherUid(error))) return false;
        throw error;
      }
    },
  };
}

async function sendObject<T extends KubernetesObject>(
  requester: Requester,
  request: HttpRequest,
  options: {readonly signal: AbortSignal; readonly attempt: string},
): Promise<T> {
  const value = await requester.json(request, options);
  if (isRecord(value) && isRecord(value['metadata'])) return value as unknown as T;
  throw new CodedError('ERR_API_RESPONSE_INVALID', `${options.attempt}: no object came back`, {
    hint: 'check that the address is a Kubernetes API and not a proxy or another service',
  });
}

async function orUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/**
 * A 404 of the object itself. A kind that is not served is a 404 as well, but with a text instead
 * of a `Status` object, hence without a reason.
 */
function isGone(error: unknown): boolean {
  return error instanceof ApiRefusedError && error.status === 404 && error.reason === 'NotFound';
}

function isOtherUid(error: unknown): boolean {
  return error instanceof ApiRefusedError && error.status === 409 && /\bUID\b/.test(error.message);
}

/** Objects of a list carry no type; one that is sent must. */
function typed(resource: ResourceType, object: KubernetesObject): KubernetesObject {
  return {...object, apiVersion: apiVersionOf(resource), kind: resource.kind};
}

function jsonBody(value: unknown): {readonly contentType: string; readonly text: string} {
  return {contentType: 'application/json', text: JSON.stringify(value)};
}

function withQuery(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) query.set(name, value);
  }
  return query.size === 0 ? path : `${path}?${query.toString()}`;
}
