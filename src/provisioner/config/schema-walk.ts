import {z} from 'zod';

/** The schema inside any number of `optional`, `nullable`, `default` and the like. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const {def} = schema._zod;
  return 'innerType' in def ? unwrap(def.innerType as z.core.$ZodType) : schema;
}

/** The schema of the value at a path, or undefined where the schema has nothing there. */
export function schemaAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
): z.core.$ZodType | undefined {
  const inner = unwrap(schema);
  const [key, ...rest] = path;
  if (key === undefined) return inner;
  const child = childOf(inner, String(key));
  return child && schemaAt(child, rest);
}

/** The keys that a map knows; empty for anything else. */
export function knownKeys(schema: z.core.$ZodType): readonly string[] {
  const inner = unwrap(schema);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** Paths of known keys with this name, shortest first; lists and free maps are not searched. */
export function pathsTo(schema: z.core.$ZodType, name: string): readonly (readonly string[])[] {
  const inner = unwrap(schema);
  if (!(inner instanceof z.ZodObject)) return [];
  const shape = inner.shape as Readonly<Record<string, z.core.$ZodType>>;
  return Object.entries(shape)
    .flatMap(([key, child]) => [
      ...(key === name ? [[key]] : []),
      ...pathsTo(child, name).map(path => [key, ...path]),
    ])
    .sort((a, b) => a.length - b.length);
}

function childOf(schema: z.core.$ZodType, key: string): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) {
    return Object.hasOwn(schema.shape, key)
      ? (schema.shape as Record<string, z.core.$ZodType>)[key]
      : undefined;
  }
  if (schema instanceof z.ZodRecord) return schema.valueType;
  if (schema instanceof z.ZodArray) return schema.element;
  return undefined;
}
