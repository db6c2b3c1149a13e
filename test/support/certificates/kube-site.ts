import {openApiClient, keyOf, type ApiClient} from '#certificates/kube/client';
import {systemClock} from '#certificates/kube/clock';
import {kubeconfigCredentials} from '#certificates/kube/kubeconfig';
import {startReflector} from '#certificates/kube/reflector';
import type {ResourceType} from '#certificates/kube/resource';
import {createView, type View, type ViewItem} from '#certificates/kube/view';
import type {Log} from '#shared/log';
import type {KubernetesObject} from '#shared/kube/object';
import type {ApiServer} from '#test/api-server';
import {startFaultyProxy, type FaultyProxy} from './faulty-proxy.ts';

export const configMaps: ResourceType<KubernetesObject & {readonly data?: Record<string, string>}> =
  {
    group: '',
    version: 'v1',
    kind: 'ConfigMap',
    plural: 'configmaps',
    namespaced: true,
  };
export const namespaces: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};
export interface KubeSiteOptions {
  readonly server: ApiServer;
  /** Straight to the API server: the hand of somebody else. */
  readonly direct: ApiClient;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Item extends ViewItem {
  readonly value: string;
}

export interface KubeSite extends AsyncDisposable {
  readonly namespace: string;
  readonly proxy: FaultyProxy;
  /** Through the proxy. */
  readonly client: ApiClient;
  readonly put: (name: string, value: string) => Promise<void>;
  readonly remove: (name: string) => Promise<void>;
  /** A reflector of the namespace's ConfigMaps, through the proxy; it ends with the site. */
  readonly reflect: (options?: {metadataOnly?: boolean; idleMs?: number}) => Promise<View<Item>>;
}

/** A namespace `kube-<name>` of its own, reached through a proxy of its own. */
export async function aKubeSite(
  name: string,
  {server, direct, log, signal}: KubeSiteOptions,
): Promise<KubeSite> {
  const stack = new AsyncDisposableStack();
  const namespace = `kube-${name}`;
  await direct.create(
    namespaces,
    {apiVersion: 'v1', kind: 'Namespace', metadata: {name: namespace}},
    {signal},
  );
  const proxy = stack.use(await startFaultyProxy(server));
  const credentials = kubeconfigCredentials(server.kubeconfigWith({server: proxy.server}));
  const client = stack.use(openApiClient({credentials, requestTimeoutMs: 5_000}));
  return {
    namespace,
    proxy,
    client,
    async put(key, value) {
      await direct.apply(configMaps, aConfigMap(namespace, key, value), {
        signal,
        fieldManager: 'test',
      });
    },
    async remove(key) {
      await direct.delete(configMaps, {namespace, name: key}, {signal});
    },
    async reflect(options = {}) {
      const view = createView<Item>({indexes: {}, onChange: () => undefined});
      const reflector = startReflector({
        client,
        resource: configMaps,
        namespace,
        transform: (object): Item => ({
          key: keyOf(object),
          resourceVersion: object.metadata.resourceVersion ?? '',
          value: object.data?.['value'] ?? 'no data',
        }),
        view,
        log,
        clock: systemClock,
        signal,
        ...options,
      });
      stack.use(reflector);
      await reflector.synced;
      return view;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export function aConfigMap(namespace: string, name: string, value: string): KubernetesObject {
  return {apiVersion: 'v1', kind: 'ConfigMap', metadata: {namespace, name}, data: {value}};
}

/** `name=value` of all, sorted. */
export function valuesOf(view: View<Item>): readonly string[] {
  return [...view.values()].map(({key, value}) => `${key.split('/')[1] ?? ''}=${value}`).sort();
}
