import {z} from 'zod';
import type {ProvisionerErrorCode} from '../errors.ts';

/** A key that a map refuses although someone may well write it, and what to say then. */
export interface RefusedKey {
  readonly code: ProvisionerErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** What a map says about keys that it refuses; looked up when one is found. */
export const refusedKeys = z.registry<(key: string) => RefusedKey | undefined>();

/**
 * A map of known keys; any other is a problem.
 *
 * @param refused explains keys that deserve more than "unknown key"
 */
export function strictObject<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  refused: Readonly<Record<string, RefusedKey>> | ((key: string) => RefusedKey) = {},
): z.ZodObject<Shape, z.core.$strict> {
  const schema = z.strictObject(shape);
  refusedKeys.add(
    schema,
    typeof refused === 'function'
      ? refused
      : key => (Object.hasOwn(refused, key) ? refused[key] : undefined),
  );
  return schema;
}
