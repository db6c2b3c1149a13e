import {join} from 'node:path';
import type {Connection, SshTarget} from '#provisioner/transport/connection';
import {createSshConnect, type SshDeps} from '#provisioner/transport/ssh';
import type {SshServer} from './ssh-server.ts';

export type SshFields = Partial<SshTarget & SshDeps>;

/** Long enough for a machine under load; a test that needs it has failed. */
export const inTime = (): AbortSignal => AbortSignal.timeout(30_000);

/** Connects to a server of our own; `fields` replace what would make it succeed. */
export const openSsh = (
  server: SshServer,
  fields: SshFields = {},
  signal = inTime(),
): Promise<Connection> =>
  createSshConnect({
    agentSocketPath: undefined,
    pinnedHostKeysPath: join(server.directory, 'known_hosts'),
    acceptNewHostKeys: false,
    ...fields,
  })(server.target(fields), {signal});

/** The output of a script that shows that the connection is of use. */
export const echo = async (connection: Connection): Promise<string> =>
  (await connection.run('echo on', {signal: inTime()})).stdout;
