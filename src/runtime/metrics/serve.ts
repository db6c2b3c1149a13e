import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {CodedError, messageOf} from '#shared/errors';
import type {CommandErrorCode} from '../errors.ts';

export interface MetricsServer {
  /** e.g. `127.0.0.1:9090`; tells the port where 0 was asked for. */
  readonly address: string;
  readonly close: () => Promise<void>;
}

/** A scrape has a few headers; anything longer is no scrape. */
const HEADER_BYTES_MAX = 8 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 20;

/**
 * Serves `GET /metrics`.
 *
 * @param address `HOST:PORT`, an IPv6 host in brackets
 * @throws CodedError ERR_METRICS_ADDRESS
 */
export async function serveMetrics(address: string, format: () => string): Promise<MetricsServer> {
  const server = createServer(
    {maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_TIMEOUT_MS},
    ({method, url}, response) => {
      const known = url?.split('?')[0] === '/metrics';
      if (!known || (method !== 'GET' && method !== 'HEAD')) {
        response.writeHead(known ? 405 : 404, {'content-type': 'text/plain'});
        response.end(known ? 'GET /metrics\n' : 'see /metrics\n');
        return;
      }
      response.writeHead(200, {'content-type': 'text/plain; version=0.0.4; charset=utf-8'});
      response.end(format());
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  try {
    server.listen({host, port: Number(address.slice(colon + 1))});
    await once(server, 'listening');
  } catch (cause) {
    throw new CodedError<CommandErrorCode>(
      'ERR_METRICS_ADDRESS',
      `cannot serve metrics on ${address}: ${messageOf(cause)}`,
      {hint: 'set another metrics.address, or "" for none', cause},
    );
  }
  const {port} = server.address() as AddressInfo;
  return {
    address: `${address.slice(0, colon)}:${port}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
