import {once} from 'node:events';
import {Socket} from 'node:net';
import {isErrno} from '#shared/errors';
import {close as closeDescriptor, lastErrno, rawCall, systemCall, systemError} from './libc.ts';
import {withNetworkNamespace} from './namespace.ts';
import {waitReady, type Wait} from './readiness.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const F_DUPFD_CLOEXEC = 1030;
const SUN_PATH_BYTES = 108;
const EAGAIN = 11;
const EINTR = 4;
const ENAMETOOLONG = 36;
const ECONNRESET = 104;
const ENOBUFS = 105;
/** More than conmon's largest packet (8193 bytes, runtime.md §4.4): a packet is never cut. */
const PACKET_BYTES_MAX = 65_536;

const socketCall = systemCall('socket', 'int', 'int', 'int');
const connectCall = systemCall('connect', 'int', 'void *', 'uint');
const shutdownCall = systemCall('shutdown', 'int', 'int');
const fcntl = systemCall('fcntl', 'int', 'int', 'int');
const recv = rawCall('recv', 'int', 'void *', 'ulong', 'int');
const send = rawCall('send', 'int', 'void *', 'ulong', 'int');
const sendto = systemCall('sendto', 'int', 'void *', 'ulong', 'int', 'void *', 'uint');

/**
 * Connects to a port that listens on the loopback of the pod with this network namespace: on
 * 127.0.0.1, or else on ::1 (port-forward's "localhost").
 *
 * Only the socket is made inside, synchronously; it stays in that namespace.
 * @throws the connection's error, e.g. `ECONNREFUSED`; the signal's reason when aborted
 */
export async function connectTcpInNamespace(
  networkNamespacePath: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  try {
    return await connectTcp(
      {networkNamespacePath, family: AF_INET, host: '127.0.0.1', port},
      signal,
    );
  } catch (error) {
    signal.throwIfAborted();
    try {
      return await connectTcp({networkNamespacePath, family: AF_INET6, host: '::1', port}, signal);
    } catch {
      signal.throwIfAborted();
      throw error; // The IPv4 failure: most pods have no IPv6 at all.
    }
  }
}

interface TcpTarget {
  readonly networkNamespacePath: string;
  readonly family: number;
  readonly host: string;
  readonly port: number;
}

async function connectTcp(
  {networkNamespacePath, family, host, port}: TcpTarget,
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted();
  const fd = withNetworkNamespace(networkNamespacePath, () =>
    socketCall(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
  );
  const socket = new Socket({fd, allowHalfOpen: true});
  socket.connect({host, port});
  try {
    await once(socket, 'connect', {signal});
    return socket;
  } catch (error) {
    socket.on('error', () => undefined); // A late failure of a socket that nobody has.
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  }
}

/** A connection that keeps packets apart (SOCK_SEQPACKET), as conmon's attach socket does. */
export interface SeqpacketConnection {
  /** The packets, each in a buffer of its own, to the end of the connection; to be called once. */
  readonly read: () => AsyncIterable<Uint8Array>;
  /** Sends one packet; waits while the other side's buffer is full. `EPIPE` once it is gone. */
  readonly write: (packet: Uint8Array) => Promise<void>;
  /** The other side reads an end; what it still sends can be read. */
  readonly shutdownWrite: () => void;
  /** Ends reading and writing; idempotent. */
  readonly close: () => void;
}

/** @throws `SystemError`: `ENOENT`, `ECONNREFUSED`, `EAGAIN` (backlog full), `ENAMETOOLONG` */
export function connectSeqpacket(path: string): SeqpacketConnection {
  const address = unixAddress(path);
  const fd = socketCall(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  try {
    connectCall(fd, address, address.length);
    return openConnection(fd, fcntl(fd, F_DUPFD_CLOEXEC, 0));
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

function openConnection(readFd: number, writeFd: number): SeqpacketConnection {
  const waits = new Set<Wait>();
  let closed = false;
  const until = async (fd: number, direction: 'read' | 'write'): Promise<void> => {
    const wait = waitReady(fd, direction);
    waits.add(wait);
    await wait.ready;
    waits.delete(wait);
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    for (const {stop} of waits) stop();
    closeDescriptor(readFd);
    closeDescriptor(writeFd);
  };
  let writing: Promise<void> = Promise.resolve();
  return {
    close,
    async *read() {
      const buffer = Buffer.allocUnsafeSlow(PACKET_BYTES_MAX);
      while (!closed) {
        const length = recv(readFd, buffer, buffer.length, MSG_DONTWAIT);
        if (length > 0) yield Uint8Array.prototype.slice.call(buffer, 0, length);
        else if (length === 0 || lastErrno() === ECONNRESET)
          return; // gone, with or without a word
        else if (mayRetry('recv')) await until(readFd, 'read');
      }
    },
    write(packet) {
      const send = writing.then(async () => {
        while (!closed && !trySend(writeFd, packet)) await until(writeFd, 'write');
        if (closed) throw systemError('send', EPIPE);
      });
      writing = send.catch(() => undefined); // The failure is its own caller's.
      return send;
    },
    shutdownWrite() {
      if (!closed) shutdownCall(writeFd, SHUT_WR);
    },
  };
}

const EPIPE = 32;

function trySend(fd: number, packet: Uint8Array): boolean {
  const sent = send(fd, packet, packet.length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent >= 0 || !mayRetry('send');
}

/** True for "not now"; throws for anything worse. */
function mayRetry(syscall: string): boolean {
  const errno = lastErrno();
  if (errno !== EAGAIN && errno !== EINTR && errno !== ENOBUFS) throw systemError(syscall, errno);
  return true;
}

/**
 * Tells systemd about this service's state (sd_notify(3)), e.g. `READY=1`; does nothing where
 * `NOTIFY_SOCKET` is not set.
 *
 * @param state lines of `NAME=value`
 */
export function notifySystemd(state: string, socketPath = process.env['NOTIFY_SOCKET']): void {
  if (socketPath === undefined || socketPath === '') return;
  const address = unixAddress(socketPath);
  const fd = socketCall(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    const message = Buffer.from(state);
    sendto(fd, message, message.length, MSG_NOSIGNAL | MSG_DONTWAIT, address, address.length);
  } catch (error) {
    // A restarted systemd has no socket for a moment; the service goes on without it.
    if (!isErrno(error, 'ECONNREFUSED') && !isErrno(error, 'ENOENT')) throw error;
  } finally {
    closeDescriptor(fd);
  }
}

/** A `sockaddr_un`; a name that begins with `@` is one of the abstract kind. */
function unixAddress(path: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > SUN_PATH_BYTES) throw systemError('connect', ENAMETOOLONG, path);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
