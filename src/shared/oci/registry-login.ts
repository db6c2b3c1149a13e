import {CodedError, messageOf} from '../errors.ts';
import type {Secret} from '../secret.ts';
import type {OciErrorCode} from './errors.ts';
import {discardBody, type HttpAnswer, type HttpSender} from './http-sender.ts';
import {readUpTo} from './read-up-to.ts';

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

/** What a registry may be shown: a password, a token that buys others, or the token itself. */
export type RegistryCredentials =
  | Credentials
  /** An OAuth 2 refresh token for the registry's token service (`docker login` keeps these). */
  | {readonly identityToken: Secret}
  /** Sent as it is, as `Authorization: Bearer`. */
  | {readonly registryToken: Secret};

export interface RegistryLoginOptions {
  readonly origin: string;
  readonly credentials: RegistryCredentials | undefined;
  /** What a token is asked for where the registry does not say itself. */
  readonly actions: 'pull' | 'pull,push';
  readonly sender: HttpSender;
}

const TOKEN_TIMEOUT_MS = 30_000;
const TOKEN_BYTES_MAX = 64 * 1024;

/**
 * Answers a registry's 401: Basic where it asks for it, else a bearer token per repository
 * (distribution specification, "token authentication"), with our credentials or anonymous.
 */
export class RegistryLogin {
  readonly #options: RegistryLoginOptions;
  readonly #headers = new Map<string, string>();

  constructor(options: RegistryLoginOptions) {
    this.#options = options;
  }

  headers(repository: string): Readonly<Record<string, string>> {
    const {credentials} = this.#options;
    const isGiven = credentials !== undefined && 'registryToken' in credentials;
    const authorization = isGiven
      ? `Bearer ${credentials.registryToken.reveal()}`
      : this.#headers.get(repository);
    return authorization === undefined ? {} : {authorization};
  }

  /**
   * Prepares the headers that a 401 asks for.
   *
   * @returns whether asking again can help
   * @throws CodedError ERR_REGISTRY_UNREACHABLE when the token service gives no answer
   */
  async accept(answer: HttpAnswer, repository: string, signal: AbortSignal): Promise<boolean> {
    const challenge = parseChallenge(answer.headers['www-authenticate'] ?? '');
    await discardBody(answer);
    const authorization = await this.#authorize(challenge, repository, signal);
    const isNew =
      authorization !== undefined && authorization !== this.headers(repository)['authorization'];
    if (isNew) this.#headers.set(repository, authorization);
    return isNew;
  }

  /** A text of the registry's without what it may have got from us. */
  redact(text: string): string {
    const sent = [...this.#headers.values(), ...secretsOf(this.#options.credentials)];
    return sent
      .flatMap(value => [value, value.replace(/^(Basic|Bearer) /, '')])
      .filter(value => value !== '')
      .reduce((shown, value) => shown.replaceAll(value, '[redacted]'), text);
  }

  async #authorize(
    {scheme, parameters}: Challenge,
    repository: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const {credentials, actions, origin} = this.#options;
    if (credentials !== undefined && 'registryToken' in credentials) return undefined;
    if (scheme === 'basic') return this.#basic();
    const {realm, service} = parameters;
    if (scheme !== 'bearer' || realm === undefined || !URL.canParse(realm)) return undefined;
    const url = new URL(realm);
    // A registry on https may not send our password, or a token's request, over plain http.
    if (url.protocol !== 'https:' && origin.startsWith('https:')) return undefined;
    if (!['http:', 'https:'].includes(url.protocol)) return undefined;
    const scope = parameters['scope'] ?? `repository:${repository}:${actions}`;
    const token = await this.#askToken(
      url,
      {scope, ...(service !== undefined && {service})},
      signal,
    );
    return token === undefined ? undefined : `Bearer ${token}`;
  }

  async #askToken(
    url: URL,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      const answer = await this.#send(url, query, signal);
      const bytes = await readUpTo(answer.body, TOKEN_BYTES_MAX, signal);
      if (answer.status >= 500) throw new Error(`it answered ${answer.status}`);
      if (answer.status !== 200 || bytes === undefined) return undefined;
      return parseToken(new TextDecoder().decode(bytes));
    } catch (cause) {
      signal.throwIfAborted();
      throw new CodedError<OciErrorCode>(
        'ERR_REGISTRY_UNREACHABLE',
        `no token for ${this.#options.origin} from ${url.origin}: ${messageOf(cause)}`,
        {hint: 'check that the token service that the registry names can be reached', cause},
      );
    }
  }

  async #send(
    url: URL,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const {credentials, sender} = this.#options;
    const common = {signal, timeoutMs: TOKEN_TIMEOUT_MS};
    if (credentials !== undefined && 'identityToken' in credentials) {
      const body = new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: 'slipway',
        refresh_token: credentials.identityToken.reveal(),
        ...query,
      }).toString();
      const headers = {'content-type': 'application/x-www-form-urlencoded'};
      return await sender.send(url, {method: 'POST', headers, body, ...common});
    }
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const basic = this.#basic();
    const headers = basic === undefined ? {} : {authorization: basic};
    return await sender.send(url, {method: 'GET', headers, ...common});
  }

  #basic(): string | undefined {
    const {credentials} = this.#options;
    if (credentials === undefined || !('password' in credentials)) return undefined;
    const {username, password} = credentials;
    return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`;
  }
}

function secretsOf(credentials: RegistryCredentials | undefined): readonly string[] {
  if (credentials === undefined) return [];
  if ('password' in credentials) {
    const {username, password} = credentials;
    const basic = Buffer.from(`${username}:${password.reveal()}`).toString('base64');
    return [basic, password.reveal()];
  }
  const token =
    'identityToken' in credentials ? credentials.identityToken : credentials.registryToken;
  return [token.reveal()];
}

interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string | undefined>>;
}

function parseChallenge(header: string): Challenge {
  const [scheme = '', ...rest] = header.split(' ');
  const pairs = rest.join(' ').matchAll(/([a-z]+)="([^"]*)"/g);
  const parameters = Object.fromEntries([...pairs].map(([, name, value]) => [String(name), value]));
  return {scheme: scheme.toLowerCase(), parameters};
}

function parseToken(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const {token, access_token: accessToken} = value as Record<string, unknown>;
    const found = token ?? accessToken;
    // A line break in it would be a header of its own.
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined; // no token service: the 401 stands
  }
}
