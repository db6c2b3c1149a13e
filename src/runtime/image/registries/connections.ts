import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import {discardBody, HttpSender, type TlsOptions} from '#shared/oci/http-sender';
import {RegistryClient} from '#shared/oci/registry-client';
import type {RegistryCredentials} from '#shared/oci/registry-login';
import {Secret} from '#shared/secret';
import type {Log} from '#shared/log';

export interface ConnectionsOptions {
  /** Has a folder `HOST[:PORT]` with `*.crt`, `*.cert` and `*.key` for registries of one's own. */
  readonly certsDirectory: string;
  readonly proxyEnvironment: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  readonly log: Log;
}

export interface RegistryEndpoint {
  readonly registry: string;
  readonly insecure: boolean;
  readonly credentials: RegistryCredentials | undefined;
}

interface Line {
  readonly sender: HttpSender;
  readonly origin: string;
}

/** Where docker.io's API is. */
const API_HOSTS: Readonly<Record<string, string>> = {'docker.io': 'registry-1.docker.io'};
const PROBE_TIMEOUT_MS = 10_000;
const LINES_MAX = 200;

/** Clients of registries, over connections that are kept for the next pull. */
export class RegistryConnections {
  readonly #options: ConnectionsOptions;
  /** By host and safety. Credentials belong to a client, never to a line. */
  readonly #lines = new Map<string, Line>();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /**
   * A client for one pull: what it learns by logging in is gone with it.
   *
   * @throws the signal's reason
   */
  async open(endpoint: RegistryEndpoint, signal: AbortSignal): Promise<RegistryClient> {
    const {registry, insecure, credentials} = endpoint;
    const {timeoutMs} = this.#options;
    const {sender, origin} = await this.#line(API_HOSTS[registry] ?? registry, insecure, signal);
    return new RegistryClient({
      url: origin,
      sender,
      timeoutMs,
      actions: 'pull',
      ...(credentials !== undefined && {credentials}),
    });
  }

  /** Forgets certificates and what was found out about registries. */
  close(): void {
    for (const {sender} of this.#lines.values()) sender.close();
    this.#lines.clear();
  }

  async #line(host: string, insecure: boolean, signal: AbortSignal): Promise<Line> {
    const key = `${host} ${String(insecure)}`;
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const {proxyEnvironment, certsDirectory, log} = this.#options;
    const tls = await readCertificates(join(certsDirectory, host), !insecure);
    const sender = new HttpSender({tls, proxyEnvironment});
    const scheme = insecure ? await findScheme(host, sender, signal) : 'https';
    if (scheme === undefined) return {sender, origin: `https://${host}`}; // asked again next time
    if (scheme === 'http') log.once(`http ${host}`, 'registry is used over plain HTTP', {host});
    if (this.#lines.size >= LINES_MAX) this.close();
    const line = {sender, origin: `${scheme}://${host}`};
    this.#lines.set(key, line);
    return line;
  }
}

/** For an insecure registry: TLS if it answers to that, else plain HTTP. */
async function findScheme(
  host: string,
  sender: HttpSender,
  signal: AbortSignal,
): Promise<'https' | 'http' | undefined> {
  for (const scheme of ['https', 'http'] as const) {
    try {
      const url = new URL(`${scheme}://${host}/v2/`);
      const request = {method: 'GET', headers: {}, signal, timeoutMs: PROBE_TIMEOUT_MS};
      await discardBody(await sender.send(url, request));
      return scheme;
    } catch {
      signal.throwIfAborted(); // any other failure: not this scheme; the pull will say why
    }
  }
  return undefined;
}

/** containers-certs.d(5); a folder that is not there has nothing to say. */
async function readCertificates(folder: string, verify: boolean): Promise<TlsOptions> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const read = async (name: string) => readFile(join(folder, name), 'utf8');
  const authorities = await Promise.all(names.filter(name => name.endsWith('.crt')).map(read));
  const certificate = names.find(name => name.endsWith('.cert'));
  const key = certificate?.replace(/\.cert$/, '.key');
  return {
    verify,
    authorities,
    ...(certificate !== undefined &&
      key !== undefined && {
        clientCertificate: {certificate: await read(certificate), key: new Secret(await read(key))},
      }),
  };
}
