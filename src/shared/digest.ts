import {createHash} from 'node:crypto';

/** Lower-case hex sha256 of text or bytes. */
export function sha256Hex(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** sha256 of a JSON value whose object keys are sorted, so that equal values have equal digests. */
export function digestOf(value: unknown): string {
  return sha256Hex(stableJson(value));
}

/** JSON with sorted object keys; `undefined` members are left out as JSON does. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
