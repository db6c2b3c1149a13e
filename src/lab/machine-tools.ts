import {aptGet} from '#shared/apt';
import {CodedError} from '#shared/errors';
import {hasCommand} from '#shared/local-process';
import type {LabErrorCode} from './errors.ts';
import {labStep, type OnLabEvent} from './events.ts';
import {quoteOutput} from './machine-command.ts';

/** What the lab calls on the machine, and the Debian package that has it. None starts a service. */
const PACKAGE_OF_COMMAND: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  ip: 'iproute2',
  sysctl: 'procps',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  gpg: 'gpg',
  gpgconf: 'gpgconf',
  'gpg-agent': 'gpg-agent',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
};

/**
 * Installs with apt-get what the lab needs and the machine lacks.
 *
 * @throws CodedError `ERR_LAB_NOT_LINUX`, `ERR_LAB_NEEDS_ROOT`, `ERR_LAB_TOOL_MISSING`,
 *   `ERR_LAB_NO_PACKAGE_SOURCE`
 */
export async function ensureMachineTools({
  signal,
  onEvent,
}: {
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
}): Promise<void> {
  requireRoot();
  const packages = missingPackages(hasCommand);
  if (packages.length === 0) return;
  const install = ['install', '--yes', '--no-install-recommends', ...packages];
  if (!hasCommand('apt-get')) {
    throw new CodedError<LabErrorCode>(
      'ERR_LAB_TOOL_MISSING',
      `the lab needs ${packages.join(', ')}, and this machine has no apt-get`,
      {hint: 'install these programs, or use the Vagrantfile on this distribution'},
    );
  }
  await labStep(`install ${packages.join(' ')}`, onEvent, async () => {
    const {isDone, isUpdateFailed, said} = await aptGet(install, {signal});
    if (isDone) return;
    throw new CodedError<LabErrorCode>(
      isUpdateFailed ? 'ERR_LAB_NO_PACKAGE_SOURCE' : 'ERR_LAB_TOOL_MISSING',
      `apt-get could not install ${packages.join(', ')}: ${quoteOutput(said)}`,
      {hint: `run "apt-get update && apt-get ${install.join(' ')}" by hand and read its message`},
    );
  });
}

/** @throws CodedError `ERR_LAB_NOT_LINUX`, `ERR_LAB_NEEDS_ROOT` */
export function requireRoot(): void {
  if (process.platform !== 'linux') {
    throw new CodedError<LabErrorCode>(
      'ERR_LAB_NOT_LINUX',
      `the lab makes hosts from Linux namespaces, and this machine runs ${process.platform}`,
      {hint: 'use "vagrant up" with the project\'s Vagrantfile'},
    );
  }
  if (process.getuid?.() !== 0) {
    throw new CodedError<LabErrorCode>(
      'ERR_LAB_NEEDS_ROOT',
      `the lab makes namespaces and mounts; it was started by user id ${String(process.getuid?.())}, not root`,
      {hint: 'run the same command with sudo, or use the Vagrantfile'},
    );
  }
}

/** Packages for the commands that `has` does not find, each once. */
export function missingPackages(has: (command: string) => boolean): readonly string[] {
  const missing = Object.entries(PACKAGE_OF_COMMAND).filter(([command]) => !has(command));
  return [...new Set(missing.map(([, name]) => name))];
}
