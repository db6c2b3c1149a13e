import {createReadStream} from 'node:fs';
import {Readable} from 'node:stream';
import {CodedError, messageOf} from '../errors.ts';
import {type Digest, digestOfBytes, isDigest, parseDigest} from './digest.ts';
import type {OciErrorCode} from './errors.ts';
import {
  type ImageIndex,
  type ImageManifest,
  MANIFEST_BYTES_MAX,
  mediaTypes,
  parseManifest,
} from './manifest.ts';
import {type Credentials, RegistryLogin} from './registry-login.ts';

export interface RegistryOptions {
  /** Origin of the registry's API, e.g. `http://10.89.0.2:5000` or `https://registry.k8s.io`. */
  readonly url: string;
  readonly credentials?: Credentials;
  /** For one request with its body; default two minutes. */
  readonly timeoutMs?: number;
}

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
  readonly text: string;
}

type Body = NonNullable<RequestInit['body']>;

interface Call {
  readonly method: string;
  /** Below `/v2/`, or an absolute URL that the registry gave. */
  readonly path: string;
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: () => Body;
  /** Statuses that the caller understands; any other is ERR_REGISTRY_REFUSED. */
  readonly expect: readonly number[];
}

const TIMEOUT_MS = 120_000;
const ERROR_TEXT_LENGTH_MAX = 500;
const ACCEPT = [
  mediaTypes.index,
  mediaTypes.manifest,
  mediaTypes.dockerManifestList,
  mediaTypes.dockerManifest,
];

/**
 * The part of the OCI distribution API that pushing, asking and reading manifests need.
 *
 * Every method throws CodedError ERR_REGISTRY_UNREACHABLE when there is no answer,
 * ERR_REGISTRY_REFUSED for a status that says no, ERR_REGISTRY_ANSWER for an answer that breaks
 * the protocol, and the signal's reason when aborted.
 */
export class RegistryClient {
  readonly #url: string;
  readonly #login: RegistryLogin;
  readonly #timeoutMs: number;

  constructor({url, credentials, timeoutMs = TIMEOUT_MS}: RegistryOptions) {
    this.#url = url.replace(/\/+$/, '');
    this.#login = new RegistryLogin(this.#url, credentials);
    this.#timeoutMs = timeoutMs;
  }

  /** Digest of a manifest by tag or digest; undefined when the registry has none. */
  async headManifest(
    {repository, name}: ManifestName,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const path = `${repository}/manifests/${name}`;
    const headers = {accept: ACCEPT.join(', ')};
    const response = await this.#call({
      method: 'HEAD',
      path,
      repository,
      signal,
      headers,
      expect: [200, 404],
    });
    if (response.status === 404) return undefined;
    const digest = response.headers.get('docker-content-digest') ?? '';
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
    const headers = {accept: ACCEPT.join(', ')};
    const response = await this.#call({
      method: 'GET',
      path,
      repository,
      signal,
      headers,
      expect: [200],
    });
    const bytes = await readLimited(response, MANIFEST_BYTES_MAX, this.#url);
    const digest = digestOfBytes(bytes);
    if (isDigest(name) && name !== digest) {
      throw answer(this.#url, `sent a manifest with digest ${digest} for ${name}`);
    }
    const text = new TextDecoder().decode(bytes);
    return {
      manifest: parseManifest(text, response.headers.get('content-type') ?? ''),
      digest,
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
    await this.#call({
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
    const response = await this.#call({
      method: 'HEAD',
      path,
      repository,
      signal,
      expect: [200, 404],
    });
    return response.status === 200;
  }

  /** Uploads a blob in one piece (POST for a session, PUT with everything). */
  async putBlob(repository: string, upload: Upload, signal: AbortSignal): Promise<void> {
    const path = `${repository}/blobs/uploads/`;
    const session = await this.#call({method: 'POST', path, repository, signal, expect: [202]});
    const location = session.headers.get('location');
    if (location === null) throw answer(this.#url, 'opened an upload without saying where');
    const target = new URL(location, session.url);
    target.searchParams.set('digest', upload.digest);
    await this.#call({
      method: 'PUT',
      path: target.href,
      repository,
      signal,
      headers: {'content-type': 'application/octet-stream', 'content-length': String(upload.size)},
      body: () => bodyOf(upload.content),
      expect: [201],
    });
  }

  async #call(call: Call): Promise<Response> {
    let response = await this.#send(call);
    if (
      response.status === 401 &&
      (await this.#login.accept(response, call.repository, call.signal))
    ) {
      response = await this.#send(call);
    }
    if (call.expect.includes(response.status)) {
      if (call.method !== 'GET') await response.body?.cancel();
      return response;
    }
    throw await refused(call, this.#url, response);
  }

  async #send({method, path, repository, signal, headers, body}: Call): Promise<Response> {
    const url = path.startsWith('http') ? path : `${this.#url}/v2/${path}`;
    const stop = AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]);
    const isOwn = new URL(url).origin === new URL(this.#url).origin;
    try {
      return await fetch(url, {
        method,
        signal: stop,
        // Another origin gets no credentials of this one; fetch sees to the same for redirects.
        headers: {...headers, ...(isOwn ? this.#login.headers(repository) : {})},
        ...(body === undefined ? {} : {body: body(), duplex: 'half'}),
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(this.#url, cause);
    }
  }
}

export interface ManifestName {
  readonly repository: string;
  /** Tag or digest. */
  readonly name: string;
}

function bodyOf(content: Uint8Array | string): Body {
  if (typeof content !== 'string') return new Uint8Array(content);
  return Readable.toWeb(createReadStream(content, {highWaterMark: 1024 * 1024}));
}

async function readLimited(response: Response, bytesMax: number, url: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) throw answer(url, `sent more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function unreachable(url: string, cause: unknown): CodedError<OciErrorCode> {
  const reason = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  return new CodedError(
    'ERR_REGISTRY_UNREACHABLE',
    `no answer from registry ${url}: ${messageOf(reason)}`,
    {
      hint: 'check that the registry runs and that its address, scheme and port are right',
      cause,
    },
  );
}

async function refused(
  call: Call,
  url: string,
  response: Response,
): Promise<CodedError<OciErrorCode>> {
  const text = (await response.text().catch(() => '')).slice(0, ERROR_TEXT_LENGTH_MAX).trim();
  const said = text === '' ? response.statusText : text;
  const what = `${call.method} for ${call.repository}`;
  return new CodedError(
    'ERR_REGISTRY_REFUSED',
    `registry ${url} refused ${what}: ${response.status} ${said}`,
    {
      hint:
        response.status === 401 || response.status === 403
          ? 'check the credentials and that they may write this repository'
          : "see the registry's log",
    },
  );
}

function answer(url: string, what: string): CodedError<OciErrorCode> {
  return new CodedError('ERR_REGISTRY_ANSWER', `registry ${url} ${what}`, {
    hint: 'check that the address is an OCI registry and not a proxy or web server in front of it',
  });
}
