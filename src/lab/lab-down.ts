import {existsSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';
import {CodedError} from '#shared/errors';
import {groupProcesses, hasGroup, killGroup, removeGroup} from './cgroups.ts';
import type {LabErrorCode} from './errors.ts';
import {labStep, type OnLabEvent} from './events.ts';
import type {LabFolders} from './folders.ts';
import {checkOwner, LAB_RUN_FOLDER, removeRunFolder, withOperation} from './lock.ts';
import {machineCommand} from './machine-command.ts';
import {restoreInotifyLimit} from './machine-settings.ts';
import {requireRoot} from './machine-tools.ts';
import {labNames} from './names.ts';
import {labNamespaces, removeNetwork} from './network.ts';

/** See `Lab.down`. It looks at what is there, not at what `up` should have made. */
export async function removeLab(options: {
  readonly folders: LabFolders;
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
}): Promise<boolean> {
  const {folders, signal, onEvent} = options;
  requireRoot();
  return await withOperation(async () => {
    await checkOwner(folders.checkout);
    const left = [...(await leftovers()), ...stateFiles(folders).filter(file => existsSync(file))];
    if (left.length === 0) return false;
    await labStep('remove hosts and site', onEvent, () => removeFromMachine(signal));
    await labStep('remove disks', onEvent, () => removeFiles(folders, signal));
    return true;
  });
}

/**
 * Removes the lab's processes, control groups, namespaces, interfaces, settings and lock, whoever's
 * they are. Mounts and packet filter rules live in the hosts' namespaces and end with them.
 *
 * @throws CodedError `ERR_LAB_NOT_REMOVED` naming what is left
 */
export async function removeFromMachine(signal: AbortSignal): Promise<void> {
  let failure: unknown;
  try {
    await killGroup('', signal);
    await removeGroup('', signal);
    await removeNetwork(signal);
    await restoreInotifyLimit();
    await removeRunFolder();
  } catch (error) {
    signal.throwIfAborted();
    failure = error;
  }
  const left = await leftovers();
  if (left.length === 0 && failure === undefined) return;
  throw new CodedError<LabErrorCode>(
    'ERR_LAB_NOT_REMOVED',
    `the lab could not be removed whole; left: ${left.join(', ')}`,
    {
      hint: 'run "provision lab down" again; processes in state D (ps) hold on to what is left',
      cause: failure,
    },
  );
}

async function leftovers(): Promise<readonly string[]> {
  const processes = [...(await groupProcesses(''))];
  return [
    ...processes.map(processId => `process ${processId}`),
    ...((await hasGroup('')) ? [`control group ${labNames.cgroup}`] : []),
    ...(await labNamespaces()).map(name => `network namespace ${name}`),
    ...(networkInterfaces()[labNames.bridge] === undefined ? [] : [`interface ${labNames.bridge}`]),
    ...(existsSync(LAB_RUN_FOLDER) ? [LAB_RUN_FOLDER] : []),
  ];
}

/** What a lab leaves in the checkout while it exists; the registry's images are not among it. */
function stateFiles(folders: LabFolders): readonly string[] {
  return [
    folders.hosts,
    folders.clusterFile,
    folders.hostsFile,
    folders.imageFile,
    folders.privateKey,
    `${folders.privateKey}.pub`,
    folders.knownHosts,
    folders.repositoryKey,
  ];
}

async function removeFiles(folders: LabFolders, signal: AbortSignal): Promise<void> {
  await machineCommand(['rm', '-rf', '--one-file-system', ...stateFiles(folders)], {signal});
  const images = existsSync(folders.registryStorage) ? await readdir(folders.registryStorage) : [];
  if (images.length === 0) await machineCommand(['rm', '-rf', folders.root], {signal});
}
