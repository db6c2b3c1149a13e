import {runtimeMessage} from '../oci/runtime-message.ts';

/** What conmon reports over its sync pipe when the runtime's `create` has ended. */
export type SyncReport =
  | {readonly kind: 'created'; readonly pid: number}
  | {readonly kind: 'failed'; readonly message: string};

/** A message holds the runtime's whole error stream; more than this is not read. */
export const SYNC_BYTES_MAX = 256 * 1024;

/**
 * Reads the first JSON object that conmon wrote.
 *
 * @param text what was read up to the first line's end, the end of the pipe or `SYNC_BYTES_MAX`
 * @returns `undefined` when nothing can be made of it: before 2.2 conmon ends without a word when
 *   the runtime failed with an empty error stream, or when conmon itself could not go on
 */
export function parseSyncReport(text: string): SyncReport | undefined {
  const line = text.split('\n', 1)[0] ?? '';
  let report: {readonly pid?: unknown; readonly data?: unknown; readonly message?: unknown} | null;
  try {
    report = JSON.parse(line) as typeof report;
  } catch {
    return undefined;
  }
  if (report === null) return undefined;
  const pid = report.pid ?? report.data; // `data` from API version 1 on
  if (typeof pid !== 'number' || !Number.isInteger(pid)) return undefined;
  if (pid > 0) return {kind: 'created', pid};
  const message = typeof report.message === 'string' ? runtimeMessage(report.message) : '';
  return {kind: 'failed', message};
}
