import type {Duplex} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {messageOf} from '#shared/errors';
import type {StreamConnection} from './connection.ts';
import {SpdySession, type SpdyStream} from './spdy-session.ts';

/** Connects to a port inside a sandbox's network. */
export type PortForwardHandler = (
  request: {readonly sandboxId: string; readonly port: number},
  signal: AbortSignal,
) => Promise<Duplex>;

const PROTOCOL = 'portforward.k8s.io';
const PAIR_MS = 30_000;
const PORT_MAX = 65_535;

interface Pair {
  readonly error?: SpdyStream;
  readonly data?: SpdyStream;
}

/**
 * Serves any number of connections to a sandbox's ports: each is a pair of streams, `error` and
 * `data`, with the same request ID.
 *
 * @returns false, with nothing answered, when the protocol was not offered
 */
export function servePortForward(
  {socket, offered, accept, log}: StreamConnection,
  {sandboxId}: {readonly sandboxId: string},
  connect: PortForwardHandler,
): boolean {
  if (offered.length > 0 && !offered.includes(PROTOCOL)) return false;
  accept(PROTOCOL);
  const gone = new AbortController();
  const pairs = new Map<string, Pair>();
  const timers = new Set<NodeJS.Timeout>();
  new SpdySession(socket, {
    onStream(stream) {
      const type = stream.headers.get('streamtype');
      // Clients of before request IDs open both streams one after the other.
      const id = stream.headers.get('requestid') ?? legacyId(stream, type);
      if (type !== 'error' && type !== 'data') {
        stream.destroy();
        return;
      }
      const known = pairs.get(id);
      const pair = {...known, [type]: stream};
      if (pair.error !== undefined && pair.data !== undefined) {
        pairs.delete(id);
        const streams = {error: pair.error, data: pair.data};
        void forward(streams, {sandboxId, connect, signal: gone.signal});
        return;
      }
      pairs.set(id, pair);
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (pairs.get(id) !== pair) return;
        pairs.delete(id);
        stream.destroy();
      }, PAIR_MS);
      timers.add(timer);
    },
    onClose(reason) {
      for (const timer of timers) clearTimeout(timer);
      log.debug('port-forward ended', {sandboxId, reason});
      gone.abort(new Error(reason));
    },
  });
  return true;
}

const legacyId = ({id}: SpdyStream, type: string | undefined): string =>
  `stream ${type === 'data' ? id - 2 : id}`;

async function forward(
  {error, data}: {readonly error: SpdyStream; readonly data: SpdyStream},
  {
    sandboxId,
    connect,
    signal,
  }: {
    readonly sandboxId: string;
    readonly connect: PortForwardHandler;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  error.resume();
  const port = Number(data.headers.get('port'));
  try {
    if (!Number.isInteger(port) || port < 1 || port > PORT_MAX) {
      throw new Error(`"${data.headers.get('port') ?? ''}" is not a port`);
    }
    const socket = await connect({sandboxId, port}, signal);
    await join(data, socket, signal);
  } catch (problem) {
    if (!error.destroyed && !signal.aborted) {
      error.write(`error forwarding port ${port} to pod ${sandboxId}: ${messageOf(problem)}`);
    }
  } finally {
    error.end();
    data.end();
    if (!data.readableEnded) data.resume();
  }
}

/** Copies both ways; either side may end its half first. A failure of one ends the other. */
async function join(data: SpdyStream, socket: Duplex, signal: AbortSignal): Promise<void> {
  try {
    const down = pipeline(socket, data, {signal, end: false});
    pipeline(data, socket, {signal}).catch(() => undefined);
    // What the pod has said is all when it closes; a client may keep its half open for ever.
    await down;
    data.end();
    socket.end();
  } finally {
    socket.destroy();
  }
}
