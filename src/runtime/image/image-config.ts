import {CodedError, messageOf} from '#shared/errors';
import {type Digest, isDigest} from '#shared/oci/digest';
import type {RuntimeErrorCode} from '../errors.ts';

/** What a container takes from its image (OCI image specification 1.1, config.md); absent is empty. */
export interface ImageConfig {
  readonly os: string;
  readonly architecture: string;
  /** RFC 3339, as the image's builder wrote it; empty where it wrote none. */
  readonly created: string;
  /** `user`, `uid`, `user:group` or `uid:gid`; empty is root. */
  readonly user: string;
  /** `NAME=value` each. */
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  /** Absolute paths in the image. */
  readonly volumes: readonly string[];
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Larger configurations exist only to hurt: labels and history of real images are some kB. */
export const CONFIG_BYTES_MAX = 4 * 1024 * 1024;
/** As many lower layers as overlayfs takes in one mount option, with room for the container's own. */
export const LAYERS_MAX = 127;

/**
 * Reads an image configuration.
 *
 * @returns the part that containers use, and the digests of the uncompressed layers, lowest first
 * @throws CodedError ERR_IMAGE_INVALID
 */
export function parseImageConfig(bytes: Uint8Array): {
  readonly config: ImageConfig;
  readonly diffIds: readonly Digest[];
} {
  if (bytes.length > CONFIG_BYTES_MAX) throw invalid(`it is ${bytes.length} bytes long`);
  const document = parseObject(bytes);
  const inner = objectOf(document, 'config');
  return {
    config: {
      os: textOf(document, 'os'),
      architecture: textOf(document, 'architecture'),
      created: textOf(document, 'created'),
      user: textOf(inner, 'User'),
      env: listOf(inner, 'Env'),
      entrypoint: listOf(inner, 'Entrypoint'),
      cmd: listOf(inner, 'Cmd'),
      workingDir: textOf(inner, 'WorkingDir'),
      volumes: Object.keys(objectOf(inner, 'Volumes')),
      stopSignal: textOf(inner, 'StopSignal'),
      labels: labelsOf(inner),
    },
    diffIds: diffIdsOf(objectOf(document, 'rootfs')),
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

function parseObject(bytes: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', {fatal: true}).decode(bytes));
    if (isObject(value)) return value;
  } catch (error) {
    throw invalid(messageOf(error));
  }
  throw invalid('it is not a JSON object');
}

function diffIdsOf(rootfs: JsonObject): readonly Digest[] {
  const ids = listOf(rootfs, 'diff_ids');
  if (rootfs['type'] !== 'layers') throw invalid('its rootfs is not of the type "layers"');
  if (ids.length > LAYERS_MAX)
    throw invalid(`it has ${ids.length} layers, more than ${LAYERS_MAX}`);
  return ids.map(id => {
    if (!isDigest(id)) throw invalid(`${JSON.stringify(id.slice(0, 100))} is not a diff ID`);
    return id;
  });
}

function labelsOf(inner: JsonObject): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(objectOf(inner, 'Labels')).map(([key, value]) => {
      if (typeof value !== 'string') throw invalid(`its label ${key} is not a string`);
      return [key, value];
    }),
  );
}

function objectOf(parent: JsonObject, key: string): JsonObject {
  const value = parent[key] ?? {};
  if (!isObject(value)) throw invalid(`its "${key}" is not an object`);
  return value;
}

function textOf(parent: JsonObject, key: string): string {
  const value = parent[key] ?? '';
  if (typeof value !== 'string') throw invalid(`its "${key}" is not a string`);
  return value;
}

function listOf(parent: JsonObject, key: string): readonly string[] {
  const value = parent[key] ?? [];
  if (!Array.isArray(value)) throw invalid(`its "${key}" is not a list`);
  return value.map(item => {
    if (typeof item !== 'string') throw invalid(`its "${key}" is not a list of strings`);
    return item;
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_IMAGE_INVALID', `not an image configuration: ${reason}`, {
    hint: 'build and push the image again',
  });
}
