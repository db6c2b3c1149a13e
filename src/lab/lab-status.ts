import {readdir} from 'node:fs/promises';
import {hostIdentity, hostNumber, SITE_ADDRESS} from './addresses.ts';
import {groupMemoryBytes} from './cgroups.ts';
import type {LabFolders} from './folders.ts';
import {type HostState, hostState} from './host/lab-host.ts';
import {REGISTRY_URL} from './inventory-files.ts';
import {isOwnLabAlive, readOwner} from './lock.ts';
import {labNames} from './names.ts';
import {isCableUp} from './network.ts';
import {isServiceRunning} from './site/site.ts';

/** The lab as it is now. */
export interface LabStatus {
  readonly up: boolean;
  /** The checkout whose lab the machine has; null for none. */
  readonly owner: string | null;
  readonly clusterFile: string;
  readonly hosts: readonly LabHostStatus[];
  readonly site: {
    readonly address: string;
    readonly registryUrl: string;
    readonly registry: ServiceState;
    readonly packages: ServiceState;
    readonly cable: CableState;
  };
}

export interface LabHostStatus {
  readonly name: string;
  readonly address: string;
  readonly state: HostState;
  readonly cable: CableState;
  /** Page cache included; null for a stopped host. */
  readonly memoryBytes: number | null;
}

type ServiceState = 'running' | 'stopped';
type CableState = 'plugged' | 'cut';

/** Reads the state of this checkout's lab; all hosts stopped and `up` false when there is none. */
export async function readLabStatus(folders: LabFolders, signal: AbortSignal): Promise<LabStatus> {
  const names = await readdir(folders.hosts).catch(() => []); // no lab
  const numbers = names.flatMap(name => hostNumber(name) ?? []).sort((a, b) => a - b);
  const up = await isOwnLabAlive(folders.checkout);
  const cable = async (name: string): Promise<CableState> =>
    up && (await isCableUp(name, signal)) ? 'plugged' : 'cut';
  const service = async (group: string): Promise<ServiceState> =>
    up && (await isServiceRunning(group)) ? 'running' : 'stopped';
  return {
    up,
    owner: (await readOwner()) ?? null,
    clusterFile: folders.clusterFile,
    hosts: await Promise.all(
      numbers.map(async number => {
        const {name, address} = hostIdentity(number);
        return {
          name,
          address,
          state: up ? await hostState(name) : 'stopped',
          cable: await cable(name),
          memoryBytes: (await groupMemoryBytes(name)) ?? null,
        };
      }),
    ),
    site: {
      address: SITE_ADDRESS,
      registryUrl: REGISTRY_URL,
      registry: await service(labNames.registryGroup),
      packages: await service(labNames.packagesGroup),
      cable: await cable('site'),
    },
  };
}
