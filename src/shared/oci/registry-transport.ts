import {CodedError, messageOf} from '../errors.ts';
import type {OciErrorCode} from './errors.ts';
import {type Credentials, RegistryLogin} from './registry-login.ts';

export interface RegistryOptions {
  /** Origin of the registry's API, e.g. `http://10.89.0.2:5000` or `https://registry.k8s.io`. */
  readonly url: string;
  readonly credentials?: Credentials;
  /** For one request; what it uploads adds to it. Default two minutes. */
  readonly timeoutMs?: number;
}

export type RequestBody = NonNullable<RequestInit['body']>;

export interface RegistryCall {
  readonly method: string;
  /** Below `/v2/`, or an absolute URL that the registry gave. */
  readonly path: string;
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called for each attempt: a stream can be read only once. */
  readonly body?: () => RequestBody;
  readonly bodyBytes?: number;
  /** Statuses that the caller understands; any other is ERR_REGISTRY_REFUSED. */
  readonly expect: readonly number[];
}

const TIMEOUT_MS = 120_000;
const UPLOAD_BYTES_PER_MS_MIN = 64; // 64 kB/s: slower lines are not for images
const ERROR_BYTES_MAX = 64 * 1024;
const ERROR_SHOWN_MAX = 500;

/** Sends requests to one registry, logs in when asked to, and names what goes wrong. */
export class RegistryTransport {
  readonly #url: URL;
  readonly #login: RegistryLogin;
  readonly #timeoutMs: number;

  /** @throws CodedError ERR_REGISTRY_URL_INVALID */
  constructor({url, credentials, timeoutMs = TIMEOUT_MS}: RegistryOptions) {
    this.#url = parseRegistryUrl(url);
    this.#login = new RegistryLogin(this.#url.origin, credentials);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @returns the answer, its body still to be read when the method is GET
   * @throws CodedError ERR_REGISTRY_UNREACHABLE, ERR_REGISTRY_REFUSED; the signal's reason
   */
  async call(call: RegistryCall): Promise<Response> {
    let response = await this.#send(call);
    if (response.status === 401) {
      const accepting = this.#login.accept(response, call.repository, call.signal);
      if (await this.#reach(accepting, call.signal)) response = await this.#send(call);
    }
    if (!call.expect.includes(response.status)) throw await this.#refused(call, response);
    if (call.method !== 'GET') await response.body?.cancel();
    return response;
  }

  /** @throws CodedError ERR_REGISTRY_ANSWER for more bytes than that, ERR_REGISTRY_UNREACHABLE */
  async readBody(response: Response, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#reach(readUpTo(response, bytesMax), signal);
    if (bytes === undefined) throw this.broken(`sent more than ${bytesMax} bytes`);
    return bytes;
  }

  /** The error for an answer that breaks the protocol. */
  broken(what: string): CodedError<OciErrorCode> {
    return new CodedError('ERR_REGISTRY_ANSWER', `registry ${this.#url.origin} ${what}`, {
      hint: 'check that the address is an OCI registry and not a proxy or web server in front of it',
    });
  }

  async #send(call: RegistryCall): Promise<Response> {
    const {method, path, repository, signal, headers, body, bodyBytes = 0} = call;
    const url = URL.canParse(path) ? new URL(path) : new URL(`/v2/${path}`, this.#url);
    const timeoutMs = this.#timeoutMs + Math.ceil(bodyBytes / UPLOAD_BYTES_PER_MS_MIN);
    // Another origin gets no credentials of this one; fetch sees to the same for redirects.
    const login = url.origin === this.#url.origin ? this.#login.headers(repository) : {};
    const sending = fetch(url, {
      method,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      headers: {...headers, ...login},
      ...(body === undefined ? {} : {body: body(), duplex: 'half'}),
    });
    return await this.#reach(sending, signal);
  }

  async #reach<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      signal.throwIfAborted();
      // fetch says only "fetch failed"; the reason is one level below.
      const reason = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
      const message = `no answer from registry ${this.#url.origin}: ${messageOf(reason)}`;
      throw new CodedError<OciErrorCode>('ERR_REGISTRY_UNREACHABLE', message, {
        hint: 'check that the registry runs and that its address, scheme and port are right',
        cause,
      });
    }
  }

  async #refused(
    {method, repository}: RegistryCall,
    response: Response,
  ): Promise<CodedError<OciErrorCode>> {
    const {status, statusText} = response;
    const bytes = await readUpTo(response, ERROR_BYTES_MAX).catch(() => undefined);
    const text = new TextDecoder().decode(bytes).trim().slice(0, ERROR_SHOWN_MAX);
    const said = `${status} ${text === '' ? statusText : text}`;
    const message = `registry ${this.#url.origin} refused ${method} for ${repository}: ${said}`;
    const isLogin = status === 401 || status === 403;
    return new CodedError('ERR_REGISTRY_REFUSED', message, {
      hint: isLogin
        ? 'check the credentials and that they may write this repository'
        : "see the registry's log",
    });
  }
}

function parseRegistryUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.username === '' && url.password === '' && ['', '/'].includes(url.pathname);
  if (isPlain && ['http:', 'https:'].includes(url.protocol)) return url;
  // Not shown: a URL that is refused for its userinfo has a password in it.
  throw new CodedError<OciErrorCode>(
    'ERR_REGISTRY_URL_INVALID',
    'the registry is not given as scheme, host and port',
    {hint: 'write e.g. http://10.89.0.2:5000, without path, user name or password'},
  );
}

/** The whole body, or undefined when it is longer. */
async function readUpTo(response: Response, bytesMax: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
