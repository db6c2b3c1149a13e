import {connect} from 'node:net';
import {appendFile, readFile} from 'node:fs/promises';
import {quote} from '#shared/quote';
import type {LabFolders} from './folders.ts';

const BANNER_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_SECONDS = 5;

/** OpenSSH's argv for a command on a host, as root; host keys are checked against the lab's own list. */
export function sshArguments(
  folders: LabFolders,
  {
    address,
    user = 'root',
    command,
  }: {
    readonly address: string;
    readonly user?: string;
    /** As with ssh: one word is the remote shell's, several are one argument each; none: a shell. */
    readonly command: readonly string[];
  },
): readonly string[] {
  const options = {
    BatchMode: 'yes',
    ConnectTimeout: String(CONNECT_TIMEOUT_SECONDS),
    IdentitiesOnly: 'yes',
    LogLevel: 'ERROR',
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: folders.knownHosts,
  };
  const [first, ...rest] = command;
  return [
    ...['ssh', '-F', 'none', '-i', folders.privateKey],
    ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    `${user}@${address}`,
    ...(first === undefined ? [] : ['--', rest.length === 0 ? first : quote(command)]),
  ];
}

/** True once an SSH server says its name; costs no key exchange. */
export async function answersSsh(address: string, signal: AbortSignal): Promise<boolean> {
  return await new Promise(resolve => {
    const socket = connect({host: address, port: 22, signal});
    const end = (answers: boolean) => {
      socket.destroy();
      resolve(answers);
    };
    socket.setTimeout(BANNER_TIMEOUT_MS, () => {
      end(false);
    });
    socket.once('data', data => {
      end(data.toString('latin1').startsWith('SSH-'));
    });
    socket.once('error', () => {
      end(false);
    });
    socket.once('close', () => {
      end(false);
    });
  });
}

/** Makes OpenSSH trust exactly this key for the host, whatever was trusted before. */
export async function trustHostKey(
  folders: LabFolders,
  {address, hostKey}: {readonly address: string; readonly hostKey: string},
): Promise<void> {
  const known = await readFile(folders.knownHosts, 'utf8').catch(() => '');
  const line = `${address} ${hostKey}`;
  if (!known.split('\n').includes(line)) await appendFile(folders.knownHosts, `${line}\n`);
}
