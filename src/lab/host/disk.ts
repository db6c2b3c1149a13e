import {randomUUID} from 'node:crypto';
import {existsSync} from 'node:fs';
import {copyFile, mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type HostIdentity, SITE_ADDRESS} from '../addresses.ts';
import type {LabFolders} from '../folders.ts';
import {machineCommand} from '../machine-command.ts';

export interface HostDisk {
  readonly identity: HostIdentity;
  /** Type and key in OpenSSH's form. */
  readonly hostKey: string;
}

/**
 * Returns the host's disk, and makes it first where it is missing: an own copy of /var, and what
 * makes this host different from the others (name, machine id, SSH host key).
 */
export async function ensureHostDisk(options: {
  readonly identity: HostIdentity;
  readonly folders: LabFolders;
  /** Root file system that all hosts share. */
  readonly base: string;
  readonly signal: AbortSignal;
}): Promise<HostDisk> {
  const {identity, folders, base, signal} = options;
  const {root} = folders.host(identity.name);
  if (!existsSync(root)) {
    const unfinished = join(folders.hosts, `.new-${identity.name}`);
    await rm(unfinished, {recursive: true, force: true});
    await fillDisk({...options, target: unfinished});
    await rename(unfinished, root);
  }
  return {identity, hostKey: await readHostKey(folders, identity.name)};

  async function fillDisk({target}: {readonly target: string}): Promise<void> {
    const etc = join(target, 'upper', 'etc');
    await mkdir(join(etc, 'ssh'), {recursive: true});
    await mkdir(join(target, 'work'));
    await mkdir(join(target, 'root'));
    const key = join(etc, 'ssh', 'ssh_host_ed25519_key');
    await Promise.all([
      machineCommand(['cp', '-a', '--reflink=auto', join(base, 'var'), join(target, 'var')], {
        signal,
      }),
      machineCommand(
        ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', identity.name, '-f', key],
        {signal},
      ),
      copyFile(`${folders.privateKey}.pub`, join(etc, 'ssh', 'lab_authorized_keys')),
      writeFile(join(etc, 'hostname'), `${identity.name}\n`),
      writeFile(join(etc, 'hosts'), hostsFile(identity)),
      // The site has no name server: a question is refused at once instead of timing out.
      writeFile(join(etc, 'resolv.conf'), `nameserver ${SITE_ADDRESS}\n`),
      writeFile(join(etc, 'machine-id'), `${randomUUID().replaceAll('-', '')}\n`, {mode: 0o444}),
    ]);
  }
}

/** The public key that the host's SSH server shows. */
export async function readHostKey(folders: LabFolders, host: string): Promise<string> {
  const file = join(folders.host(host).upper, 'etc', 'ssh', 'ssh_host_ed25519_key.pub');
  const [type = '', key = ''] = (await readFile(file, 'utf8')).split(' ');
  return `${type} ${key}`;
}

function hostsFile({name, address}: HostIdentity): string {
  return `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n${address} ${name}\n`;
}
