import type {Agent, IncomingHttpHeaders, IncomingMessage} from 'node:http';
import type {Agent as TlsAgent} from 'node:https';
import {Readable} from 'node:stream';
import {createSecureContext, getCACertificates, type SecureContext} from 'node:tls';
import {HttpAgent, httpRequest, HttpsAgent, httpsRequest} from '../node-http.ts';
import type {Secret} from '../secret.ts';

export interface TlsOptions {
  /** Certificates are checked; false only for a registry that is configured as insecure. */
  readonly verify: boolean;
  /** PEM of authorities that are trusted beside the system's. */
  readonly authorities?: readonly string[];
  readonly clientCertificate?: {readonly certificate: string; readonly key: Secret};
}

export interface HttpSenderOptions {
  readonly tls?: TlsOptions;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case; default none. */
  readonly proxyEnvironment?: Readonly<Record<string, string | undefined>>;
}

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | Readable;
  readonly signal: AbortSignal;
  /** Until the headers of the answer are there, what is uploaded included. */
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  readonly url: URL;
  /** To be read to its end, or destroyed. */
  readonly body: IncomingMessage;
}

const IDLE_CONNECTION_MS = 3_000; // less than registries and balancers keep one open

/**
 * Sends single HTTP requests over connections that are kept for the next one. node:http and not
 * fetch: fetch can neither pass by a registry's certificate nor trust one authority more, it
 * unpacks what a registry compressed, and it takes a tenth more CPU for large bodies.
 */
export class HttpSender {
  readonly #options: HttpSenderOptions;
  readonly #http: Agent;
  #https: TlsAgent | undefined;

  constructor(options: HttpSenderOptions = {}) {
    this.#options = options;
    this.#http = new HttpAgent(this.#agentOptions());
  }

  /**
   * @returns the answer with its body unread; redirects are not followed
   * @throws the signal's reason, or the system's error when there is no answer
   */
  async send(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    try {
      return await this.#attempt(url, request);
    } catch (error) {
      // The server closed a kept connection just as it was used again: nothing was done there, and
      // all that is sent here may be sent twice. Only a stream is gone by now.
      const isAgain = error instanceof StaleConnection && !(request.body instanceof Readable);
      if (!isAgain) throw error instanceof StaleConnection ? error.cause : error;
      return await this.#attempt(url, request).catch((second: unknown) => {
        throw second instanceof StaleConnection ? second.cause : second;
      });
    }
  }

  /** Closes connections that are kept for later; those in use go on. */
  close(): void {
    this.#http.destroy();
    this.#https?.destroy();
  }

  async #attempt(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    const {method, headers, body, signal, timeoutMs} = request;
    signal.throwIfAborted();
    const answered = Promise.withResolvers<IncomingMessage>();
    const isTls = url.protocol === 'https:';
    const options = {method, headers: {'user-agent': 'slipway', ...headers}};
    const sending = isTls
      ? httpsRequest(url, {...options, agent: this.#httpsAgent()}, answered.resolve)
      : httpRequest(url, {...options, agent: this.#http}, answered.resolve);
    sending.on('error', error => {
      const isStale = sending.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      answered.reject(isStale ? new StaleConnection('stale', {cause: error}) : error);
    });
    const abort = () => sending.destroy(signal.reason as Error);
    const timer = setTimeout(() => {
      sending.destroy(new Error(`no answer within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    signal.addEventListener('abort', abort, {once: true});
    try {
      sendBody(sending, body);
      const message = await answered.promise;
      // What goes wrong later comes out of the body; here nobody listens any more.
      message.on('error', () => undefined);
      if (!sending.writableEnded) message.once('close', () => sending.destroy());
      return answerOf(url, message);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  #httpsAgent(): TlsAgent {
    this.#https ??= new HttpsAgent({
      ...this.#agentOptions(),
      secureContext: secureContextOf(this.#options.tls),
      rejectUnauthorized: this.#options.tls?.verify ?? true,
    });
    return this.#https;
  }

  #agentOptions() {
    const {proxyEnvironment} = this.#options;
    const kept = {keepAlive: true, timeout: IDLE_CONNECTION_MS};
    return proxyEnvironment === undefined ? kept : {...kept, proxyEnv: proxyEnvironment};
  }
}

/**
 * Reads what an answer has left, so that its connection serves the next request; gives up on long
 * and slow ones. Resolves when the connection is free, or gone.
 */
export async function discardBody({body}: HttpAnswer): Promise<void> {
  const closed = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => body.destroy(), DISCARD_MS);
  let leftBytes = DISCARD_BYTES_MAX;
  body.on('data', (chunk: Buffer) => {
    leftBytes -= chunk.length;
    if (leftBytes < 0) body.destroy();
  });
  body.on('close', closed.resolve);
  if (body.closed) closed.resolve(undefined);
  await closed.promise;
  clearTimeout(timer);
}

const DISCARD_MS = 2_000;
const DISCARD_BYTES_MAX = 64 * 1024;

class StaleConnection extends Error {}

function sendBody(
  sending: ReturnType<typeof httpRequest>,
  body: string | Uint8Array | Readable | undefined,
): void {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
    sending.end(body);
    return;
  }
  body.on('error', error => sending.destroy(error));
  sending.on('close', () => body.destroy());
  body.pipe(sending);
}

function answerOf(url: URL, message: IncomingMessage): HttpAnswer {
  const {statusCode = 0, statusMessage = '', headers} = message;
  return {status: statusCode, statusText: statusMessage, headers, url, body: message};
}

/** The system's authorities, which its administrator chose; Node's own where it has none. */
function secureContextOf(tls: TlsOptions = {verify: true}): SecureContext {
  const system = getCACertificates('system');
  const trusted = system.length > 0 ? system : getCACertificates('default');
  const {clientCertificate} = tls;
  return createSecureContext({
    ca: [...trusted, ...(tls.authorities ?? [])],
    ...(clientCertificate && {
      cert: clientCertificate.certificate,
      key: clientCertificate.key.reveal(),
    }),
  });
}
