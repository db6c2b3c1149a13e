import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {connect, type Socket} from 'node:net';

/**
 * Listens, tells its port, and never accepts: what waits to be accepted fits twice. It ends by
 * itself after a minute, whatever became of the test.
 */
const DEAF = `
const server = require('node:net').createServer();
server.listen({port: 0, host: '127.0.0.1', backlog: 1}, () => {
  require('node:fs').writeSync(1, String(server.address().port));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  process.exit();
});`;
const WAITING = 2;

/** A port of loopback whose packets are dropped unanswered, as those to a host without power are. */
export async function silentPort(): Promise<{readonly port: number} & Disposable> {
  const child = spawn(process.execPath, ['--eval', DEAF], {stdio: ['ignore', 'pipe', 'inherit']});
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(text.toString());
  const sockets: Socket[] = [];
  for (let count = 0; count < WAITING; count += 1) {
    const socket = connect({port, host: '127.0.0.1'}).on('error', () => undefined); // its end
    sockets.push(socket);
    await once(socket, 'connect');
  }
  return {
    port,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
    },
  };
}
