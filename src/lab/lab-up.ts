import {existsSync} from 'node:fs';
import {mkdir, readdir, readFile} from 'node:fs/promises';
import {totalmem} from 'node:os';
import {writeFileAtomic} from '#shared/files';
import {formatYaml} from '#shared/yaml';
import {hostIdentities, hostIdentity, hostNumber} from './addresses.ts';
import type {BaseImage} from './base/base-image.ts';
import {ensureLabImage, refuseOverlay} from './base/lab-image.ts';
import {labStep, type OnLabEvent} from './events.ts';
import type {LabFolders} from './folders.ts';
import {ensureHostDisk, type HostDisk} from './host/disk.ts';
import {ensureKernelModules} from './host/kernel-modules.ts';
import {startHost, waitUntilBooted} from './host/lab-host.ts';
import {clusterDocument, hostsDocument} from './inventory-files.ts';
import {removeFromMachine} from './lab-down.ts';
import {readLabStatus, type LabStatus} from './lab-status.ts';
import {checkOwner, withOperation, writeOwner} from './lock.ts';
import {machineCommand} from './machine-command.ts';
import {raiseInotifyLimit} from './machine-settings.ts';
import {ensureMachineTools} from './machine-tools.ts';
import {ensureNetwork} from './network.ts';
import {startPackages, startRegistry} from './site/site.ts';
import {trustHostKey} from './ssh.ts';

export interface RaiseLabOptions {
  readonly folders: LabFolders;
  /** Hosts that the lab shall have at least. */
  readonly hosts?: number;
  readonly hostCountDefault: number;
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
}

/** See `Lab.up`. Every step finds its work done or does it, so a run that was stopped is repeated. */
export async function raiseLab(options: RaiseLabOptions): Promise<LabStatus> {
  const {folders, signal, onEvent} = options;
  await ensureMachineTools({signal, onEvent});
  return await withOperation(async () => {
    const owner = await checkOwner(folders.checkout);
    if (owner.kind === 'abandoned') {
      onEvent({
        kind: 'note',
        text: `taking over the machine from ${owner.owner}, whose lab is dead`,
      });
      await removeFromMachine(signal);
    }
    await mkdir(folders.hosts, {recursive: true});
    await refuseOverlay(folders.root);
    await writeOwner(folders.checkout);
    const image = await ensureLabImage(folders, {signal, onEvent});
    await ensureKernelModules(image.base, signal);
    await ensureLogin(folders, signal);
    await raiseInotifyLimit();
    await ensureNetwork(signal);
    const numbers = hostNumbers({
      existing: await readdir(folders.hosts),
      wanted: options.hosts,
      byDefault: options.hostCountDefault,
    });
    await Promise.all([
      labStep('site: registry and package repository', onEvent, () =>
        startSite({folders, image, signal}),
      ),
      labStep(`hosts: ${numbers.map(n => hostIdentity(n).name).join(' ')}`, onEvent, () =>
        startHosts({folders, image, numbers, signal}),
      ),
    ]);
    return await readLabStatus(folders, signal);
  });
}

/** The hosts that the lab shall have: those it has, and as many as wanted. */
export function hostNumbers(given: {
  /** Names in the lab's folder of hosts. */
  readonly existing: readonly string[];
  readonly wanted: number | undefined;
  readonly byDefault: number;
}): readonly number[] {
  const existing = given.existing.flatMap(name => hostNumber(name) ?? []);
  const count = given.wanted ?? (existing.length === 0 ? given.byDefault : 0);
  const wanted = hostIdentities(count).flatMap(({name}) => hostNumber(name) ?? []);
  return [...new Set([...existing, ...wanted])].sort((a, b) => a - b);
}

async function ensureLogin(folders: LabFolders, signal: AbortSignal): Promise<void> {
  if (existsSync(folders.privateKey)) return;
  const argv = [
    'ssh-keygen',
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    'lab',
    '-f',
    folders.privateKey,
  ];
  await machineCommand(argv, {signal});
}

async function startSite(site: Parameters<typeof startRegistry>[0]): Promise<void> {
  await Promise.all([startRegistry(site), startPackages(site)]);
}

async function startHosts(options: {
  readonly folders: LabFolders;
  readonly image: BaseImage;
  readonly numbers: readonly number[];
  readonly signal: AbortSignal;
}): Promise<void> {
  const {folders, image, numbers, signal} = options;
  const {base} = image;
  const disks = await Promise.all(
    numbers.map(async number => {
      const disk = await ensureHostDisk({identity: hostIdentity(number), folders, base, signal});
      await startHost({identity: disk.identity, folders}, {base, signal});
      return disk;
    }),
  );
  for (const {identity, hostKey} of disks) {
    await trustHostKey(folders, {address: identity.address, hostKey});
  }
  await writeInventory(folders, disks);
  await Promise.all(disks.map(({identity}) => waitUntilBooted({identity, folders}, signal)));
}

/** Leaves what the user wrote: cluster.yaml once it exists, hosts.yaml while it has all hosts. */
async function writeInventory(folders: LabFolders, disks: readonly HostDisk[]): Promise<void> {
  if (!existsSync(folders.clusterFile)) {
    await writeFileAtomic(folders.clusterFile, formatYaml(clusterDocument(totalmem())));
  }
  const written = await readFile(folders.hostsFile, 'utf8').catch(() => ''); // a new lab
  if (disks.every(({hostKey}) => written.includes(hostKey))) return;
  const hosts = disks.map(({identity: {name, address}, hostKey}) => ({name, address, hostKey}));
  await writeFileAtomic(folders.hostsFile, formatYaml(hostsDocument(hosts)));
}
