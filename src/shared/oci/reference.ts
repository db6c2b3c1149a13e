import {CodedError} from '../errors.ts';
import {type Digest, parseDigest} from './digest.ts';
import type {OciErrorCode} from './errors.ts';

/** Where an image is kept and which one it is; at least one of tag and digest is present. */
export interface ImageReference {
  /** Host and optional port, e.g. `registry.k8s.io`, `10.89.0.2:5000`. */
  readonly registry: string;
  /** e.g. `coredns/coredns` */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

// Limits and grammar of the distribution specification; names without a registry are Docker's.
const REPOSITORY_LENGTH_MAX = 255;
const REFERENCE_LENGTH_MAX = 512;
const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_NAMESPACE = 'library';
const DEFAULT_TAG = 'latest';
const COMPONENT = '[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const HOST = `(?:${LABEL}(?:[.]${LABEL})*|\\[[0-9a-fA-F:]+\\])`;
const REGISTRY = new RegExp(`^${HOST}(?::[0-9]{1,5})?$`);

/**
 * Reads `[registry/]repository[:tag][@digest]`. The first part is a registry when it has a dot or
 * a colon or is `localhost`; otherwise the name is Docker's (`busybox` is
 * `docker.io/library/busybox:latest`).
 *
 * @throws CodedError ERR_IMAGE_REFERENCE_INVALID
 */
export function parseReference(text: string): ImageReference {
  if (text.length > REFERENCE_LENGTH_MAX) throw invalid(text, 'it is too long');
  const [name = '', digestText, ...more] = text.split('@');
  if (more.length > 0) throw invalid(text, 'it has two digests');
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  const {registry, rest} = splitRegistry(name);
  const colon = rest.lastIndexOf(':');
  const path = colon === -1 ? rest : rest.slice(0, colon);
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  const isShort = registry === DEFAULT_REGISTRY && !path.includes('/');
  const repository = isShort ? `${DEFAULT_NAMESPACE}/${path}` : path;
  if (!REGISTRY.test(registry)) throw invalid(text, `"${registry}" is not a registry`);
  if (repository.length > REPOSITORY_LENGTH_MAX || !REPOSITORY.test(repository)) {
    throw invalid(text, `"${repository}" is not a repository`);
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  if (digest === undefined) return {registry, repository, tag: tag ?? DEFAULT_TAG};
  return tag === undefined ? {registry, repository, digest} : {registry, repository, tag, digest};
}

/** The full form; reading it again gives an equal reference. */
export function formatReference({registry, repository, tag, digest}: ImageReference): string {
  const tagPart = tag === undefined ? '' : `:${tag}`;
  const digestPart = digest === undefined ? '' : `@${digest}`;
  return `${registry}/${repository}${tagPart}${digestPart}`;
}

/** What a registry is asked for: the digest where there is one. */
export function manifestName({tag, digest}: ImageReference): string {
  return digest ?? tag ?? DEFAULT_TAG;
}

function splitRegistry(name: string): {readonly registry: string; readonly rest: string} {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const isRegistry = /[.:]/.test(first) || first === 'localhost';
  return isRegistry
    ? {registry: first, rest: name.slice(slash + 1)}
    : {registry: DEFAULT_REGISTRY, rest: name};
}

function invalid(text: string, reason: string): CodedError<OciErrorCode> {
  const shown = JSON.stringify(text.slice(0, 200));
  return new CodedError(
    'ERR_IMAGE_REFERENCE_INVALID',
    `not an image reference: ${shown}: ${reason}`,
    {
      hint: 'write REGISTRY/REPOSITORY:TAG, e.g. registry.k8s.io/pause:3.10.2',
    },
  );
}
