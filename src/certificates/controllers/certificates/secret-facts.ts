import {hash} from 'node:crypto';
import {isRecord} from '#shared/kube/json';
import {labels, SECRET_FIELD_MANAGER, secretKeys} from '../../apis/names.ts';
import type {SecretObject} from '../../apis/resources.ts';
import {hasOurPrefix} from '../../policies/secret-template.ts';
import {additionalFormats, type AdditionalFormat} from './additional-formats.ts';
import {certificateAnnotations} from './certificate-annotations.ts';
import {keyPairFacts, type KeyPairFacts} from './key-pair-facts.ts';
import {createSharedValues} from './shared-values.ts';
import {managedFields, type ManagedFields} from './secret-managed-fields.ts';

/**
 * What is kept of a Secret: verdicts instead of contents, at most about 2 KB, no key material.
 *
 * Everything that a policy asks about a target Secret, a temporary key or the Secret of a CA is
 * answered from here; whoever needs the key itself reads the Secret live.
 */
export interface SecretFacts {
  /** `namespace/name`. */
  readonly key: string;
  readonly resourceVersion: string;
  readonly uid: string;
  /** Empty when the object does not say, as in metadata-only answers. */
  readonly type: string;
  readonly immutable: boolean;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  /** Those with our prefixes and those that our field manager holds; no others. */
  readonly labels: Readonly<Record<string, string>>;
  /** Likewise; without those that describe the certificate (see `certificateAnnotations`). */
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerFacts[];
  readonly dataKeys: readonly string[];
  /** sha256 in base64url of every value, by its key. */
  readonly dataDigests: Readonly<Record<string, string>>;
  readonly hasTlsKey: boolean;
  readonly hasTlsCrt: boolean;
  readonly keyPair: KeyPairFacts;
  /** How the annotations that describe the certificate compare with it. */
  readonly certificateAnnotations: AnnotationsVerdict;
  /** Which of the additional output formats are there, and whether they agree with the key pair. */
  readonly formats: Readonly<Record<AdditionalFormat, FormatVerdict>>;
  readonly managed: ManagedFields;
  /** A key that waits for its certificate (label next-private-key). */
  readonly isTemporaryKey: boolean;
}

/** meta/v1 OwnerReference. */
export interface OwnerFacts {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** `expected` are the keys that a Secret of this certificate has, `wrong` those with other values. */
export interface AnnotationsVerdict {
  readonly expected: readonly string[];
  readonly wrong: readonly string[];
}

export type FormatVerdict = 'absent' | 'right' | 'wrong';

// What thousands of Secrets have alike.
const shared = createSharedValues({max: 2_000});

// The API server refuses Secrets beyond 1 MiB; many keys would be many digests.
const DATA_KEYS_MAX = 256;
// A longer value is kept as its digest: `heldValue` says which.
const VALUE_LENGTH_MAX = 256;

/**
 * Parses a Secret once.
 *
 * @param previous the facts of an earlier version, if there are any: what its data said is not
 *   parsed again as long as the data is the same.
 */
export function secretFacts(secret: SecretObject, previous?: SecretFacts): SecretFacts {
  const {metadata} = secret;
  const {uid = '', resourceVersion = ''} = metadata;
  const isSame = previous !== undefined && previous.uid === uid;
  if (isSame && previous.resourceVersion === resourceVersion) return previous;
  const data = readData(secret);
  const dataDigests = Object.fromEntries([...data].map(([key, value]) => [key, digest(value)]));
  const isSameData = isSame && sameRecord(previous.dataDigests, dataDigests);
  const keyPair = isSameData ? previous.keyPair : keyPairFacts(data);
  const managed = shared.share(managedFields(metadata, SECRET_FIELD_MANAGER));
  const expected = keyPair.leaf === undefined ? {} : certificateAnnotations(keyPair.leaf);
  return {
    key: `${metadata.namespace ?? ''}/${metadata.name}`,
    resourceVersion,
    uid,
    type: secret.type ?? '',
    immutable: secret.immutable === true,
    ...(metadata.creationTimestamp !== undefined && {
      creationTimestamp: metadata.creationTimestamp,
    }),
    ...(metadata.deletionTimestamp !== undefined && {
      deletionTimestamp: metadata.deletionTimestamp,
    }),
    labels: shared.share(
      ofInterest(metadata.labels, managed.kind === 'known' ? managed.labels : [], {}),
    ),
    annotations: ofInterest(
      metadata.annotations,
      managed.kind === 'known' ? managed.annotations : [],
      expected,
    ),
    ownerReferences: owners(metadata['ownerReferences']),
    dataKeys: shared.share([...data.keys()]),
    dataDigests,
    hasTlsKey: (data.get(secretKeys.privateKey)?.length ?? 0) > 0,
    hasTlsCrt: (data.get(secretKeys.certificate)?.length ?? 0) > 0,
    keyPair,
    certificateAnnotations: shared.share(compareAnnotations(expected, metadata.annotations ?? {})),
    formats: isSameData ? previous.formats : formatVerdicts(data),
    managed,
    isTemporaryKey: metadata.labels?.[labels.nextPrivateKey] === 'true',
  };
}

/** What the facts hold of a label or annotation with this value; compare through it. */
export function heldValue(value: string): string {
  return value.length <= VALUE_LENGTH_MAX ? value : `sha256:${digest(Buffer.from(value))}`;
}

/** The values of a Secret as bytes; a value that is no text is left out. */
export function readData({data}: SecretObject): ReadonlyMap<string, Buffer> {
  const entries = Object.entries(data ?? {}).slice(0, DATA_KEYS_MAX);
  return new Map(
    entries.flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'string' ? [[key, Buffer.from(value, 'base64')] as const] : [],
    ),
  );
}

function digest(bytes: Buffer): string {
  return hash('sha256', bytes, 'base64url');
}

function owners(list: unknown): readonly OwnerFacts[] {
  return Array.isArray(list) ? list.filter(isOwner) : nobody;
}

const nobody: readonly OwnerFacts[] = [];

function isOwner(value: unknown): value is OwnerFacts {
  return (
    isRecord(value) &&
    ['apiVersion', 'kind', 'name', 'uid'].every(field => typeof value[field] === 'string')
  );
}

type TextRecord = Readonly<Record<string, string>>;

function sameRecord(a: TextRecord, b: TextRecord): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every(key => a[key] === b[key]);
}

function ofInterest(
  all: TextRecord | undefined,
  managed: readonly string[],
  known: TextRecord,
): TextRecord {
  const isKept = (key: string): boolean =>
    !Object.hasOwn(known, key) && (managed.includes(key) || hasOurPrefix(key));
  return Object.fromEntries(
    Object.entries(all ?? {}).flatMap(([key, value]) =>
      isKept(key) ? [[key, heldValue(value)]] : [],
    ),
  );
}

function compareAnnotations(expected: TextRecord, actual: TextRecord): AnnotationsVerdict {
  const keys = Object.keys(expected);
  const wrong = keys.filter(key => Object.hasOwn(actual, key) && actual[key] !== expected[key]);
  return {expected: keys, wrong};
}

function formatVerdicts(
  data: ReadonlyMap<string, Buffer>,
): Readonly<Record<AdditionalFormat, FormatVerdict>> {
  const key = data.get(secretKeys.privateKey) ?? Buffer.alloc(0);
  const chain = data.get(secretKeys.certificate) ?? Buffer.alloc(0);
  const verdict = ({
    dataKey,
    encode,
  }: (typeof additionalFormats)[AdditionalFormat]): FormatVerdict => {
    const actual = data.get(dataKey);
    if (actual === undefined) return 'absent';
    return encode({key, chain})?.equals(actual) === true ? 'right' : 'wrong';
  };
  return shared.share({
    DER: verdict(additionalFormats.DER),
    CombinedPEM: verdict(additionalFormats.CombinedPEM),
  });
}
