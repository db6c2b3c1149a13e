/**
 * Makes equal values one value. Ten thousand Secrets of one issuer have the same issuer's name, the
 * same usages, the same lists of keys: held once, they are nothing.
 */
export interface SharedValues {
  /** The value itself, or one that was given before and is equal as JSON. */
  share<T>(value: T): T;
}

/** @param max how many values are held; beyond it all are forgotten, and sharing begins anew */
export function createSharedValues({max}: {readonly max: number}): SharedValues {
  const values = new Map<string, unknown>();
  return {
    share<T>(value: T): T {
      const key = JSON.stringify(value);
      const known = values.get(key);
      // Equal as JSON, and JSON is what it was made of: so it is of the same type.
      if (known !== undefined) return known as T;
      if (values.size >= max) values.clear();
      values.set(key, value);
      return value;
    },
  };
}
