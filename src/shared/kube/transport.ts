import type {KubeConfig, RequestContext} from '@kubernetes/client-node';
import {CodedError, messageOf} from '../errors.ts';
import {parseYaml} from '../yaml.ts';
import {isRecord, type JsonRecord} from './json.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, e.g. `/api/v1/nodes?limit=1`. */
  readonly path: string;
  /** Header `Accept`; default `application/json`. */
  readonly accept?: string;
  readonly body?: {readonly contentType: string; readonly text: string};
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Frames of a WebSocket as the API's exec protocol uses them: a channel number and its bytes. */
export interface ChannelSocket {
  readonly send: (channel: number, bytes: Uint8Array) => void;
  /** Tells the other side that nothing more comes on this channel (protocol v5 only). */
  readonly end: (channel: number) => void;
  readonly close: () => void;
}

export interface ChannelHandlers {
  readonly onData: (channel: number, bytes: Uint8Array) => void;
  readonly onClose: () => void;
}

/** One attempt at a time, no retries, errors as they come: what a fake replaces in tests. */
export interface HttpTransport {
  readonly server: string;
  send(request: HttpRequest, options: {readonly signal: AbortSignal}): Promise<HttpResponse>;
}

/** The same with the WebSockets of exec. */
export interface Transport extends HttpTransport {
  openChannels(path: string, handlers: ChannelHandlers): Promise<ChannelSocket>;
  close(): Promise<void>;
}

export interface TransportOptions {
  /** YAML of a kubeconfig whose current context is used. */
  readonly kubeconfig: string;
  /** Replaces the address of the kubeconfig, e.g. by `https://127.0.0.1:40123` of a tunnel. */
  readonly server?: string;
}

type Library = typeof import('@kubernetes/client-node');

/**
 * Opens the door to @kubernetes/client-node, which reads the kubeconfig and authenticates. The
 * package is loaded here and not before: it costs 0.5 s and 85 MB.
 *
 * @throws CodedError ERR_KUBECONFIG_INVALID, also when it switches verification of TLS off
 */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  const parsed = parseKubeconfig(options);
  const library = await import('@kubernetes/client-node');
  const {config, authenticated} = await authenticate(library, parsed);
  const http = new library.IsomorphicFetchHttpLibrary();
  const headers = authenticated.getHeaders();
  // Made once: a dispatcher is a pool of connections, and the library makes one per call.
  const dispatcher = authenticated.getDispatcher();

  return {
    server: parsed.server,
    async send({method, path, accept = 'application/json', body}, {signal}) {
      const request = new library.RequestContext(`${parsed.server}${path}`, method);
      for (const [name, value] of Object.entries(headers)) request.setHeaderParam(name, value);
      request.setHeaderParam('Accept', accept);
      if (dispatcher !== undefined) request.setDispatcher(dispatcher);
      if (body !== undefined) {
        request.setHeaderParam('Content-Type', body.contentType);
        request.setBody(body.text);
      }
      request.setSignal(signal);
      const response = await http.send(request).toPromise();
      return {
        status: response.httpStatusCode,
        headers: response.headers,
        body: response.body.stream() ?? emptyBody(),
      };
    },
    openChannels: (path, handlers) => openChannels(config, path, handlers),
    async close() {
      await dispatcher?.destroy();
    },
  };
}

interface ParsedKubeconfig {
  readonly json: string;
  readonly server: string;
}

async function authenticate(
  library: Library,
  {json, server}: ParsedKubeconfig,
): Promise<{readonly config: KubeConfig; readonly authenticated: RequestContext}> {
  try {
    const config = new library.KubeConfig();
    config.loadFromString(json); // JSON is YAML
    const authenticated = new library.RequestContext(server, 'GET');
    await config.applySecurityAuthentication(authenticated);
    return {config, authenticated};
  } catch (cause) {
    throw invalid(`its credentials cannot be used: ${messageOf(cause)}`, cause);
  }
}

/**
 * Checks what the library would take on trust, and puts the other server in.
 *
 * @throws CodedError ERR_KUBECONFIG_INVALID
 */
export function parseKubeconfig({kubeconfig, server}: TransportOptions): ParsedKubeconfig {
  const document = readDocument(kubeconfig);
  const contextName = document['current-context'];
  const context = entryOf(document, 'contexts', contextName)['context'];
  const clusterName = isRecord(context) ? context['cluster'] : undefined;
  const entry = entryOf(document, 'clusters', clusterName);
  const cluster = isRecord(entry['cluster']) ? entry['cluster'] : {};
  const chosen = server ?? cluster['server'];
  if (typeof chosen !== 'string' || !/^https:\/\/[^/]+\/?$/.test(chosen)) {
    throw invalid(`its server is ${JSON.stringify(chosen)}, expected https://HOST:PORT`);
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw invalid('it sets insecure-skip-tls-verify, and the server is always verified here');
  }
  if (!hasText(cluster, 'certificate-authority-data') && !hasText(cluster, 'certificate-authority'))
    throw invalid('it names no certificate authority');
  const replaced = chosen.replace(/\/$/, '');
  const clusters = [{...entry, cluster: {...cluster, server: replaced}}];
  return {json: JSON.stringify({...document, clusters}), server: replaced};
}

function readDocument(kubeconfig: string): JsonRecord {
  let value: unknown;
  try {
    ({value} = parseYaml(kubeconfig, {file: 'kubeconfig'}));
  } catch (cause) {
    throw invalid(messageOf(cause), cause);
  }
  if (!isRecord(value)) throw invalid('it is not a YAML mapping');
  return value;
}

function entryOf(document: JsonRecord, list: 'contexts' | 'clusters', name: unknown): JsonRecord {
  const entries = document[list];
  const found: unknown = Array.isArray(entries)
    ? entries.find(entry => isRecord(entry) && entry['name'] === name)
    : undefined;
  if (typeof name !== 'string' || !isRecord(found)) {
    throw invalid(`its ${list} have no entry named ${String(name)}`);
  }
  return found;
}

function hasText(record: JsonRecord, key: string): boolean {
  return typeof record[key] === 'string' && record[key] !== '';
}

function invalid(what: string, cause?: unknown): CodedError<'ERR_KUBECONFIG_INVALID'> {
  return new CodedError('ERR_KUBECONFIG_INVALID', `the kubeconfig cannot be used: ${what}`, {
    hint: 'fetch it again from a control plane: /etc/kubernetes/admin.conf',
    cause,
  });
}

/** What we use of package ws, whose types are not installed. */
interface WebSocket {
  readonly send: (bytes: Uint8Array) => void;
  readonly terminate: () => void;
  readonly on: (event: 'close' | 'error', listener: () => void) => void;
}

async function openChannels(
  config: KubeConfig,
  path: string,
  {onData, onClose}: ChannelHandlers,
): Promise<ChannelSocket> {
  // The library's own default would end this process's standard streams.
  const {PassThrough} = await import('node:stream');
  const unused = {stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough()};
  const {WebSocketHandler} = await import('@kubernetes/client-node/dist/web-socket-handler.js');
  const handler = new WebSocketHandler(config, undefined, unused);
  const opened: unknown = await handler.connect(path, null, (channel, bytes) => {
    onData(channel, bytes);
    return true;
  });
  const socket = opened as WebSocket;
  socket.on('error', onClose); // a close follows, but an unheard error would end the process
  socket.on('close', onClose);
  return {
    send(channel, bytes) {
      socket.send(Buffer.concat([Buffer.of(channel), bytes]));
    },
    end(channel) {
      socket.send(Buffer.of(WebSocketHandler.CloseStream, channel));
    },
    close() {
      socket.terminate();
    },
  };
}

// eslint-disable-next-line @typescript-eslint/require-await -- an empty stream has nothing to await
async function* emptyBody(): AsyncIterable<Uint8Array> {
  yield* [];
}
