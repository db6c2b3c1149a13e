import {Pool} from 'undici';
import type {HttpResponse, HttpTransport} from '#shared/kube/transport';
import type {Credentials} from './credentials.ts';

export interface HttpTransportOptions {
  readonly credentials: Credentials;
  /** Who we are in the API server's audit log, e.g. `slipway-certs/0.1.0`. */
  readonly userAgent: string;
  /** How long the API may be silent within a request. */
  readonly timeoutMs: number;
  /** Requests at the same time, each on a connection of its own (HTTP/1.1). */
  readonly connections: number;
  /** Time until a connection must stand, TLS included. */
  readonly connectTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Kept longer than the pauses of a working queue; the API server itself drops idle ones later. */
const KEEP_ALIVE_MS = 30_000;

/** A dead peer behind a silent network is found by the kernel, too. */
const KEEP_ALIVE_PROBE_MS = 15_000;

/** The pool of connections to the API; `close` ends what is under way. */
export interface HttpPool extends HttpTransport {
  close(): Promise<void>;
}

/**
 * One pool of connections. The serving certificate is verified always, against the credentials'
 * own authorities only.
 *
 * HTTP/1.1: one lost packet or one dead connection holds up one request instead of all of them.
 */
export function openHttpPool(options: HttpTransportOptions): HttpPool {
  const {credentials, userAgent, timeoutMs, connections} = options;
  const {server, certificateAuthority, client} = credentials;
  const pool = new Pool(server, {
    connections,
    pipelining: 1,
    allowH2: false,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: {
      ca: certificateAuthority,
      rejectUnauthorized: true,
      timeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      ...(client === undefined ? {} : {cert: client.cert, key: client.key}),
    },
  });
  return {
    server,
    async send({method, path, accept = 'application/json', body}, {signal}): Promise<HttpResponse> {
      const token = credentials.token();
      const answer = await pool.request({
        method,
        path,
        signal,
        headers: {
          accept,
          'user-agent': userAgent,
          ...(token === undefined ? {} : {authorization: `Bearer ${token}`}),
          ...(body === undefined ? {} : {'content-type': body.contentType}),
        },
        body: body?.text ?? null,
        // A DELETE has a body here (its preconditions); undici would close the connection after it.
        reset: false,
      });
      return {
        status: answer.statusCode,
        headers: singleHeaders(answer.headers),
        body: answer.body as AsyncIterable<Uint8Array>, // chunks of a Readable without encoding
      };
    },
    close: () => pool.destroy(),
  };
}

/** The API repeats no header that we read. */
function singleHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Readonly<Record<string, string>> {
  const single: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') single[name] = value;
  }
  return single;
}
