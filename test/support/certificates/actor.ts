import {waitFor} from '#shared/wait-for';
import {ApiRefusedError} from '#shared/kube/errors';
import {createRequester} from '#shared/kube/request';
import {openApiClient, type ApiClient} from '#certificates/kube/client';
import {openHttpPool} from '#certificates/kube/http-transport';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import type {ResourceType} from '#certificates/kube/resource';
import type {ControllerSite} from './a-controller.ts';

/** A ServiceAccount with rights of its own. */
export interface Actor extends AsyncDisposable {
  readonly userName: string;
  readonly client: ApiClient;
}

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const rbac = {group: 'rbac.authorization.k8s.io', version: 'v1', namespaced: false} as const;
const clusterRoles: ResourceType = {...rbac, kind: 'ClusterRole', plural: 'clusterroles'};
const bindings: ResourceType = {
  ...rbac,
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
};
const core = {group: '', version: 'v1', namespaced: true} as const;

/** Makes a ServiceAccount in a namespace and grants it rules in the whole cluster. */
export async function anActor(
  site: ControllerSite,
  {
    namespace,
    name,
    rules,
  }: {readonly namespace: string; readonly name: string; readonly rules: readonly Rule[]},
): Promise<Actor> {
  const {client, server, signal} = site;
  const id = `${namespace}-${name}`;
  const rbacVersion = 'rbac.authorization.k8s.io/v1';
  await client.create(
    {...core, kind: 'ServiceAccount', plural: 'serviceaccounts'},
    {apiVersion: 'v1', kind: 'ServiceAccount', metadata: {name, namespace}},
    {signal},
  );
  const role = {apiVersion: rbacVersion, kind: 'ClusterRole', metadata: {name: id}, rules};
  await client.create(clusterRoles, role, {signal});
  await client.create(
    bindings,
    {
      apiVersion: rbacVersion,
      kind: 'ClusterRoleBinding',
      metadata: {name: id},
      roleRef: {apiGroup: rbac.group, kind: 'ClusterRole', name: id},
      subjects: [{kind: 'ServiceAccount', namespace, name}],
    },
    {signal},
  );
  const token = await requestToken(site, namespace, name);
  const credentials = kubeconfigCredentials(server.kubeconfigWith({token}));
  const own = openApiClient({credentials});
  return {
    userName: `system:serviceaccount:${namespace}:${name}`,
    client: own,
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}

/** A subresource of the core group that takes an object of another: no call of our client does. */
async function requestToken(
  {server, signal}: ControllerSite,
  namespace: string,
  name: string,
): Promise<string> {
  const credentials = kubeconfigCredentials(server.kubeconfig);
  const pool = openHttpPool({credentials, userAgent: 'test', timeoutMs: 30_000, connections: 1});
  try {
    const answer = await createRequester(pool, {retryTimeoutMs: 0}).json(
      {
        method: 'POST',
        path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
        body: {
          contentType: 'application/json',
          text: JSON.stringify({
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'TokenRequest',
            spec: {expirationSeconds: 3_600},
          }),
        },
      },
      {signal, attempt: 'request a token'},
    );
    return (answer as {readonly status: {readonly token: string}}).status.token;
  } finally {
    await pool.close();
  }
}

/** What an attempt came to, once the actor's rights are in force: `done`, or the refusal. */
export async function outcomeOf(
  attempt: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<'done' | ApiRefusedError> {
  return waitFor(
    async () => {
      try {
        await attempt();
        return 'done' as const;
      } catch (error) {
        if (!(error instanceof ApiRefusedError)) throw error;
        // RBAC is told of new roles by watches of its own.
        return / cannot \w+ resource /.test(error.message) ? undefined : error;
      }
    },
    {signal, timeoutMs: 20_000},
  );
}
