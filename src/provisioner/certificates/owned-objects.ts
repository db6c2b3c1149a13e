import type {ObjectReference} from '#shared/kube/object';
import {z} from 'zod';

const OWNED_KEY = 'owned';
const references = z
  .array(
    z.object({
      apiVersion: z.string(),
      kind: z.string(),
      name: z.string(),
      namespace: z.string().optional(),
    }),
  )
  .catch([]);

/** Names of objects as state.json keeps them beside an action. */
export function formatOwned(owned: readonly ObjectReference[]): Readonly<Record<string, string>> {
  return {
    [OWNED_KEY]: JSON.stringify(
      owned.map(({apiVersion, kind, name, namespace}) => ({apiVersion, kind, name, namespace})),
    ),
  };
}

/** Reads them back; what is not there or not ours to understand names nothing. */
export function parseOwned(
  keys: Readonly<Record<string, string>> | undefined,
): readonly ObjectReference[] {
  const text = keys?.[OWNED_KEY];
  if (text === undefined) return [];
  return references
    .parse(JSON.parse(text))
    .map(({namespace, ...rest}) => (namespace === undefined ? rest : {...rest, namespace}));
}
