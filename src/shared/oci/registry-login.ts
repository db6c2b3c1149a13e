import type {Secret} from '../secret.ts';

export interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

const TOKEN_TIMEOUT_MS = 30_000;
const TOKEN_BYTES_MAX = 64 * 1024;

/**
 * Answers a registry's 401: Basic where it asks for it, else a bearer token per repository, with
 * our credentials or anonymous.
 */
export class RegistryLogin {
  readonly #origin: string;
  readonly #credentials: Credentials | undefined;
  readonly #headers = new Map<string, string>();

  constructor(url: string, credentials: Credentials | undefined) {
    this.#origin = new URL(url).origin;
    this.#credentials = credentials;
  }

  headers(repository: string): Readonly<Record<string, string>> {
    const authorization = this.#headers.get(repository);
    return authorization === undefined ? {} : {authorization};
  }

  /**
   * Prepares the headers that a 401 asks for.
   *
   * @returns whether asking again can help
   */
  async accept(response: Response, repository: string, signal: AbortSignal): Promise<boolean> {
    const challenge = parseChallenge(response.headers.get('www-authenticate') ?? '');
    await response.body?.cancel();
    const authorization = await this.#authorize(challenge, repository, signal);
    if (authorization === undefined || authorization === this.#headers.get(repository))
      return false;
    this.#headers.set(repository, authorization);
    return true;
  }

  async #authorize(
    {scheme, parameters}: Challenge,
    repository: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (scheme === 'basic') return this.#basic();
    const {realm, service} = parameters;
    if (scheme !== 'bearer' || realm === undefined || !URL.canParse(realm)) return undefined;
    const url = new URL(realm);
    // A registry on https may not send our password, or a token's request, over plain http.
    if (url.protocol !== 'https:' && this.#origin.startsWith('https:')) return undefined;
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', parameters['scope'] ?? `repository:${repository}:pull,push`);
    const basic = this.#basic();
    const response = await fetch(url, {
      headers: basic === undefined ? {} : {authorization: basic},
      signal: AbortSignal.any([signal, AbortSignal.timeout(TOKEN_TIMEOUT_MS)]),
    });
    const text = await response.text();
    if (!response.ok || text.length > TOKEN_BYTES_MAX) return undefined;
    const token = parseToken(text);
    return token === undefined ? undefined : `Bearer ${token}`;
  }

  #basic(): string | undefined {
    if (this.#credentials === undefined) return undefined;
    const {username, password} = this.#credentials;
    return `Basic ${Buffer.from(`${username}:${password.reveal()}`).toString('base64')}`;
  }
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
    return typeof found === 'string' ? found : undefined;
  } catch {
    return undefined; // no token service: the 401 stands
  }
}
