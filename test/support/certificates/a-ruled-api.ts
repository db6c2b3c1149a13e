import type {ExecutionContext} from 'ava';
import {admissionPolicies} from '#certificates/apis/admission';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import type {Certificate} from '#certificates/apis/certificate';
import {conditionIsTrue, type Condition} from '#certificates/apis/conditions';
import {customResourceDefinitions} from '#certificates/apis/definitions';
import * as kinds from '#certificates/apis/resources';
import {openApiClient, type ApiClient} from '#certificates/kube/client';
import {openHttpPool} from '#certificates/kube/http-transport';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import type {ResourceType} from '#certificates/kube/resource';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import {createRequester} from '#shared/kube/request';
import {waitFor} from '#shared/wait-for';
import {startApiServer, type ApiServer} from '#test/api-server';

/** An API server with our definitions and policies in effect, and no controller. */
export interface RuledApi extends AsyncDisposable {
  /** Of an administrator, user `admin`. */
  readonly admin: ApiClient;
  readonly write: {readonly signal: AbortSignal; readonly fieldManager: string};
  /** What the API server would make of an object with this spec. */
  readonly dryRun: <T extends KubernetesObject>(
    type: ResourceType<T>,
    spec: T['spec'],
    inNamespace?: string,
  ) => Promise<T>;
  /** Sets the conditions of a request, and no others. */
  readonly decide: (client: ApiClient, name: string, decision: Decision) => Promise<unknown>;
  /** A ServiceAccount that may write requests, and approve for some signers. */
  readonly account: (name: string, signers?: readonly string[]) => Promise<Account>;
  /** Repeats what is refused at first; the API server's own watches lag a little. */
  readonly eventually: <T>(attempt: () => Promise<T>) => Promise<T>;
}

export interface Decision {
  readonly types: readonly string[];
  readonly status?: 'True' | 'False';
  readonly reason?: string;
}

export interface Account {
  readonly client: ApiClient;
  readonly uid: string | undefined;
}

/** Where all objects are, unless a test says otherwise. */
export const namespace = 'default';
export const definitionType: ResourceType = clusterWide(
  'apiextensions.k8s.io',
  'CustomResourceDefinition',
);
/** A policy takes effect when the API server's own watch has seen it. */
const EFFECT_TIMEOUT_MS = 30_000;

/** @param before what has to be there before the rules are */
export async function openRuledApi({
  signal,
  before,
}: {
  readonly signal: AbortSignal;
  readonly before?: (api: RuledApi) => Promise<void>;
}): Promise<RuledApi> {
  const server = await startApiServer({signal});
  const api = createApi(server, signal);
  try {
    if (before) {
      await applyAll(api, customResourceDefinitions().map(withoutRules));
      await before(api);
    }
    await applyAll(api, [...customResourceDefinitions(), ...admissionPolicies()]);
    await waitForEffect(api);
    return api;
  } catch (error) {
    await api[Symbol.asyncDispose]();
    throw error;
  }
}

/** The API server says no, with this status and this word. */
export async function refuses(
  t: ExecutionContext,
  attempt: Promise<unknown>,
  {status, says}: {readonly status: number; readonly says: string},
): Promise<void> {
  const error = await t.throwsAsync(attempt, {instanceOf: ApiRefusedError});
  t.is(error.status, status, error.message);
  t.true(error.message.includes(says), error.message);
}

export function aCertificate(name: string, spec: Certificate['spec']): Certificate {
  return {apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: {namespace, name}, spec};
}

export function aRequest(
  name: string,
  spec: Partial<CertificateRequest['spec']> = {},
): CertificateRequest {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {namespace, name},
    spec: {request: 'YQ==', issuerRef: {name: 'ca'}, ...spec},
  };
}

/** `status.conditions` of any object. */
export function conditionsOf(object: KubernetesObject | undefined): readonly Condition[] {
  const status = object?.['status'] as {readonly conditions?: readonly Condition[]} | undefined;
  return status?.conditions ?? [];
}

function createApi(server: ApiServer, signal: AbortSignal): RuledApi {
  const clientOf = (kubeconfig: string): ApiClient =>
    openApiClient({credentials: kubeconfigCredentials(kubeconfig)});
  const admin = clientOf(server.kubeconfig);
  const write = {signal, fieldManager: 'test'};
  const eventually = async <T>(attempt: () => Promise<T>): Promise<T> => {
    const probe = async (): Promise<{readonly value: T} | undefined> => {
      try {
        return {value: await attempt()};
      } catch {
        return undefined; // the deadline tells
      }
    };
    return (await waitFor(probe, {signal, timeoutMs: EFFECT_TIMEOUT_MS})).value;
  };
  return {
    admin,
    write,
    eventually,
    dryRun<T extends KubernetesObject>(type: ResourceType<T>, spec: T['spec'], at = namespace) {
      const {group, version, kind} = type;
      const metadata = {name: 'judged', ...(type.namespaced && {namespace: at})};
      const object = {apiVersion: `${group}/${version}`, kind, metadata, spec};
      // A kind's own type: what the API server is asked to judge.
      return admin.create(type, object as unknown as T, {...write, dryRun: true});
    },
    decide(client, name, {types, status = 'True', reason = 'test'}) {
      const conditions = types.map(type => ({type, status, reason, message: ''}));
      const options = {...write, subresource: 'status'} as const;
      const patch = {status: {conditions}};
      return client.patch(kinds.certificateRequests, {namespace, name}, patch, options);
    },
    async account(name, signers = []) {
      const uid = await createAccount(admin, name, {signers, write});
      const token = await tokenOf(server, name, signal);
      const client = clientOf(server.kubeconfigWith({token}));
      // Until the authorizer has seen the rights.
      const none = {namespace, name: 'none'};
      await eventually(() => client.get(kinds.certificateRequests, none, {signal}));
      return {client, uid};
    },
    async [Symbol.asyncDispose]() {
      await admin[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function applyAll(
  {admin, write, eventually}: RuledApi,
  objects: readonly KubernetesObject[],
): Promise<void> {
  for (const object of objects) {
    const group = object.apiVersion.split('/')[0] ?? '';
    await admin.apply(clusterWide(group, object.kind), object, write);
  }
  await eventually(async () => {
    const found = await admin.list(definitionType, write);
    if (!found.every(definition => conditionIsTrue(conditionsOf(definition), 'Established'))) {
      throw new Error('not all kinds are served yet');
    }
    await admin.list(kinds.challenges, write);
  });
}

/** Waits until each policy decides: nothing in its status tells when. */
async function waitForEffect(api: RuledApi): Promise<void> {
  const {admin, write, eventually, dryRun} = api;
  const certificate = {secretName: 'a', issuerRef: {name: 'a'}};
  const acme = {server: 'https://a', privateKeySecretRef: {name: 'a'}, solvers: [{selector: {}}]};
  const lie = aRequest('a', {username: 'other'}).spec;
  const probe = {namespace, name: 'probe'};
  // A mutating policy answers 503 until it has seen a kind that is new.
  await eventually(() => admin.create(kinds.certificateRequests, aRequest(probe.name), write));
  const annotations = {'cert-manager.io/a': 'b'};
  const attempts: readonly (() => Promise<unknown>)[] = [
    () => dryRun(kinds.certificates, {...certificate, dnsNames: []}),
    () => dryRun(kinds.certificates, {...certificate, ipAddresses: ['none']}),
    () => dryRun(kinds.issuers, {acme}),
    () => api.decide(admin, probe.name, {types: ['Approved'], status: 'False'}),
    () => admin.patch(kinds.certificateRequests, probe, {metadata: {annotations}}, write),
  ];
  for (const attempt of attempts) await eventually(() => refused(attempt));
  await eventually(async () => {
    const request = await dryRun(kinds.certificateRequests, lie);
    if (request.spec.username !== 'admin') throw new Error('the requester is not captured yet');
  });
}

/** Rejects unless the API server refuses for what is asked: 5xx is only a delay. */
async function refused(attempt: () => Promise<unknown>): Promise<void> {
  const isRefused = await attempt().then(
    () => false,
    (error: unknown) => error instanceof ApiRefusedError && error.status < 500,
  );
  if (!isRefused) throw new Error('the API server took it');
}

function withoutRules(definition: KubernetesObject): KubernetesObject {
  const text = JSON.stringify(definition, (key, member: unknown) =>
    key === 'x-kubernetes-validations' ? undefined : member,
  );
  return JSON.parse(text) as KubernetesObject;
}

interface AccountOptions {
  readonly signers: readonly string[];
  readonly write: RuledApi['write'];
}

/** The account with a role of its own; resolves to its uid. */
async function createAccount(
  admin: ApiClient,
  name: string,
  {signers, write}: AccountOptions,
): Promise<string | undefined> {
  const accountType = {group: '', version: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts'};
  const account = {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {namespace, name}};
  const created = await admin.create({...accountType, namespaced: true}, account, write);
  const group = 'rbac.authorization.k8s.io';
  const apiGroups = ['cert-manager.io'];
  const requests = ['certificaterequests', 'certificaterequests/status'];
  const may = {apiGroups, resources: ['signers'], verbs: ['approve'], resourceNames: signers};
  const rules = [
    {apiGroups, resources: requests, verbs: ['create', 'get', 'update', 'patch']},
    ...(signers.length === 0 ? [] : [may]),
  ];
  const object = {apiVersion: `${group}/v1`, metadata: {name}};
  const role = {...object, kind: 'ClusterRole', rules};
  await admin.create(clusterWide(group, role.kind), role, write);
  const binding = {
    ...object,
    kind: 'ClusterRoleBinding',
    roleRef: {apiGroup: group, kind: role.kind, name},
    subjects: [{kind: 'ServiceAccount', name, namespace}],
  };
  await admin.create(clusterWide(group, binding.kind), binding, write);
  return created.metadata.uid;
}

/** A token of a ServiceAccount, as the kubelet asks for one. */
async function tokenOf(server: ApiServer, name: string, signal: AbortSignal): Promise<string> {
  const credentials = kubeconfigCredentials(server.kubeconfig);
  const pool = openHttpPool({credentials, userAgent: 'test', timeoutMs: 10_000, connections: 1});
  try {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const request = {apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {}};
    const body = {contentType: 'application/json', text: JSON.stringify(request)};
    const requester = createRequester(pool, {retryTimeoutMs: 0});
    const options = {signal, attempt: `get a token of ${name}`};
    const answer = await requester.json({method: 'POST', path, body}, options);
    return (answer as {readonly status: {readonly token: string}}).status.token;
  } finally {
    await pool.close();
  }
}

function clusterWide(group: string, kind: string): ResourceType {
  const plural = kind.endsWith('y') ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  return {group, version: 'v1', kind, plural: plural.toLowerCase(), namespaced: false};
}
