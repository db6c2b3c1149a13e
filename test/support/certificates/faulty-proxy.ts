import {Agent, createServer, request as httpsRequest} from 'node:https';
import type {IncomingMessage, ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {describeRequest, type ApiRequest} from './api-request.ts';

export {isWrite, type ApiRequest} from './api-request.ts';

export type Fault =
  /** Answers with this status instead of the API, with a `Status` object as the API sends it. */
  | {readonly kind: 'answer'; readonly status: number; readonly retryAfterSeconds?: number}
  /** A watch that is opened, and gets this ERROR event. */
  | {readonly kind: 'error-event'; readonly status: number}
  /** The API does what it was asked for; the answer is lost with its connection. */
  | {readonly kind: 'drop-response'}
  /** The connection ends; the API has seen nothing. */
  | {readonly kind: 'drop-request'}
  /** No answer, ever; the API has seen nothing. */
  | {readonly kind: 'hang'};

export interface FaultRule {
  /** Which requests; default all. */
  readonly match?: (request: ApiRequest) => boolean;
  /** How many of them, default all. */
  readonly times?: number;
  /** How many are let through before; default 0. */
  readonly after?: number;
}

/** A rule in force; disposing it ends it. */
export interface ActiveFault extends Disposable {
  /** How many requests it has hit. */
  readonly hits: number;
}

/** An HTTPS proxy in front of an API server that does to requests what a test says. */
export interface FaultyProxy extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`; credentials of the API server are good here. */
  readonly server: string;
  /** Of all rules that match a request, the oldest decides. */
  fault(fault: Fault, rule?: FaultRule): ActiveFault;
  /** Ends the connections of all open watches; tells how many there were. */
  breakWatches(): number;
  /** Open watches hear nothing from now on, and are not ended: half-open TCP. */
  silenceWatches(): number;
  /** The API is gone: connections end, and new ones are refused. */
  cut(): void;
  heal(): void;
  /** All that came, in order, also what was answered by a fault. */
  readonly requests: readonly ApiRequest[];
  /** How many of each `verb resource`, e.g. `update certificates/status`. */
  counts(): Readonly<Record<string, number>>;
  /** Forgets what came. */
  forgetRequests(): void;
}

export interface FaultyProxyOptions {
  /** The API server: its address, and its serving certificate, which the proxy uses as well. */
  readonly port: number;
  readonly serving: {readonly cert: string; readonly key: string};
}

export async function startFaultyProxy(options: FaultyProxyOptions): Promise<FaultyProxy> {
  const proxy = new HttpsProxy(options);
  await proxy.listen();
  return proxy;
}

interface Rule {
  readonly fault: Fault;
  readonly match: (request: ApiRequest) => boolean;
  leftBefore: number;
  left: number;
  hits: number;
}

interface Watch {
  readonly socket: Socket;
  readonly upstream: IncomingMessage;
}

class HttpsProxy implements FaultyProxy {
  readonly #port: number;
  readonly #agent: Agent;
  readonly #listener: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Duplex>();
  readonly #watches = new Set<Watch>();
  readonly #rules: Rule[] = [];
  #requests: ApiRequest[] = [];
  #cut = false;

  constructor({port, serving}: FaultyProxyOptions) {
    this.#port = port;
    this.#agent = new Agent({keepAlive: true, ca: serving.cert});
    this.#listener = createServer(serving, (request, response) => {
      this.#handle(request, response);
    });
    this.#listener.keepAliveTimeout = 60_000;
    this.#listener.on('connection', socket => {
      if (this.#cut) {
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#listener.on('tlsClientError', () => undefined); // a connection that was cut
  }

  async listen(): Promise<void> {
    await new Promise<void>(resolve => this.#listener.listen(0, '127.0.0.1', resolve));
  }

  get server(): string {
    return `https://127.0.0.1:${(this.#listener.address() as AddressInfo).port}`;
  }

  get requests(): readonly ApiRequest[] {
    return this.#requests;
  }

  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const {verb, resource} of this.#requests) {
      counts[`${verb} ${resource}`] = (counts[`${verb} ${resource}`] ?? 0) + 1;
    }
    return counts;
  }

  forgetRequests(): void {
    this.#requests = [];
  }

  fault(
    fault: Fault,
    {match = () => true, times = Infinity, after = 0}: FaultRule = {},
  ): ActiveFault {
    const rule: Rule = {fault, match, leftBefore: after, left: times, hits: 0};
    this.#rules.push(rule);
    return {
      get hits() {
        return rule.hits;
      },
      [Symbol.dispose]() {
        rule.left = 0;
      },
    };
  }

  breakWatches(): number {
    const watches = [...this.#watches];
    for (const {socket, upstream} of watches) {
      upstream.destroy();
      socket.destroy();
    }
    return watches.length;
  }

  silenceWatches(): number {
    const watches = [...this.#watches];
    for (const {upstream} of watches) {
      upstream.unpipe();
      upstream.resume();
    }
    return watches.length;
  }

  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#cut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#agent.destroy();
    await new Promise(resolve => this.#listener.close(resolve));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const {method = 'GET', url = '/', headers} = request;
    const described = describeRequest(method, url, headers);
    this.#requests.push(described);
    const fault = this.#faultFor(described);
    switch (fault?.kind) {
      case 'answer':
        request.resume();
        answer(response, fault);
        break;
      case 'error-event':
        request.resume();
        response.writeHead(200, {'content-type': 'application/json'});
        response.end(`${JSON.stringify({type: 'ERROR', object: statusObject(fault.status)})}\n`);
        break;
      case 'hang':
        request.resume();
        break;
      case 'drop-request':
        request.socket.destroy();
        break;
      case 'drop-response':
      case undefined:
        this.#forward(request, response, {described, drop: fault !== undefined});
        break;
      default:
        fault satisfies never;
    }
  }

  #faultFor(described: ApiRequest): Fault | undefined {
    for (const rule of this.#rules) {
      if (rule.left <= 0 || !rule.match(described)) continue;
      if (rule.leftBefore > 0) {
        rule.leftBefore -= 1;
        continue;
      }
      rule.left -= 1;
      rule.hits += 1;
      return rule.fault;
    }
    return undefined;
  }

  #forward(
    request: IncomingMessage,
    response: ServerResponse,
    {described, drop}: {readonly described: ApiRequest; readonly drop: boolean},
  ): void {
    const {method, url: path, headers, socket} = request;
    const options = {
      host: '127.0.0.1',
      port: this.#port,
      method,
      path,
      headers,
      agent: this.#agent,
    };
    const forwarded = httpsRequest(options, upstream => {
      if (drop) {
        upstream.resume();
        upstream.once('end', () => socket.destroy());
        return;
      }
      response.writeHead(upstream.statusCode ?? 502, upstream.headers);
      response.flushHeaders();
      upstream.pipe(response);
      upstream.on('error', () => socket.destroy());
      if (described.verb === 'watch') this.#keepWatch({socket, upstream});
    });
    forwarded.on('error', () => socket.destroy());
    response.once('close', () => forwarded.destroy());
    request.pipe(forwarded);
  }

  #keepWatch(watch: Watch): void {
    this.#watches.add(watch);
    watch.upstream.once('close', () => this.#watches.delete(watch));
  }
}

function answer(
  response: ServerResponse,
  {status, retryAfterSeconds}: {readonly status: number; readonly retryAfterSeconds?: number},
): void {
  const retry = retryAfterSeconds === undefined ? {} : {'retry-after': `${retryAfterSeconds}`};
  response.writeHead(status, {'content-type': 'application/json', ...retry});
  response.end(JSON.stringify(statusObject(status)));
}

/** meta/v1 Status. */
function statusObject(code: number): Readonly<Record<string, unknown>> {
  const reason = REASONS[code] ?? 'InternalError';
  const message = `${reason}, says the faulty proxy`;
  return {kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code};
}

const REASONS: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Expired',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};
