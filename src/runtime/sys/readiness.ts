import {readSync, writeSync} from 'node:fs';
import {blockingCall, close, systemCall} from './libc.ts';

/** What to wait for: something to read (or the end), or room to write. */
export type Direction = 'read' | 'write';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 0x001;
const EPOLLOUT = 0x004;
const EPOLLRDHUP = 0x2000;
const EPOLLONESHOT = 0x4000_0000;
const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const EVENTS_MAX = 64;
// struct epoll_event is packed on x86-64 only (epoll.h).
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const DATA_OFFSET = EVENT_BYTES - 8;
/** Bounds how long a forgotten wake-up could hold the thread, and with it the process's end. */
const WAIT_MS_MAX = 10_000;

const epollCreate = systemCall('epoll_create1', 'int');
const epollControl = systemCall('epoll_ctl', 'int', 'int', 'int', 'void *');
const epollWait = blockingCall('epoll_wait', 'int', 'void *', 'int', 'int');
const eventfd = systemCall('eventfd', 'uint', 'int');

/**
 * Waits for file descriptors that node:net does not take (SOCK_SEQPACKET).
 *
 * One epoll set for all; while somebody waits it occupies one thread of libuv's pool, so the
 * pool needs one thread more than its default four under load (UV_THREADPOOL_SIZE).
 * A descriptor can be waited for once at a time; duplicate it to wait for both directions.
 *
 * @returns a promise that settles when it is ready or when `stop()` is called
 */
export function waitReady(fd: number, direction: Direction): Wait {
  const {promise, resolve} = Promise.withResolvers<undefined>();
  loop ??= startLoop();
  const {waiting, epoll, wake} = loop;
  const event = Buffer.alloc(EVENT_BYTES);
  event.writeUInt32LE((direction === 'read' ? EPOLLIN | EPOLLRDHUP : EPOLLOUT) | EPOLLONESHOT);
  event.writeInt32LE(fd, DATA_OFFSET);
  epollControl(epoll, EPOLL_CTL_ADD, fd, event);
  const stop = (): void => {
    if (!waiting.delete(fd)) return;
    epollControl(epoll, EPOLL_CTL_DEL, fd, null);
    if (waiting.size === 0) writeSync(wake, ONE);
    resolve(undefined);
  };
  waiting.set(fd, stop);
  return {ready: promise, stop};
}

export interface Wait {
  readonly ready: Promise<undefined>;
  /** Ends the wait; to be called before the descriptor is closed. */
  readonly stop: () => void;
}

interface Loop {
  readonly epoll: number;
  readonly wake: number;
  /** By descriptor: settles its wait. */
  readonly waiting: Map<number, () => void>;
}

let loop: Loop | undefined;

function startLoop(): Loop {
  const started = {
    epoll: epollCreate(EPOLL_CLOEXEC),
    wake: eventfd(0, EFD_CLOEXEC_NONBLOCK),
    waiting: new Map<number, () => void>(),
  };
  const event = Buffer.alloc(EVENT_BYTES);
  event.writeUInt32LE(EPOLLIN);
  event.writeInt32LE(started.wake, DATA_OFFSET);
  epollControl(started.epoll, EPOLL_CTL_ADD, started.wake, event);
  // At its end the process waits for the pool's threads: let ours go.
  const release = (): void => void writeSync(started.wake, ONE);
  process.once('exit', release);
  void runLoop(started).finally(() => {
    process.removeListener('exit', release);
  });
  return started;
}

async function runLoop(running: Loop): Promise<void> {
  const {epoll, wake, waiting} = running;
  const events = Buffer.alloc(EVENTS_MAX * EVENT_BYTES);
  do {
    const count = await epollWait(epoll, events, EVENTS_MAX, WAIT_MS_MAX);
    // −1 is EINTR: nothing else can go wrong with descriptors of our own.
    for (let index = 0; index < count; index++) {
      const fd = events.readInt32LE(index * EVENT_BYTES + DATA_OFFSET);
      if (fd === wake) readSync(wake, Buffer.alloc(8));
      else waiting.get(fd)?.();
    }
  } while (waiting.size > 0);
  loop = undefined;
  close(epoll);
  close(wake);
}

const ONE = Buffer.from(new BigUint64Array([1n]).buffer);
