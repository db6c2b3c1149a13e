import type {KubernetesObject} from '#shared/kube/object';
import type {ApiClient} from '#certificates/kube/client';
import type {ResourceType} from '#certificates/kube/resource';

/** A write that a controller asks for; events do not count. */
export interface AskedWrite {
  readonly verb: 'create' | 'update' | 'updateStatus' | 'apply' | 'patch' | 'delete';
  readonly kind: string;
  /** Without namespace. */
  readonly name: string;
}

export interface WatchedClient {
  readonly client: ApiClient;
  /** Those that went through, in order. */
  readonly writes: readonly AskedWrite[];
}

/**
 * A client that counts its writes, and lets a test do something before each: what `before` throws
 * is what the controller gets instead.
 */
export function watchedClient(
  client: ApiClient,
  before: (write: AskedWrite, writesBefore: number) => Promise<void> = () => Promise.resolve(),
): WatchedClient {
  const writes: AskedWrite[] = [];
  const through = async <T>(write: AskedWrite, send: () => Promise<T>): Promise<T> => {
    if (write.kind === 'Event') return send();
    await before(write, writes.length);
    const answer = await send();
    writes.push(write);
    return answer;
  };
  const asked = (
    verb: AskedWrite['verb'],
    {kind}: ResourceType,
    {metadata}: KubernetesObject,
  ): AskedWrite => ({verb, kind, name: metadata.name});
  return {
    writes,
    client: {
      ...client,
      create: (resource, object, options) =>
        through(asked('create', resource, object), () => client.create(resource, object, options)),
      update: (resource, object, options) =>
        through(asked('update', resource, object), () => client.update(resource, object, options)),
      updateStatus: (resource, object, options) =>
        through(asked('updateStatus', resource, object), () =>
          client.updateStatus(resource, object, options),
        ),
      apply: (resource, object, options) =>
        through(asked('apply', resource, object), () => client.apply(resource, object, options)),
      patch: (resource, name, patch, options) =>
        through({verb: 'patch', kind: resource.kind, name: name.name}, () =>
          client.patch(resource, name, patch, options),
        ),
      delete: (resource, name, options) =>
        through({verb: 'delete', kind: resource.kind, name: name.name}, () =>
          client.delete(resource, name, options),
        ),
      [Symbol.asyncDispose]: () => Promise.resolve(), // it is somebody else's
    },
  };
}
