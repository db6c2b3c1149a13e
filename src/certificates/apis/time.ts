/**
 * An instant as Kubernetes writes it (meta/v1 `Time`): RFC 3339, UTC, whole seconds, rounded down.
 */
export function formatTime(instant: Date): string {
  return `${instant.toISOString().slice(0, 'yyyy-mm-ddThh:mm:ss'.length)}Z`;
}

/** Reads an instant of an object; undefined where there is none, or none that can be read. */
export function parseTime(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const instant = new Date(text);
  return Number.isNaN(instant.getTime()) ? undefined : instant;
}
