import {createServer, type Server} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {isErrno} from './errors.ts';

/** A child of the last holder has a copy of its socket between fork and exec. */
const RELEASE_MS_MAX = 250;
const POLL_MS = 25;

/**
 * Takes the machine's lock of this name, for as long as the returned object lives; undefined while
 * another process has it.
 *
 * It is an abstract socket (first byte zero, unix(7)): the kernel lets one process bind it and frees
 * it when that process ends in whatever way, so the lock is never stale. Linux only.
 */
export async function takeMachineLock(name: string): Promise<AsyncDisposable | undefined> {
  const deadlineMs = performance.now() + RELEASE_MS_MAX;
  let server = await bind(name);
  while (server === undefined && performance.now() < deadlineMs) {
    await sleep(POLL_MS);
    server = await bind(name);
  }
  if (server === undefined) return undefined;
  const bound = server;
  return {
    async [Symbol.asyncDispose]() {
      await new Promise(resolve => bound.close(resolve));
    },
  };
}

async function bind(name: string): Promise<Server | undefined> {
  const server = createServer(socket => socket.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`\0${name}`, resolve);
    });
    return server;
  } catch (error) {
    if (isErrno(error, 'EADDRINUSE')) return undefined;
    throw error;
  }
}
