import {randomBytes} from 'node:crypto';
import {readFile, rename, rm, writeFile} from 'node:fs/promises';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** Raised whenever an older daemon could misread what this one writes. */
const RECORD_VERSION = 1;

/**
 * Replaces a record so that a reader, or a crash of the daemon, sees the old or the new one.
 *
 * It is not synced: after a power loss the file may be empty, and then {@link readRecord} refuses
 * it. What such a record described is gone after a reboot anyway, save the addresses of its pod,
 * which the network plugin's garbage collection gives back.
 */
export async function writeRecord(path: string, value: object): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, formatRecord(value), {mode: 0o600, flag: 'wx'});
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, {force: true});
    throw error;
  }
}

/**
 * Reads what {@link writeRecord} wrote; `undefined` if there is no such file.
 *
 * @throws CodedError `ERR_STATE_CORRUPT` when the file is cut off, not ours or of another version
 */
export async function readRecord(path: string): Promise<unknown> {
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return parseRecord(text);
  } catch (cause) {
    throw new CodedError<RuntimeErrorCode>(
      'ERR_STATE_CORRUPT',
      `${path}: not a record of version ${RECORD_VERSION}: ${messageOf(cause)}`,
      {hint: 'the record is set aside; look at it there, then delete it', cause},
    );
  }
}

/**
 * JSON, with instants (`bigint`, nanoseconds; JSON numbers would round them) as `{"ns": ["…"]}`:
 * a form that no map of labels or annotations can have, as their values are strings.
 */
function formatRecord(value: object): string {
  const replace = (_key: string, item: unknown): unknown =>
    typeof item === 'bigint' ? {ns: [String(item)]} : item;
  return JSON.stringify({version: RECORD_VERSION, record: value}, replace);
}

function parseRecord(text: string): unknown {
  const parsed: unknown = JSON.parse(text, (_key, item: unknown) =>
    isInstant(item) ? BigInt(item.ns[0]) : item,
  );
  if (typeof parsed !== 'object' || parsed === null || !('version' in parsed)) {
    throw new TypeError('no version in it');
  }
  if (parsed.version !== RECORD_VERSION || !('record' in parsed)) {
    throw new TypeError(`version ${JSON.stringify(parsed.version)}`);
  }
  return parsed.record;
}

function isInstant(item: unknown): item is {readonly ns: readonly [string]} {
  return (
    typeof item === 'object' &&
    item !== null &&
    'ns' in item &&
    Array.isArray(item.ns) &&
    item.ns.length === 1 &&
    typeof item.ns[0] === 'string'
  );
}
