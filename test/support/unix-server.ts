import {setImmediate} from 'node:timers/promises';
import {close, rawCall, systemCall} from '#runtime/sys/libc';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const MSG_DONTWAIT = 0x40;
const SOCK_CLOEXEC = 0o2000000;
const PACKET_BYTES_MAX = 65_536;
const RECEIVE_BUFFER = Buffer.alloc(PACKET_BYTES_MAX);

const socket = systemCall('socket', 'int', 'int', 'int');
const bind = systemCall('bind', 'int', 'void *', 'uint');
const listen = systemCall('listen', 'int', 'int');
const accept = systemCall('accept4', 'int', 'void *', 'void *', 'int');
const send = systemCall('send', 'int', 'void *', 'ulong', 'int');
const recv = rawCall('recv', 'int', 'void *', 'ulong', 'int');

/** The other side of a SOCK_SEQPACKET connection. */
export interface SeqpacketPeer extends Disposable {
  readonly send: (packet: string) => void;
  /** Waits for a packet; an empty one is the end. */
  readonly receive: () => Promise<string>;
}

/** Listens as conmon's attach socket does. */
export function listenSeqpacket(path: string): {readonly accept: () => SeqpacketPeer} & Disposable {
  const listening = bound(SOCK_SEQPACKET, path);
  listen(listening, 10);
  return {
    accept() {
      const fd = accept(listening, null, null, SOCK_CLOEXEC);
      return {
        send: packet => void send(fd, Buffer.from(packet), Buffer.byteLength(packet), 0),
        receive: () => receive(fd),
        [Symbol.dispose]: () => {
          close(fd);
        },
      };
    },
    [Symbol.dispose]: () => {
      close(listening);
    },
  };
}

/** Receives datagrams as systemd's notify socket does. */
export function listenDatagrams(path: string): {
  readonly receive: () => Promise<string>;
} & Disposable {
  const fd = bound(SOCK_DGRAM, path);
  return {
    receive: () => receive(fd),
    [Symbol.dispose]: () => {
      close(fd);
    },
  };
}

function bound(type: number, path: string): number {
  const fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  const name = path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`;
  const address = Buffer.concat([Buffer.of(AF_UNIX, 0), Buffer.from(name)]);
  bind(fd, address, address.length);
  return fd;
}

async function receive(fd: number): Promise<string> {
  for (;;) {
    const length = recv(fd, RECEIVE_BUFFER, RECEIVE_BUFFER.length, MSG_DONTWAIT);
    if (length >= 0) return RECEIVE_BUFFER.toString('utf8', 0, length);
    await setImmediate();
  }
}
