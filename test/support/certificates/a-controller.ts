import {setTimeout as sleep} from 'node:timers/promises';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import {createLog, type Log} from '#shared/log';
import {waitFor} from '#shared/wait-for';
import {admissionPolicies} from '#certificates/apis/admission';
import type {Certificate} from '#certificates/apis/certificate';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import {conditionIsTrue} from '#certificates/apis/conditions';
import {customResourceDefinitions} from '#certificates/apis/definitions';
import type {Issuer} from '#certificates/apis/issuer';
import * as kinds from '#certificates/apis/resources';
import type {ControllerConfig} from '#certificates/config/flags';
import {parseFlags} from '#certificates/config/flags';
import {startController, type Controller} from '#certificates/controller';
import {keyOf, openApiClient, type ApiClient} from '#certificates/kube/client';
import {systemClock, type Clock} from '#certificates/kube/clock';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import type {ResourceType} from '#certificates/kube/resource';
import {startApiServer, type ApiServer, type ApiServerOptions} from '#test/api-server';
import {aRequest} from './a-ruled-api.ts';

export interface StartOptions {
  readonly config?: Partial<ControllerConfig>;
  readonly clock?: Clock;
  /** Of the controller, e.g. through a faulty proxy; default one of its own, as administrator. */
  readonly client?: ApiClient;
  readonly log?: Log;
}

/** An API server with our kinds and policies, and any number of controllers, one at a time. */
export interface ControllerSite extends AsyncDisposable {
  readonly server: ApiServer;
  /** Of an administrator. */
  readonly client: ApiClient;
  readonly signal: AbortSignal;
  /** A namespace that nobody else uses. */
  readonly namespace: () => Promise<string>;
  readonly start: (options?: StartOptions) => Promise<Controller>;
  /** Creates objects in order, or changes what they name. */
  readonly apply: (...objects: readonly KubernetesObject[]) => Promise<void>;
  readonly certificate: (
    name: ObjectName,
    until: (certificate: Certificate) => boolean,
  ) => Promise<Certificate>;
  /** Ready at its present generation, nothing going on. */
  readonly ready: (name: ObjectName) => Promise<Certificate>;
  readonly request: (
    name: ObjectName,
    until: (request: CertificateRequest) => boolean,
  ) => Promise<CertificateRequest>;
  readonly issuer: (name: ObjectName, until: (issuer: Issuer) => boolean) => Promise<Issuer>;
  /** Polls any object until it is as asked. */
  readonly object: <T extends KubernetesObject>(
    resource: ResourceType<T>,
    name: ObjectName,
    until: (object: T) => boolean,
  ) => Promise<T>;
  /** The decoded data of a Secret, which has to exist. */
  readonly secretData: (name: ObjectName) => Promise<Readonly<Record<string, Buffer>>>;
}

export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

/** What a condition of the cluster may take on a busy machine. */
const WAIT_MS = 60_000;
const POLL_MS = 25;

/** @param signal ends everything; give it the test's own deadline */
export async function openControllerSite({
  signal,
  flags,
}: ApiServerOptions): Promise<ControllerSite> {
  const stack = new AsyncDisposableStack();
  try {
    const server = stack.use(
      await startApiServer({signal, ...(flags === undefined ? {} : {flags})}),
    );
    const credentials = kubeconfigCredentials(server.kubeconfig);
    const client = stack.use(openApiClient({credentials}));
    await installDefinitions(client, signal);
    return createSite({server, client, signal, stack, credentials});
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

interface SiteParts {
  readonly server: ApiServer;
  readonly client: ApiClient;
  readonly signal: AbortSignal;
  readonly stack: AsyncDisposableStack;
  readonly credentials: Parameters<typeof openApiClient>[0]['credentials'];
}

function createSite({server, client, signal, stack, credentials}: SiteParts): ControllerSite {
  let namespaces = 0;
  const object: ControllerSite['object'] = (resource, name, until) =>
    eventually(client, resource, name, {until, signal});
  return {
    server,
    client,
    signal,
    namespace: async () => {
      namespaces += 1;
      const name = `test-${namespaces}`;
      await client.create(
        kinds.namespaces,
        {apiVersion: 'v1', kind: 'Namespace', metadata: {name}},
        {signal},
      );
      return name;
    },
    start: async ({config = {}, clock = systemClock, client: own, log = quietLog()} = {}) => {
      const mine = own ?? openApiClient({credentials});
      const controller = await startController({
        client: mine,
        config: {...parseFlags([]), ...config},
        clock,
        log,
        signal,
      });
      return {
        views: controller.views,
        queues: controller.queues,
        [Symbol.asyncDispose]: async () => {
          await controller[Symbol.asyncDispose]();
          if (own === undefined) await mine[Symbol.asyncDispose]();
        },
      };
    },
    apply: async (...objects) => {
      for (const each of objects) {
        await client.apply(resourceOf(each), each, {signal, fieldManager: 'test', force: true});
      }
    },
    object,
    certificate: (name, until) => object(kinds.certificates, name, until),
    ready: name => object(kinds.certificates, name, isReady),
    request: (name, until) => object(kinds.certificateRequests, name, until),
    issuer: (name, until) =>
      object(name.namespace === undefined ? kinds.clusterIssuers : kinds.issuers, name, until),
    secretData: async name => {
      const secret = await client.get(kinds.secrets, name, {signal});
      if (secret === undefined) throw new Error(`there is no Secret ${keyOf(name)}`);
      const data = (secret as {readonly data?: Readonly<Record<string, string>>}).data ?? {};
      return Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64')]),
      );
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Ready=True for the present generation, no issuance under way, no temporary key. */
export function isReady({metadata, status}: Certificate): boolean {
  const conditions = status?.conditions ?? [];
  const ready = conditions.find(({type}) => type === 'Ready');
  return (
    ready?.status === 'True' &&
    ready.observedGeneration === metadata.generation &&
    !conditionIsTrue(conditions, 'Issuing') &&
    status?.nextPrivateKeySecretName === undefined
  );
}

async function installDefinitions(client: ApiClient, signal: AbortSignal): Promise<void> {
  const options = {signal, fieldManager: 'test', force: true};
  for (const definition of customResourceDefinitions()) {
    await client.apply(definitionKind, definition, options);
  }
  for (const kind of OUR_KINDS) {
    await waitFor(limited => isServed(client, kind, limited), {signal, timeoutMs: WAIT_MS});
  }
  for (const policy of admissionPolicies()) {
    await client.apply(resourceOf(policy), policy, options);
  }
  await waitFor(limited => capturesRequester(client, limited), {signal, timeoutMs: WAIT_MS});
}

/** A mutating policy answers 503 until it has seen the kind, seconds after the kind is served. */
async function capturesRequester(
  client: ApiClient,
  signal: AbortSignal,
): Promise<true | undefined> {
  const lie = aRequest('nothing', {username: 'other'});
  try {
    const made = await client.create(kinds.certificateRequests, lie, {signal, dryRun: true});
    return made.spec.username === 'other' ? undefined : true;
  } catch (error) {
    if (error instanceof ApiRefusedError) return undefined;
    throw error;
  }
}

/** Reading comes first, writing a moment later; a refusal of what we write shows that both do. */
async function isServed(
  client: ApiClient,
  {group, version, kind, ...rest}: ResourceType,
  signal: AbortSignal,
): Promise<true | undefined> {
  const nothing: KubernetesObject = {
    apiVersion: `${group}/${version}`,
    kind,
    metadata: {name: 'nothing', ...(rest.namespaced ? {namespace: 'default'} : {})},
  };
  try {
    await client.create({group, version, kind, ...rest}, nothing, {signal, dryRun: true});
    return true;
  } catch (error) {
    return error instanceof ApiRefusedError && error.status === 422 ? true : undefined;
  }
}

async function eventually<T extends KubernetesObject>(
  client: ApiClient,
  resource: ResourceType<T>,
  name: ObjectName,
  {until, signal}: {readonly until: (object: T) => boolean; readonly signal: AbortSignal},
): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const found = await client.get(resource, name, {signal});
    if (found !== undefined && until(found)) return found;
    if (performance.now() > deadline) {
      const state = JSON.stringify((found as {readonly status?: unknown} | undefined)?.status);
      throw new Error(`${resource.kind} ${keyOf(name)} is not as expected: ${state}`);
    }
    await sleep(POLL_MS, undefined, {signal});
  }
}

/** Lines of the controller, printed only where DEBUG_CONTROLLER is set. */
function quietLog(): Log {
  const debug = process.env['DEBUG_CONTROLLER'] !== undefined;
  return createLog({
    level: 'debug',
    format: 'json',
    write: line => {
      if (debug) process.stderr.write(line);
    },
  });
}

const OUR_KINDS: readonly ResourceType[] = [
  kinds.certificates,
  kinds.certificateRequests,
  kinds.issuers,
  kinds.clusterIssuers,
];

const definitionKind: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

/** Kinds that tests apply besides ours; the plural of a kind is regular but for policies. */
function resourceOf({apiVersion, kind, metadata}: KubernetesObject): ResourceType {
  const [group, version] = apiVersion.includes('/')
    ? (apiVersion.split('/') as [string, string])
    : (['', apiVersion] as const);
  const plural = `${kind.toLowerCase().replace(/y$/, 'ie')}s`;
  return {group, version, kind, plural, namespaced: metadata.namespace !== undefined};
}
