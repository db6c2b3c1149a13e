import {existsSync} from 'node:fs';
import {readdir, rm, writeFile} from 'node:fs/promises';
import {CodedError} from '#shared/errors';
import {hostIdentity, hostNumber} from './addresses.ts';
import type {BaseImage} from './base/base-image.ts';
import {readLabImage} from './base/lab-image.ts';
import {freezeGroup, thawGroup} from './cgroups.ts';
import type {LabErrorCode} from './errors.ts';
import type {LabFolders} from './folders.ts';
import {
  crashHost, hostState, type HostHandle, rebootHost, refusePaused, startHost, waitUntilBooted,
} from './host/lab-host.ts'; // prettier-ignore
import {requireOwnLab} from './lock.ts';
import {requireRoot} from './machine-tools.ts';
import {labNames} from './names.ts';
import {setCable} from './network.ts';
import {isServiceRunning, startPackages, startRegistry, stopService} from './site/site.ts';
import {sshArguments} from './ssh.ts';

/**
 * What can be done to a host or to the site: `crash` is a power cut, `start` boots again, `reboot`
 * is the host's own; `pause` stops every process where it is until `resume`; `cut` takes the cable
 * out until `heal`.
 */
export const FAULT_NAMES = ['crash', 'start', 'reboot', 'pause', 'resume', 'cut', 'heal'] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

/** The namespace of registry and package repository, as a target of faults. */
export const SITE_TARGET = 'site';

interface Context {
  readonly folders: LabFolders;
  readonly signal: AbortSignal;
}

const SITE_GROUPS = [labNames.registryGroup, labNames.packagesGroup];

/** See `Lab.fault`. */
export async function runFault(
  options: Context & {readonly name: FaultName; readonly target: string},
): Promise<void> {
  const {name, target, folders} = options;
  requireRoot();
  await requireOwnLab(folders.checkout);
  if (target === SITE_TARGET) {
    await siteFaults[name](options);
    return;
  }
  await hostFaults[name]({identity: await findHost(folders, target), folders}, options.signal);
}

/** Stops or starts the registry alone. */
export async function setRegistry(state: 'running' | 'stopped', context: Context): Promise<void> {
  await requireOwnLab(context.folders.checkout);
  if (state === 'stopped') await stopService(labNames.registryGroup, context.signal);
  else await startRegistry({...context, image: await requireImage(context.folders)});
}

/** See `Lab.sshCommand`. */
export async function sshToHost(options: {
  readonly folders: LabFolders;
  readonly host: string;
  readonly user: string;
  readonly command: readonly string[];
}): Promise<readonly string[]> {
  const {folders, host, user, command} = options;
  await requireOwnLab(folders.checkout);
  const {address} = await findHost(folders, host);
  return sshArguments(folders, {address, user, command});
}

type HostFault = (handle: HostHandle, signal: AbortSignal) => Promise<void>;

const hostFaults: Readonly<Record<FaultName, HostFault>> = {
  crash: crashHost,
  start: async (handle, signal) => {
    const {base} = await requireImage(handle.folders);
    await startHost(handle, {base, signal});
    await waitUntilBooted(handle, signal);
  },
  reboot: async (handle, signal) => {
    await requireRunning(handle);
    await refusePaused(handle.identity.name);
    await rebootHost(handle, signal);
    await waitUntilBooted(handle, signal);
  },
  pause: async (handle, signal) => {
    await requireRunning(handle);
    await freezeGroup(handle.identity.name, signal);
  },
  resume: async ({identity}) => {
    await thawGroup(identity.name);
  },
  cut: async ({identity, folders}, signal) => {
    await writeFile(folders.host(identity.name).cut, '');
    if ((await hostState(identity.name)) !== 'stopped')
      await setCable(identity.name, 'down', signal);
  },
  heal: async ({identity, folders}, signal) => {
    await rm(folders.host(identity.name).cut, {force: true});
    if ((await hostState(identity.name)) !== 'stopped') await setCable(identity.name, 'up', signal);
  },
};

const siteFaults: Readonly<Record<FaultName, (context: Context) => Promise<void>>> = {
  crash: stopSite,
  start: startSite,
  reboot: async context => {
    await stopSite(context);
    await startSite(context);
  },
  pause: async ({signal}) => {
    const running: string[] = [];
    for (const group of SITE_GROUPS) if (await isServiceRunning(group)) running.push(group);
    if (running.length === 0) throw notRunning(SITE_TARGET);
    for (const group of running) await freezeGroup(group, signal);
  },
  resume: async () => {
    for (const group of SITE_GROUPS) await thawGroup(group);
  },
  cut: ({signal}) => setCable(SITE_TARGET, 'down', signal),
  heal: ({signal}) => setCable(SITE_TARGET, 'up', signal),
};

async function stopSite({signal}: Context): Promise<void> {
  for (const group of SITE_GROUPS) await stopService(group, signal);
}

async function startSite(context: Context): Promise<void> {
  const image = await requireImage(context.folders);
  await Promise.all([startRegistry({...context, image}), startPackages({...context, image})]);
}

async function findHost(folders: LabFolders, name: string): Promise<HostHandle['identity']> {
  const number = hostNumber(name);
  if (number !== undefined && existsSync(folders.host(name).root)) return hostIdentity(number);
  const names = (await readdir(folders.hosts)).filter(found => hostNumber(found) !== undefined);
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_HOST_UNKNOWN',
    `the lab has no host ${JSON.stringify(name)}; it has ${names.sort().join(', ')}`,
    {hint: 'name one of these hosts, or add hosts with "provision lab up --hosts N"'},
  );
}

async function requireRunning({identity}: HostHandle): Promise<void> {
  if ((await hostState(identity.name)) !== 'stopped') return;
  throw notRunning(identity.name);
}

function notRunning(target: string): CodedError<LabErrorCode> {
  return new CodedError('ERR_LAB_HOST_STOPPED', `${target} is not running`, {
    hint: `run "provision lab start ${target}" first`,
  });
}

async function requireImage(folders: LabFolders): Promise<BaseImage> {
  const image = await readLabImage(folders);
  if (image !== undefined) return image;
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_NOT_UP',
    `${folders.imageFile} does not name a base image that is still in the cache`,
    {hint: 'run "provision lab down", then "provision lab up"'},
  );
}
