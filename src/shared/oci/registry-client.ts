import {createReadStream} from 'node:fs';
import {CodedError} from '../errors.ts';
import {type Digest, digestOfBytes, isDigest, parseDigest} from './digest.ts';
import type {OciErrorCode} from './errors.ts';
import {discardBody} from './http-sender.ts';
import {
  type ImageIndex,
  type ImageManifest,
  MANIFEST_BYTES_MAX,
  mediaTypes,
  parseManifest,
} from './manifest.ts';
import {type BlobRequest, BlobStream} from './blob-stream.ts';
import {readUpTo} from './read-up-to.ts';
import {type RegistryOptions, RegistryTransport, type RequestBody} from './registry-transport.ts';

/** Content to upload: bytes, or the path of a file that has `size` of them. */
export interface Upload {
  readonly digest: Digest;
  readonly size: number;
  readonly content: Uint8Array | string;
}

export interface FetchedManifest {
  readonly manifest: ImageManifest | ImageIndex;
  readonly digest: Digest;
  /** Exactly what the registry sent: its digest is `digest`. */
  readonly bytes: Uint8Array;
  readonly text: string;
}

export interface ManifestName {
  readonly repository: string;
  /** Tag or digest. */
  readonly name: string;
}

const READ_BYTES = 1024 * 1024;
const ACCEPT = [
  mediaTypes.index,
  mediaTypes.manifest,
  mediaTypes.dockerManifestList,
  mediaTypes.dockerManifest,
].join(', ');

/**
 * The part of the OCI distribution API that pushing, asking and reading manifests need.
 *
 * Every method throws CodedError ERR_REGISTRY_UNREACHABLE when there is no answer,
 * ERR_REGISTRY_DENIED for a 401 or 403, ERR_REGISTRY_REFUSED for another status that says no, ERR_REGISTRY_ANSWER for an answer that breaks
 * the protocol, and the signal's reason when aborted.
 */
export class RegistryClient {
  readonly #transport: RegistryTransport;

  /** @throws CodedError ERR_REGISTRY_URL_INVALID */
  constructor(options: RegistryOptions) {
    this.#transport = new RegistryTransport(options);
  }

  /** Digest of a manifest by tag or digest; undefined when the registry has none. */
  async headManifest(
    {repository, name}: ManifestName,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const path = `${repository}/manifests/${name}`;
    const headers = {accept: ACCEPT};
    const response = await this.#transport.call({
      method: 'HEAD',
      path,
      repository,
      signal,
      headers,
      expect: [200, 404],
    });
    if (response.status === 404) return undefined;
    const digest = String(response.headers['docker-content-digest']);
    if (isDigest(digest)) return digest;
    // The header is optional in the specification; the content then has to say it.
    return (await this.getManifest({repository, name}, signal)).digest;
  }

  /** Reads a manifest or index, and checks its bytes when it was asked for by digest. */
  async getManifest(
    {repository, name}: ManifestName,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    const path = `${repository}/manifests/${name}`;
    const headers = {accept: ACCEPT};
    const response = await this.#transport.call({
      method: 'GET',
      path,
      repository,
      signal,
      headers,
      expect: [200, 404],
    });
    if (response.status === 404) {
      await discardBody(response);
      throw notFound(this.#transport.origin, {repository, name});
    }
    const bytes = await this.#transport.readBody(response, MANIFEST_BYTES_MAX, signal);
    const digest = digestOfBytes(bytes);
    if (isDigest(name) && name !== digest) {
      throw this.#transport.broken(`sent a manifest with digest ${digest} for ${name}`);
    }
    const text = new TextDecoder().decode(bytes);
    return {
      manifest: parseManifest(text, response.headers['content-type'] ?? ''),
      digest,
      bytes,
      text,
    };
  }

  /** Stores a manifest under a tag or under its own digest. */
  async putManifest(
    {repository, name}: ManifestName,
    {text, mediaType}: {readonly text: string; readonly mediaType: string},
    signal: AbortSignal,
  ): Promise<void> {
    const path = `${repository}/manifests/${name}`;
    const headers = {'content-type': mediaType};
    await this.#transport.call({
      method: 'PUT',
      path,
      repository,
      signal,
      headers,
      body: () => text,
      expect: [201],
    });
  }

  async hasBlob(repository: string, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const path = `${repository}/blobs/${parseDigest(digest)}`;
    const response = await this.#transport.call({
      method: 'HEAD',
      path,
      repository,
      signal,
      expect: [200, 404],
    });
    return response.status === 200;
  }

  /** The bytes of a blob from `offset` on; see BlobStream for how it fails. */
  openBlob(request: BlobRequest, signal: AbortSignal): BlobStream {
    return new BlobStream(this.#transport, request, signal);
  }

  /** A small blob as a whole, with its digest checked. */
  async getBlob(request: BlobRequest, signal: AbortSignal): Promise<Uint8Array> {
    const {digest, sizeBytes} = request;
    const stream = this.openBlob(request, signal);
    const bytes = await readUpTo(stream, sizeBytes, signal);
    const found = bytes === undefined ? undefined : digestOfBytes(bytes);
    if (bytes !== undefined && found === digest) return bytes;
    throw this.#transport.broken(`sent a blob with digest ${found} for ${digest}`);
  }

  /** Uploads a blob in one piece (POST for a session, PUT with everything). */
  async putBlob(repository: string, upload: Upload, signal: AbortSignal): Promise<void> {
    const path = `${repository}/blobs/uploads/`;
    const session = await this.#transport.call({
      method: 'POST',
      path,
      repository,
      signal,
      expect: [202],
    });
    const {location} = session.headers;
    if (location === undefined)
      throw this.#transport.broken('opened an upload without saying where');
    const target = new URL(location, session.url);
    target.searchParams.set('digest', upload.digest);
    await this.#transport.call({
      method: 'PUT',
      path: target.href,
      repository,
      signal,
      headers: {'content-type': 'application/octet-stream', 'content-length': String(upload.size)},
      body: () => contentOf(upload.content),
      bodyBytes: upload.size,
      expect: [201],
    });
  }
}

function contentOf(content: Uint8Array | string): RequestBody {
  if (typeof content !== 'string') return content;
  return createReadStream(content, {highWaterMark: READ_BYTES});
}

function notFound(origin: string, {repository, name}: ManifestName): CodedError<OciErrorCode> {
  const separator = isDigest(name) ? '@' : ':';
  return new CodedError(
    'ERR_MANIFEST_NOT_FOUND',
    `registry ${origin} has no ${repository}${separator}${name}`,
    {hint: 'check the name and the tag; some registries hide what one may not read'},
  );
}
