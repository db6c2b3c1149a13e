import {existsSync} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {networkInterfaces} from 'node:os';
import {join} from 'node:path';
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
    const left = [...(await leftovers()), ...(await stateFiles(folders))];
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

/** What a lab has in the checkout, apart from the registry's images. */
async function stateFiles(folders: LabFolders): Promise<readonly string[]> {
  const below = async (folder: string) =>
    (await readdir(folder).catch(() => [])).map(name => join(folder, name)); // no lab
  const files = [...(await below(folders.root)), ...(await below(folders.site))];
  return files.filter(file => ![folders.site, folders.registryStorage].includes(file));
}

async function removeFiles(folders: LabFolders, signal: AbortSignal): Promise<void> {
  const files = await stateFiles(folders);
  const images = await readdir(folders.registryStorage).catch(() => []); // nothing was pushed
  const all = images.length === 0 ? [folders.root] : files;
  await machineCommand(['rm', '-rf', '--one-file-system', ...all], {signal});
}
