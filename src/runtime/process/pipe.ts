import {Socket} from 'node:net';
import {close, systemCall} from '../sys/libc.ts';

/** Both ends of a pipe as descriptors that the caller closes; children do not inherit them. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

const O_CLOEXEC = 0o2000000;
const pipe2 = systemCall('pipe2', 'void *', 'int');

export function openPipe(): Pipe {
  const ends = Buffer.alloc(8);
  pipe2(ends, O_CLOEXEC);
  return {read: ends.readInt32LE(0), write: ends.readInt32LE(4)};
}

/** A stream of a pipe's reading end; the descriptor is closed when this fails, and by its end. */
export function openReader(fd: number): Socket {
  try {
    return new Socket({fd, readable: true, writable: false});
  } catch (error) {
    close(fd);
    throw error;
  }
}
