import {toJsonString, type DescMessage, type MessageShape} from '@bufbuild/protobuf';

/** Where a command's text goes. */
export interface Output {
  readonly write: (data: string | Uint8Array) => void;
  readonly writeError: (data: string | Uint8Array) => void;
}

/** A message of the API as JSON, with the names that CRI clients use (`repoTags`). */
export function formatJson<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
): string {
  return `${toJsonString(schema, message, {prettySpaces: 2, alwaysEmitImplicit: true})}\n`;
}

/** How ids are shown; the daemon takes any unique beginning. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 13);
}

/** Nanoseconds since 1970 as an age, e.g. `3m`, `2h`, `5d`. */
export function formatAge(nanoseconds: bigint, nowMs: number): string {
  const seconds = Math.max(0, Math.floor(nowMs / 1000 - Number(nanoseconds / 1_000_000_000n)));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 120 * 60) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** e.g. `1.5MB`; powers of 1000, as registries and the kubelet count images. */
export function formatBytes(bytes: bigint | number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
  let value = Number(bytes);
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)}${units[unit] ?? ''}`;
}
