import {chmodSync, mkdirSync} from 'node:fs';
import {rm, stat} from 'node:fs/promises';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {dirname} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {CommandErrorCode} from '../errors.ts';

/** The longest path that fits sockaddr_un with its final zero (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Listens on a Unix socket that only root and its group may open (0660). A socket left by a daemon
 * that has died is replaced; one that somebody answers is not.
 *
 * @throws CodedError ERR_SOCKET_IN_USE, ERR_SOCKET_PATH
 */
export async function listenUnix(
  path: string,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw socketPath(path, `its path has more than ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  mkdirSync(dirname(path), {recursive: true, mode: 0o755});
  await removeStale(path);
  const server = createServer(onConnection);
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => {
      reject(socketPath(path, error.message, error));
    });
    server.once('listening', resolve);
    server.listen(path);
  });
  // Until here the process's mask of 022 has kept others out: connecting needs the right to write.
  chmodSync(path, 0o660);
  return server;
}

/** True if something accepts connections at the path. */
export async function isAnswered(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    return await new Promise<boolean>((resolve, reject) => {
      socket.once('connect', () => {
        resolve(true);
      });
      socket.once('error', error => {
        if (isErrno(error, 'ECONNREFUSED') || isErrno(error, 'ENOENT')) resolve(false);
        else reject(error);
      });
    });
  } finally {
    socket.destroy();
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw socketPath(path, 'a file that is no socket is there');
  await refuseSecond(path);
  await rm(path, {force: true});
}

/**
 * Makes sure that nobody answers at the path.
 *
 * @throws CodedError ERR_SOCKET_IN_USE
 */
export async function refuseSecond(path: string): Promise<void> {
  if (!(await isAnswered(path))) return;
  throw new CodedError<CommandErrorCode>(
    'ERR_SOCKET_IN_USE',
    `cannot listen on ${path}: another process answers there`,
    {hint: 'stop the other daemon (systemctl stop slipway-cri), or choose another --listen'},
  );
}

function socketPath(path: string, why: string, cause?: unknown): CodedError<CommandErrorCode> {
  return new CodedError('ERR_SOCKET_PATH', `cannot listen on ${path}: ${why}`, {
    hint: 'choose another --listen',
    cause,
  });
}
