import {once} from 'node:events';
import type {IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Log} from '#shared/log';
import {createServer, STATUS_CODES} from '#shared/node-http';
import {type PortForwardHandler, servePortForward} from './port-forward.ts';
import {
  type AttachHandler,
  type AttachStreamRequest,
  type ExecHandler,
  type ExecStreamRequest,
  serveRemoteCommand,
} from './remote-command.ts';
import {Tokens} from './tokens.ts';

export interface PortForwardStreamRequest {
  readonly sandboxId: string;
}

/** The requests of the three kinds of streams, as CRI's Exec, Attach and PortForward give them. */
export interface StreamRequests {
  readonly exec: ExecStreamRequest;
  readonly attach: AttachStreamRequest;
  readonly portforward: PortForwardStreamRequest;
}

export type StreamKind = keyof StreamRequests;

export interface StreamingOptions {
  /** Of the machine itself: the kubelet is the client, e.g. `127.0.0.1`. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly log: Log;
  readonly exec: ExecHandler;
  readonly attach: AttachHandler;
  readonly portForward: PortForwardHandler;
}

export interface Streaming {
  /**
   * Where a client finds the stream; good for one use within a minute.
   *
   * @throws CodedError ERR_STREAMS_TOO_MANY
   */
  readonly url: <Kind extends StreamKind>(kind: Kind, request: StreamRequests[Kind]) => string;
  /** Ends every stream. */
  readonly close: () => Promise<void>;
}

type Waiting = {
  readonly [Kind in StreamKind]: {readonly kind: Kind; readonly request: StreamRequests[Kind]};
}[StreamKind];

const IDLE_MS = 4 * 60 * 60_000;
const REQUEST_MS = 30_000;
const PATH = /^\/(exec|attach|portforward)\/([\w-]+)$/;

/**
 * Starts the server that exec, attach and port-forward URLs of CRI point to. Clients upgrade the
 * connection to SPDY/3.1 and name a protocol of Kubernetes' remote commands or port forwarding.
 *
 * @throws Error of the system when the address cannot be listened on
 */
export async function startStreaming(options: StreamingOptions): Promise<Streaming> {
  const tokens = new Tokens<Waiting>();
  const sockets = new Set<Duplex>();
  const server = createServer({requestTimeout: REQUEST_MS}, (_request, response) => {
    response.writeHead(400, {'content-type': 'text/plain', connection: 'close'});
    response.end('this address takes upgrades to SPDY/3.1 only\n');
  });
  server.on('upgrade', (request, socket, head) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    request.socket.setNoDelay(true);
    request.socket.setTimeout(IDLE_MS, () => socket.destroy());
    upgrade({request, socket, head}, take(tokens, request), options);
  });
  server.listen(options.port, options.address);
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo; // it listens on TCP
  const host = options.address.includes(':') ? `[${options.address}]` : options.address;
  return {
    url: (kind, request) => {
      const waiting = {kind, request} as Waiting; // the pair is right by the signature
      return `http://${host}:${port}/${kind}/${tokens.add(waiting)}`;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function take(tokens: Tokens<Waiting>, {url = ''}: IncomingMessage): Waiting | undefined {
  const [, kind, token] = PATH.exec(url.split('?', 1)[0] ?? '') ?? [];
  const waiting = token === undefined ? undefined : tokens.take(token);
  return waiting?.kind === kind ? waiting : undefined;
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

function upgrade(
  {request, socket, head}: Upgrade,
  waiting: Waiting | undefined,
  options: StreamingOptions,
): void {
  if (waiting === undefined) {
    refuse(socket, 404, 'no such stream: its URL is good once, within a minute');
    return;
  }
  if (request.headers.upgrade?.toLowerCase() !== 'spdy/3.1') {
    refuse(socket, 400, 'only SPDY/3.1 is spoken here');
    return;
  }
  const offered = (request.headers['x-stream-protocol-version'] ?? '')
    .toString()
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '');
  const accept = (protocol: string) => {
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: SPDY/3.1',
      `X-Stream-Protocol-Version: ${protocol}`,
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) socket.unshift(head);
  };
  const connection = {socket, offered, accept, log: options.log};
  const isServed =
    waiting.kind === 'portforward'
      ? servePortForward(connection, waiting.request, options.portForward)
      : serveRemoteCommand(connection, waiting, options);
  if (!isServed) refuse(socket, 403, `none of the protocols is known here: ${offered.join(', ')}`);
}

function refuse(socket: Duplex, status: number, message: string): void {
  const body = `${message}\n`;
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: text/plain',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
