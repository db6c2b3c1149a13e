import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import type {ApiClient, ObjectName} from '#certificates/kube/client';
import type {Clock} from '#certificates/kube/clock';
import {apiVersionOf, keyOf, type ResourceType} from '#certificates/kube/resource';

/** A write that went through. */
export interface Write {
  readonly verb: 'create' | 'update' | 'update-status' | 'apply' | 'delete';
  readonly kind: string;
  readonly key: string;
  readonly fieldManager?: string | undefined;
}

interface Stored {
  readonly resource: ResourceType;
  readonly object: KubernetesObject;
}

type Data = Readonly<Record<string, string>>;

/**
 * The part of an API server that reconcilers use, in memory: versions, uids, conflicts, server-side
 * apply of Secrets with its managed fields, deletion with preconditions. No validation, no garbage
 * collection, no watches: `onChange` tells every change at once.
 */
export class MemoryApi {
  readonly writes: Write[] = [];
  /** Called for every change, as a watch without any delay. */
  onChange: (resource: ResourceType, object: KubernetesObject, gone: boolean) => void = () =>
    undefined;
  /** Called before a write; what it throws refuses it. */
  obstacle: ((write: Write) => void) | undefined;
  /** Called after a write went through, before its answer: what it throws loses the answer. */
  afterWrite: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #objects = new Map<string, Stored>();
  #version = 1_000;
  #uid = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** All objects of a kind. */
  all<T extends KubernetesObject>(resource: ResourceType<T>): readonly T[] {
    return [...this.#objects.values()]
      .filter(stored => stored.resource.plural === resource.plural)
      .map(({object}) => object as T);
  }

  find<T extends KubernetesObject>(resource: ResourceType<T>, key: string): T | undefined {
    return this.#objects.get(`${resource.plural}/${key}`)?.object as T | undefined;
  }

  /** Puts an object there, or changes it, as anybody but the controller does. */
  put<T extends KubernetesObject>(resource: ResourceType<T>, object: T): T {
    const before = this.find(resource, keyOf(object));
    const generation = before?.metadata.generation ?? 0;
    const changed = JSON.stringify(before?.['spec']) !== JSON.stringify(object['spec']);
    const metadata = {...object.metadata, generation: changed ? generation + 1 : generation};
    return this.#store(resource, {...object, metadata});
  }

  remove(resource: ResourceType, key: string): void {
    const id = `${resource.plural}/${key}`;
    const stored = this.#objects.get(id);
    if (stored === undefined) return;
    this.#objects.delete(id);
    this.#version += 1;
    const metadata = {...stored.object.metadata, resourceVersion: `${this.#version}`};
    this.onChange(resource, {...stored.object, metadata}, true);
  }

  /** What a controller gets. */
  client(): ApiClient {
    const client: Partial<ApiClient> = {
      server: 'https://memory.invalid',
      get: (resource, name) => Promise.resolve(this.find(resource, keyOf(name))),
      list: resource => Promise.resolve(this.all(resource)),
      update: (resource, object, options) => this.#update('update', resource, object, options),
      updateStatus: (resource, object, options) =>
        this.#update('update-status', resource, object, options),
      create: (resource, object, options) => this.#create(resource, object, options),
      apply: (resource, object, options) => this.#apply(resource, object, options),
      delete: (resource, name, options) => this.#delete(resource, name, options),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    return client as ApiClient; // reconcilers neither patch, nor list pages, nor watch
  }

  async #update<T extends KubernetesObject>(
    verb: 'update' | 'update-status',
    resource: ResourceType<T>,
    object: T,
    {fieldManager}: {readonly fieldManager?: string},
  ): Promise<T> {
    const key = keyOf(object);
    const write = {verb, kind: resource.kind, key, fieldManager};
    await this.#begin(write);
    const before = this.find(resource, key);
    if (before === undefined) throw refusal(write, 404, 'NotFound');
    const version = object.metadata.resourceVersion;
    if (version !== undefined && version !== before.metadata.resourceVersion) {
      throw refusal(write, 409, 'Conflict');
    }
    this.writes.push(write);
    const status = structuredClone(object['status']);
    const after = verb === 'update-status' ? {...before, status} : object;
    const same = JSON.stringify(after) === JSON.stringify(before);
    return this.#answer(same ? before : this.#store(resource, after));
  }

  async #create<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: T,
    {fieldManager}: {readonly fieldManager?: string},
  ): Promise<T> {
    const key = keyOf(object);
    const write = {verb: 'create', kind: resource.kind, key, fieldManager} as const;
    await this.#begin(write);
    if (this.find(resource, key)) throw refusal(write, 409, 'AlreadyExists');
    this.writes.push(write);
    const metadata = {...object.metadata, generation: 1};
    return this.#answer(this.#store(resource, {...object, metadata}));
  }

  async #apply<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: T,
    {fieldManager}: {readonly fieldManager: string},
  ): Promise<T> {
    const key = keyOf(object);
    const write = {verb: 'apply', kind: resource.kind, key, fieldManager} as const;
    await this.#begin(write);
    const before = this.find(resource, key);
    const {uid} = object.metadata;
    if (uid !== undefined && uid !== before?.metadata.uid) throw refusal(write, 409, 'Conflict');
    this.writes.push(write);
    const after = applied(object, before, fieldManager) as T;
    const same = before !== undefined && JSON.stringify(after) === JSON.stringify(before);
    return this.#answer(same ? before : this.#store(resource, after));
  }

  async #delete(
    resource: ResourceType,
    name: ObjectName,
    {uid}: {readonly uid?: string},
  ): Promise<boolean> {
    const write = {verb: 'delete', kind: resource.kind, key: keyOf(name)} as const;
    await this.#begin(write);
    const before = this.find(resource, write.key);
    if (before === undefined || (uid !== undefined && uid !== before.metadata.uid)) return false;
    this.writes.push(write);
    this.remove(resource, write.key);
    return this.#answer(true);
  }

  async #begin(write: Write): Promise<void> {
    await Promise.resolve(); // others get a turn, as on a network
    this.obstacle?.(write);
  }

  #answer<T>(value: T): T {
    this.afterWrite?.();
    return value;
  }

  #store<T extends KubernetesObject>(resource: ResourceType<T>, object: T): T {
    const key = keyOf(object);
    const before = this.find(resource, key)?.metadata;
    this.#version += 1;
    this.#uid += 1;
    const now = `${this.#clock.now().toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`;
    const stored: T = {
      ...structuredClone(object),
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: {
        ...structuredClone(object.metadata),
        uid: before?.uid ?? `uid-${this.#uid}`,
        creationTimestamp: before?.creationTimestamp ?? object.metadata.creationTimestamp ?? now,
        resourceVersion: `${this.#version}`,
      },
    };
    this.#objects.set(`${resource.plural}/${key}`, {resource, object: stored});
    this.onChange(resource, stored, false);
    return structuredClone(stored);
  }
}

function refusal({verb, key}: Write, status: number, reason: string): ApiRefusedError {
  return new ApiRefusedError(`${verb} ${key}`, {status, reason, message: 'refused by the test'});
}

/** Server-side apply as far as Secrets need it: metadata and data, key by key. */
function applied(
  object: KubernetesObject,
  before: KubernetesObject | undefined,
  manager: string,
): KubernetesObject {
  const owned = ownedBefore(before, manager);
  const {labels, annotations} = object.metadata;
  const data = object['data'] as Data | undefined;
  const owners = object.metadata['ownerReferences'] as
    readonly {readonly uid: string}[] | undefined;
  const ownerKeys = (owners ?? []).map(({uid}) => `k:${JSON.stringify({uid})}`);
  return {
    ...before,
    ...object,
    metadata: {
      ...before?.metadata,
      ...object.metadata,
      labels: merged(before?.metadata.labels, labels, owned.labels),
      annotations: merged(before?.metadata.annotations, annotations, owned.annotations),
      managedFields: [
        {
          manager,
          operation: 'Apply',
          apiVersion: 'v1',
          fieldsType: 'FieldsV1',
          fieldsV1: {
            'f:data': fields(data),
            'f:metadata': {
              'f:labels': fields(labels),
              'f:annotations': fields(annotations),
              ...(owners && {
                'f:ownerReferences': Object.fromEntries(ownerKeys.map(key => [key, {}] as const)),
              }),
            },
          },
        },
      ],
    },
    data: merged(before?.['data'] as Data | undefined, data, owned.data),
  };
}

function merged(old: Data | undefined, next: Data | undefined, ours: readonly string[]): Data {
  const foreign = Object.entries(old ?? {}).filter(([key]) => !ours.includes(key));
  return {...Object.fromEntries(foreign), ...next};
}

function fields(record: object | undefined): Readonly<Record<string, object>> {
  return Object.fromEntries(Object.keys(record ?? {}).map(key => [`f:${key}`, {}]));
}

interface AppliedFields {
  readonly manager: string;
  readonly fieldsV1: {
    readonly 'f:data': object;
    readonly 'f:metadata': {readonly 'f:labels': object; readonly 'f:annotations': object};
  };
}

function ownedBefore(before: KubernetesObject | undefined, manager: string) {
  const entries = (before?.metadata['managedFields'] ?? []) as readonly AppliedFields[];
  const ours = entries.find(entry => entry.manager === manager)?.fieldsV1;
  const names = (record: object | undefined): readonly string[] =>
    Object.keys(record ?? {}).map(key => key.slice('f:'.length));
  return {
    data: names(ours?.['f:data']),
    labels: names(ours?.['f:metadata']['f:labels']),
    annotations: names(ours?.['f:metadata']['f:annotations']),
  };
}
