import type {KubernetesObject} from '#shared/kube/object';

/** Where a kind of the API is served; `T` says what its objects look like, as far as we read them. */
export interface ResourceType<T extends KubernetesObject = KubernetesObject> {
  readonly group: string; // '' is the core group
  readonly version: string; // e.g. `v1`
  readonly kind: string; // e.g. `Certificate`
  readonly plural: string; // e.g. `certificates`
  readonly namespaced: boolean;
  /** Never set: it only carries the type. */
  readonly object?: T;
}

/** Names an object of a known kind; `namespace` is left out for kinds that have none. */
export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

/** `cert-manager.io/v1`, or `v1` for the core group. */
export function apiVersionOf({group, version}: ResourceType): string {
  return group === '' ? version : `${group}/${version}`;
}

/**
 * `namespace/name`, or `name` for an object without namespace: the key of views and work queues.
 * Neither part can hold a slash (RFC 1123 names).
 */
export function keyOf(object: KubernetesObject | ObjectName): string {
  const {namespace, name} = isObject(object) ? object.metadata : object;
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** The inverse of {@link keyOf}. */
export function parseKey(key: string): ObjectName {
  const slash = key.indexOf('/');
  return slash < 0 ? {name: key} : {namespace: key.slice(0, slash), name: key.slice(slash + 1)};
}

/**
 * The path of a collection, e.g. `/apis/cert-manager.io/v1/namespaces/shop/certificates`; without
 * a namespace the collection of all namespaces.
 */
export function collectionPath(resource: ResourceType, namespace?: string): string {
  const {group, version, plural} = resource;
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const inside =
    namespace === undefined || !resource.namespaced
      ? ''
      : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${inside}/${plural}`;
}

/** The path of one object, or of a subresource of it. */
export function objectPath(resource: ResourceType, name: ObjectName, subresource?: string): string {
  const path = `${collectionPath(resource, name.namespace)}/${encodeURIComponent(name.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/**
 * Whether a resourceVersion is newer than another of the same kind: they are comparable integers
 * (Kubernetes 1.35, "comparable resource version"; etcd revisions since ever).
 */
export function isNewer(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}

function isObject(value: KubernetesObject | ObjectName): value is KubernetesObject {
  return 'metadata' in value;
}
