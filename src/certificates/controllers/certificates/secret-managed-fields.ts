import {isRecord} from '#shared/kube/json';

/** What server-side apply has recorded as ours in one Secret. */
export type ManagedFields =
  | {
      readonly kind: 'known';
      readonly labels: readonly string[];
      readonly annotations: readonly string[];
      readonly dataKeys: readonly string[];
      /** uids of the owner references that we set. */
      readonly ownerUids: readonly string[];
    }
  | {readonly kind: 'unreadable'; readonly message: string};

// The API server itself allows no more than this many bytes of annotations and keys of data; a
// record beyond it was not written by it.
const MANAGERS_MAX = 1_000;
const KEYS_MAX = 5_000;

/**
 * The labels, annotations, data keys and owners that `manager` holds by server-side apply.
 *
 * Only entries of operation `Apply` count: a field held by an `Update` of the same name does not
 * go when it is left out of an apply, so calling it ours would mean repairing it for ever.
 * Several entries of one manager are joined. meta/v1 ManagedFieldsEntry, `FieldsV1`.
 */
export function managedFields(metadata: unknown, manager: string): ManagedFields {
  const entries = isRecord(metadata) ? metadata['managedFields'] : undefined;
  if (entries === undefined || entries === null) return nothing;
  if (!Array.isArray(entries)) return unreadable('managedFields is not a list');
  if (entries.length > MANAGERS_MAX)
    return unreadable(`managedFields has over ${MANAGERS_MAX} entries`);
  const ours = entries.filter(
    (entry: unknown) =>
      isRecord(entry) &&
      entry['manager'] === manager &&
      entry['operation'] === 'Apply' &&
      !isText(entry['subresource']),
  ) as readonly Readonly<Record<string, unknown>>[];
  return joined(ours.map(entry => fieldsOf(entry)));
}

const nothing: ManagedFields = {
  kind: 'known',
  labels: [],
  annotations: [],
  dataKeys: [],
  ownerUids: [],
};

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function joined(all: readonly ManagedFields[]): ManagedFields {
  let [result = nothing] = all;
  for (const next of all.slice(1)) {
    if (result.kind === 'unreadable') return result;
    if (next.kind === 'unreadable') return next;
    result = {
      kind: 'known',
      labels: union(result.labels, next.labels),
      annotations: union(result.annotations, next.annotations),
      dataKeys: union(result.dataKeys, next.dataKeys),
      ownerUids: union(result.ownerUids, next.ownerUids),
    };
  }
  return result;
}

const union = (a: readonly string[], b: readonly string[]): readonly string[] => [
  ...new Set([...a, ...b]),
];

function fieldsOf(entry: Readonly<Record<string, unknown>>): ManagedFields {
  const fields = entry['fieldsV1'];
  const type = entry['fieldsType'];
  if (fields === undefined || fields === null) return nothing;
  if (type !== undefined && type !== 'FieldsV1') return unreadable('fieldsType is not FieldsV1');
  try {
    const metadata = child(fields, 'f:metadata');
    return {
      kind: 'known',
      labels: names(child(metadata, 'f:labels')),
      annotations: names(child(metadata, 'f:annotations')),
      dataKeys: names(child(fields, 'f:data')),
      ownerUids: uids(child(metadata, 'f:ownerReferences')),
    };
  } catch (error) {
    if (error instanceof UnreadableFields) return unreadable(error.message);
    throw error;
  }
}

/** Never leaves this file. */
class UnreadableFields extends Error {}

const unreadable = (message: string): ManagedFields => ({kind: 'unreadable', message});

function child(fields: unknown, name: string): unknown {
  if (fields === undefined) return undefined;
  if (!isRecord(fields) || Array.isArray(fields)) {
    throw new UnreadableFields(`fieldsV1: the parent of ${name} is not an object`);
  }
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** The members of a map: `f:<key>`; `.` says that the map itself is held. */
function names(fields: unknown): readonly string[] {
  return members(fields).flatMap(member => {
    if (member === '.') return [];
    if (!member.startsWith('f:')) {
      throw new UnreadableFields('fieldsV1: a member of a map does not begin with "f:"');
    }
    return [member.slice(2)];
  });
}

/** The members of the list of owners: `k:{"uid":"…"}`. */
function uids(fields: unknown): readonly string[] {
  return members(fields).flatMap(member => {
    if (member === '.') return [];
    const uid = member.startsWith('k:') ? uidOf(member.slice(2)) : undefined;
    if (uid === undefined) {
      throw new UnreadableFields('fieldsV1: a member of ownerReferences is no key with a uid');
    }
    return [uid];
  });
}

function uidOf(text: string): string | undefined {
  try {
    const key: unknown = JSON.parse(text);
    const uid = isRecord(key) ? key['uid'] : undefined;
    return typeof uid === 'string' ? uid : undefined;
  } catch {
    return undefined; // said by the caller
  }
}

function members(fields: unknown): readonly string[] {
  if (fields === undefined) return [];
  if (!isRecord(fields) || Array.isArray(fields)) {
    throw new UnreadableFields('fieldsV1: a map of fields is not an object');
  }
  const keys = Object.keys(fields);
  if (keys.length > KEYS_MAX) throw new UnreadableFields(`fieldsV1: over ${KEYS_MAX} keys`);
  return keys;
}
