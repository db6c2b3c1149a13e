import {once} from 'node:events';
import type {AddressInfo} from 'node:net';
import {Readable} from 'node:stream';
import {createServer} from './node-http.ts';

/** What a path answers to GET and HEAD. */
export interface Page {
  /** Default 200. */
  readonly status?: number;
  readonly contentType: string;
  /** Pieces are made as the reader takes them. */
  readonly body: string | Iterable<string>;
}

export interface PagesServer {
  /** e.g. `127.0.0.1:9090`; tells the port where 0 was asked for. */
  readonly address: string;
  readonly close: () => Promise<void>;
}

/** Scrapes and probes have a few headers; anything longer is neither. */
const HEADER_BYTES_MAX = 8 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 20;

/**
 * Serves a few small pages over HTTP: metrics and health.
 *
 * @param address `HOST:PORT`, an IPv6 host in brackets; without a host on all addresses
 * @param pages by path, e.g. `/metrics`; a query is ignored
 * @throws Error of the system when it cannot listen there
 */
export async function servePages(
  address: string,
  pages: Readonly<Record<string, () => Page>>,
): Promise<PagesServer> {
  const known = new Map(Object.entries(pages));
  const server = createServer(
    {maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_TIMEOUT_MS},
    ({method, url}, response) => {
      const page = known.get(url?.split('?')[0] ?? '');
      if (page === undefined || (method !== 'GET' && method !== 'HEAD')) {
        response.writeHead(page === undefined ? 404 : 405, {'content-type': 'text/plain'});
        response.end(page === undefined ? `see ${[...known.keys()].join(', ')}\n` : 'GET only\n');
        return;
      }
      const {status = 200, contentType, body} = page();
      response.writeHead(status, {'content-type': contentType});
      if (method === 'HEAD') response.end();
      else if (typeof body === 'string') response.end(body);
      else {
        const pieces = Readable.from(body);
        pieces.on('error', () => response.destroy()); // it would look complete otherwise
        response.on('close', () => pieces.destroy());
        pieces.pipe(response);
      }
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  server.listen({...(host === '' ? {} : {host}), port: Number(address.slice(colon + 1))});
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo; // it listens on TCP
  return {
    address: `${address.slice(0, colon)}:${port}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
