import {readSync} from 'node:fs';
import {isErrno} from '#shared/errors';
import {openReader} from '../process/pipe.ts';

const READ_BYTES = 64 * 1024;
/** The most that a pipe holds (fcntl F_SETPIPE_SZ needs a privilege beyond it). */
const PIPE_BYTES_MAX = 1024 * 1024;

/** The output of a process, read from a pipe. */
export interface Output {
  /**
   * What was written up to now, its beginning if it was too much. For use once the process has
   * ended: nothing is waited for, as a process in the background may hold the pipe open for ever.
   */
  readonly take: () => Buffer;
  readonly close: () => void;
}

/**
 * Reads a pipe from now on, keeping only the first `bytesMax` bytes: a writer is never stopped.
 *
 * @param fd reading end; owned by the result
 */
export function collectOutput(fd: number, bytesMax: number): Output {
  const chunks: Buffer[] = [];
  let keptBytes = 0;
  let isEnded = false;
  const keep = (chunk: Buffer): void => {
    const kept = chunk.subarray(0, bytesMax - keptBytes);
    keptBytes += kept.length;
    if (kept.length > 0) chunks.push(kept);
  };
  const socket = openReader(fd);
  socket.on('data', keep);
  socket.on('error', () => undefined); // a pipe that breaks ends, and 'close' follows
  socket.on('close', () => {
    isEnded = true;
  });
  return {
    take: () => {
      // All that libuv has read is in `chunks`; all that was written besides is in the pipe.
      if (!isEnded && !socket.readableEnded) readRest(fd, keep);
      return Buffer.concat(chunks);
    },
    close: () => socket.destroy(),
  };
}

/** Reads what a pipe holds at this moment; the descriptor does not block, as libuv has set it. */
function readRest(fd: number, keep: (chunk: Buffer) => void): void {
  for (let readBytes = 0; readBytes <= PIPE_BYTES_MAX;) {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    try {
      const length = readSync(fd, buffer);
      if (length === 0) return;
      keep(buffer.subarray(0, length));
      readBytes += length;
    } catch (error) {
      if (isErrno(error, 'EAGAIN')) return;
      throw error;
    }
  }
}
