import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {createSshConnect} from '#provisioner/transport/ssh';
import {connectionContract, inTime} from '#test/connection-contract';
import {startSshServer} from '#test/ssh-server';

const shells = ['/usr/bin/dash', '/usr/bin/bash'].filter(existsSync);

for (const shell of shells) {
  connectionContract(`ssh to a host with ${shell}`, async () => {
    const server = await startSshServer({shell, faults: {noise: 'Welcome!\n'}, banner: 'Hi\n'});
    const connect = createSshConnect({
      agentSocketPath: undefined,
      pinnedHostKeysPath: join(server.directory, 'known_hosts'),
      acceptNewHostKeys: false,
    });
    const connection = await connect(server.target(), {signal: inTime()});
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
