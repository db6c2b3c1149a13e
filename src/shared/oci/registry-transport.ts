import type {Readable} from 'node:stream';
import {CodedError, messageOf} from '../errors.ts';
import type {OciErrorCode} from './errors.ts';
import {discardBody, type HttpAnswer, HttpSender} from './http-sender.ts';
import {readUpTo} from './read-up-to.ts';
import {type RegistryCredentials, RegistryLogin} from './registry-login.ts';

export interface RegistryOptions {
  /** Origin of the registry's API, e.g. `http://10.89.0.2:5000` or `https://registry.k8s.io`. */
  readonly url: string;
  readonly credentials?: RegistryCredentials;
  /** For one request; what it uploads adds to it. Default two minutes. */
  readonly timeoutMs?: number;
  /** What is asked for where the registry does not say; default `pull,push`. */
  readonly actions?: 'pull' | 'pull,push';
  /** Shared by clients of one registry so that connections are used again; default one's own. */
  readonly sender?: HttpSender;
}

export type RequestBody = string | Uint8Array | Readable;

export interface RegistryCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below `/v2/`, or an absolute URL that the registry gave. */
  readonly path: string;
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called for each attempt: a stream can be read only once. */
  readonly body?: () => RequestBody;
  readonly bodyBytes?: number;
  /** Statuses that the caller understands; any other is an error. */
  readonly expect: readonly number[];
  /** Until the answer's headers are there; default that of the registry. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 120_000;
const UPLOAD_BYTES_PER_MS_MIN = 64; // 64 kB/s: slower lines are not for images
const REDIRECTS_MAX = 5; // a registry, its mirror, a content network, and two to spare
const ERROR_BYTES_MAX = 64 * 1024;
const ERROR_SHOWN_MAX = 500;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** The registry, or what stands before it, says that it cannot serve anybody now. */
const UNAVAILABLE: readonly number[] = [502, 503, 504];

/** Sends requests to one registry, follows it, logs in when asked to, names what goes wrong. */
export class RegistryTransport {
  readonly #url: URL;
  readonly #options: RegistryOptions;
  readonly #sender: HttpSender;
  /** By origin; only the registry's own gets credentials. */
  readonly #logins = new Map<string, RegistryLogin>();

  /** @throws CodedError ERR_REGISTRY_URL_INVALID */
  constructor(options: RegistryOptions) {
    this.#url = parseRegistryUrl(options.url);
    this.#options = options;
    this.#sender = options.sender ?? new HttpSender();
  }

  /**
   * @returns the answer, its body still to be read when the method is GET
   * @throws CodedError ERR_REGISTRY_UNREACHABLE, ERR_REGISTRY_DENIED, ERR_REGISTRY_REFUSED,
   *   ERR_REGISTRY_ANSWER; the signal's reason
   */
  async call(call: RegistryCall): Promise<HttpAnswer> {
    const {path} = call;
    const target = URL.canParse(path) ? new URL(path) : new URL(`/v2/${path}`, this.#url);
    const answer = await this.#follow(call, target);
    if (!call.expect.includes(answer.status)) throw await this.#refused(call, answer);
    if (call.method !== 'GET') await discardBody(answer);
    return answer;
  }

  get origin(): string {
    return this.#url.origin;
  }

  /** @throws CodedError ERR_REGISTRY_ANSWER for more bytes than that, ERR_REGISTRY_UNREACHABLE */
  async readBody(answer: HttpAnswer, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.reach(signal, async () =>
      readUpTo(answer.body, bytesMax, this.#withTimeout(signal)),
    );
    if (bytes === undefined) throw this.broken(`sent more than ${bytesMax} bytes`);
    return bytes;
  }

  /** The error for an answer that breaks the protocol. */
  broken(what: string): CodedError<OciErrorCode> {
    return new CodedError('ERR_REGISTRY_ANSWER', `registry ${this.#url.origin} ${what}`, {
      hint: 'check that the address is an OCI registry and not a proxy or web server in front of it',
    });
  }

  /** Does something on the network, and names what goes wrong there. */
  async reach<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      signal.throwIfAborted();
      throw cause instanceof CodedError ? cause : this.unreachable(cause);
    }
  }

  /** The error for no answer, or half of one. */
  unreachable(cause: unknown): CodedError<OciErrorCode> {
    const message = `no answer from registry ${this.#url.origin}: ${reasonOf(cause)}`;
    return new CodedError('ERR_REGISTRY_UNREACHABLE', message, {
      hint: 'check that the registry runs and that its address, scheme and port are right',
      cause,
    });
  }

  async #follow(call: RegistryCall, target: URL): Promise<HttpAnswer> {
    let answer = await this.#ask(call, target);
    const isReading = call.method === 'GET' || call.method === 'HEAD';
    for (let hops = 0; isReading && REDIRECTS.includes(answer.status); hops += 1) {
      if (hops === REDIRECTS_MAX) throw this.broken(`redirected more than ${REDIRECTS_MAX} times`);
      await discardBody(answer);
      answer = await this.#ask(call, this.#nextOf(answer));
    }
    return answer;
  }

  async #ask(call: RegistryCall, url: URL): Promise<HttpAnswer> {
    const {repository, signal} = call;
    const login = this.#loginOf(url.origin);
    return await this.reach(signal, async () => {
      const answer = await this.#send(call, url, login);
      if (answer.status !== 401) return answer;
      return (await login.accept(answer, repository, signal))
        ? await this.#send(call, url, login)
        : answer;
    });
  }

  async #send(call: RegistryCall, url: URL, login: RegistryLogin): Promise<HttpAnswer> {
    const {method, repository, signal, headers, body, bodyBytes = 0} = call;
    const timeoutMs = call.timeoutMs ?? this.#timeoutMs();
    return await this.#sender.send(url, {
      method,
      headers: {...headers, ...login.headers(repository)},
      ...(body !== undefined && {body: body()}),
      signal,
      timeoutMs: timeoutMs + Math.ceil(bodyBytes / UPLOAD_BYTES_PER_MS_MIN),
    });
  }

  #nextOf({headers: {location}, url}: HttpAnswer): URL {
    if (location === undefined || !URL.canParse(location, url.href)) {
      throw this.broken('redirected without saying where');
    }
    const next = new URL(location, url);
    const isAllowed =
      next.protocol === 'https:' || (next.protocol === 'http:' && this.#url.protocol === 'http:');
    if (isAllowed) return next;
    throw this.broken(`redirected to ${next.protocol}//, which is less safe`);
  }

  #loginOf(origin: string): RegistryLogin {
    const known = this.#logins.get(origin);
    if (known !== undefined) return known;
    const isOwn = origin === this.#url.origin;
    const {credentials, actions = 'pull,push'} = this.#options;
    const login = new RegistryLogin({
      origin,
      credentials: isOwn ? credentials : undefined,
      actions,
      sender: this.#sender,
    });
    this.#logins.set(origin, login);
    return login;
  }

  #timeoutMs(): number {
    return this.#options.timeoutMs ?? TIMEOUT_MS;
  }

  #withTimeout(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs())]);
  }

  async #refused(
    {method, repository, signal}: RegistryCall,
    answer: HttpAnswer,
  ): Promise<CodedError<OciErrorCode>> {
    const {status, statusText} = answer;
    const reading = readUpTo(answer.body, ERROR_BYTES_MAX, this.#withTimeout(signal));
    const bytes = await reading.catch(() => undefined);
    signal.throwIfAborted();
    const login = this.#loginOf(answer.url.origin);
    const text = login.redact(new TextDecoder().decode(bytes)).trim().slice(0, ERROR_SHOWN_MAX);
    const said = `${status} ${text === '' ? statusText : text}`;
    const message = `registry ${this.#url.origin} refused ${method} for ${repository}: ${said}`;
    if (UNAVAILABLE.includes(status)) {
      return new CodedError('ERR_REGISTRY_UNREACHABLE', message, {hint: 'try again later'});
    }
    return status === 401 || status === 403
      ? new CodedError('ERR_REGISTRY_DENIED', message, {
          hint: 'check the credentials and that they may read or write this repository',
        })
      : new CodedError('ERR_REGISTRY_REFUSED', message, {hint: "see the registry's log"});
  }
}

/** Of a failure to connect to each of several addresses Node has the reasons, and no message. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') {
    return [...new Set(cause.errors.map(messageOf))].join('; ');
  }
  return messageOf(cause);
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
