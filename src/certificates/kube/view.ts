import {isNewer} from './resource.ts';

/** What a view keeps of an object: its key, its version, and whatever a reflector's transform kept. */
export interface ViewItem {
  readonly key: string;
  readonly resourceVersion: string;
}

export interface ViewChange<T> {
  readonly key: string;
  readonly before?: T;
  readonly after?: T;
}

/** Values under which an item is found again; none is fine. Must be a pure function of the item. */
export type Index<T> = (item: T) => readonly string[];

export interface ViewOptions<T> {
  readonly indexes: Readonly<Record<string, Index<T>>>;
  /** Called at once after each change; it may only enqueue. */
  readonly onChange: (change: ViewChange<T>) => void;
}

/** The present state of a kind, as last seen or last written. */
export interface View<T> {
  get(key: string): T | undefined;
  values(): Iterable<T>;
  /** @throws TypeError for an index that the view was not made with */
  byIndex(index: string, value: string): readonly T[];
  readonly size: number;
  /** Takes an item in, unless the view has the same version, a newer one, or its later deletion. */
  observe(item: T): void;
  /**
   * Drops an item, unless the view has a version newer than that of its deletion.
   *
   * @param resourceVersion of the deletion; without it, the item that is there is meant
   */
  forget(key: string, resourceVersion?: string): void;
  /** Drops everything, whatever its version: the cluster has another history now. */
  clear(): void;
}

/**
 * An answer to our own write may arrive after the event that deleted the object; for so many
 * deletions that is known. Answers are seconds late at most.
 */
const DELETIONS_MAX = 4_096;

/** An empty view. */
export function createView<T extends ViewItem>({indexes, onChange}: ViewOptions<T>): View<T> {
  const items = new Map<string, T>();
  const deletions = new Map<string, string>();
  const built = new Map(Object.entries(indexes).map(([name, of]) => [name, createIndex(of)]));

  const remember = (key: string, resourceVersion: string): void => {
    deletions.delete(key); // so that it becomes the youngest
    deletions.set(key, resourceVersion);
    if (deletions.size <= DELETIONS_MAX) return;
    for (const oldest of deletions.keys()) {
      deletions.delete(oldest);
      break;
    }
  };

  return {
    get: key => items.get(key),
    values: () => items.values(),
    byIndex(index, value) {
      const keys = built.get(index);
      if (keys === undefined) throw new TypeError(`the view has no index ${index}`);
      const found: T[] = [];
      for (const key of keys.keysOf(value)) {
        const item = items.get(key);
        if (item !== undefined) found.push(item);
      }
      return found;
    },
    get size() {
      return items.size;
    },
    observe(item) {
      const {key, resourceVersion} = item;
      const before = items.get(key);
      if (before !== undefined && !isNewer(resourceVersion, before.resourceVersion)) return;
      const deletedAt = deletions.get(key);
      if (deletedAt !== undefined && !isNewer(resourceVersion, deletedAt)) return;
      deletions.delete(key);
      items.set(key, item);
      for (const index of built.values()) index.replace(before, item);
      onChange(before === undefined ? {key, after: item} : {key, before, after: item});
    },
    forget(key, resourceVersion) {
      const before = items.get(key);
      const deletedAt = resourceVersion ?? before?.resourceVersion;
      if (before !== undefined && deletedAt !== undefined) {
        if (isNewer(before.resourceVersion, deletedAt)) return;
        items.delete(key);
        for (const index of built.values()) index.replace(before, undefined);
      }
      if (deletedAt !== undefined) remember(key, deletedAt);
      if (before !== undefined) onChange({key, before});
    },
    clear() {
      const all = [...items.values()];
      items.clear();
      deletions.clear();
      for (const before of all) {
        for (const index of built.values()) index.replace(before, undefined);
        onChange({key: before.key, before});
      }
    },
  };
}

interface BuiltIndex<T> {
  keysOf(value: string): Iterable<string>;
  replace(before: T | undefined, after: T | undefined): void;
}

/** Most values lead to one item: a key alone costs a tenth of a set of one. */
function createIndex<T extends ViewItem>(valuesOf: Index<T>): BuiltIndex<T> {
  const keys = new Map<string, string | Set<string>>();
  const add = (value: string, key: string): void => {
    const present = keys.get(value);
    if (present === undefined) keys.set(value, key);
    else if (typeof present !== 'string') present.add(key);
    else if (present !== key) keys.set(value, new Set([present, key]));
  };
  const remove = (value: string, key: string): void => {
    const present = keys.get(value);
    if (present === key) keys.delete(value);
    if (present === undefined || typeof present === 'string') return;
    present.delete(key);
    if (present.size === 0) keys.delete(value);
  };
  return {
    keysOf(value) {
      const present = keys.get(value);
      return typeof present === 'string' ? [present] : (present ?? []);
    },
    replace(before, after) {
      const old = before === undefined ? [] : valuesOf(before);
      const next = after === undefined ? [] : valuesOf(after);
      if (before !== undefined) {
        for (const value of old) if (!next.includes(value)) remove(value, before.key);
      }
      if (after !== undefined) {
        for (const value of next) if (!old.includes(value)) add(value, after.key);
      }
    },
  };
}
