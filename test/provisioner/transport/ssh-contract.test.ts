import {existsSync} from 'node:fs';
import {connectionContract} from '#test/connection-contract';
import {openSsh} from '#test/open-ssh';
import {startSshServer} from '#test/ssh-server';

const shells = ['/usr/bin/dash', '/usr/bin/bash'].filter(existsSync);

for (const shell of shells) {
  connectionContract(`ssh to a host with ${shell}`, async () => {
    const server = await startSshServer({shell, faults: {noise: 'Welcome!\n'}, banner: 'Hi\n'});
    const connection = await openSsh(server);
    return {
      connection,
      directory: server.directory,
      async [Symbol.asyncDispose](): Promise<void> {
        await connection[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  });
}
