import {createServer, type AddressInfo, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Connection} from './connection.ts';

export interface Tunnel extends AsyncDisposable {
  /** A port on 127.0.0.1 of this machine. */
  readonly localPort: number;
}

/**
 * Listens on 127.0.0.1 of this machine and carries every connection to `port` on the host.
 *
 * A connection that the host refuses is closed, as if nothing listened here.
 */
export async function openTunnel(
  connection: Connection,
  port: number,
  {signal}: {readonly signal: AbortSignal},
): Promise<Tunnel> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const sockets = new Set<Socket>();
  const server = createServer({allowHalfOpen: true}, socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy()); // told to the other end by closing
    connection.forward(port, {signal: stop.signal}).then(
      stream => {
        join(socket, stream);
      },
      () => socket.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    localPort: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

function join(socket: Socket, stream: Duplex): void {
  if (socket.destroyed) {
    stream.destroy();
    return;
  }
  stream.on('error', () => socket.destroy());
  stream.once('close', () => {
    socket.destroySoon(); // what a slow reader has not taken yet goes first
  });
  socket.once('close', () => stream.destroy());
  socket.pipe(stream);
  stream.pipe(socket);
}
