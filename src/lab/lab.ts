import {CHECKOUT, labFolders} from './folders.ts';
import type {OnLabEvent} from './events.ts';
import {removeLab} from './lab-down.ts';
import {readLabStatus, type LabStatus} from './lab-status.ts';
import {raiseLab} from './lab-up.ts';
import {runFault, type FaultName, setRegistry, sshToHost} from './faults.ts';
import {isOwnLabAlive} from './lock.ts';

/** Hosts that `up` makes when it is not told how many. */
export const HOST_COUNT_DEFAULT = 3;

/** One checkout's lab. A machine has at most one lab at a time. */
export interface Lab {
  /** The cluster.yaml that `up` writes, with hosts.yaml beside it. */
  readonly clusterFile: string;
  /** True while this checkout's lab has any process; false for another checkout's. */
  readonly isUp: () => Promise<boolean>;
  /**
   * Makes the lab, adds hosts to it, or starts hosts of it that are stopped. Returns when every
   * host answers SSH and its systemd has finished booting. Never removes a host.
   */
  readonly up: (options: {
    /** Default: as many as there are, {@link HOST_COUNT_DEFAULT} in a new lab. */
    readonly hosts?: number;
    readonly signal: AbortSignal;
    readonly onEvent: OnLabEvent;
  }) => Promise<LabStatus>;
  /** Removes all of it; true if there was anything. Images in the registry's storage stay on disk. */
  readonly down: (options: {
    readonly signal: AbortSignal;
    readonly onEvent: OnLabEvent;
  }) => Promise<boolean>;
  readonly status: (signal: AbortSignal) => Promise<LabStatus>;
  /** Does something to a host, or to `site`, that the world might do; returns when it is done. */
  readonly fault: (name: FaultName, target: string, signal: AbortSignal) => Promise<void>;
  /** Ends the registry, the package repository stays; for tests of what needs a registry. */
  readonly stopRegistry: (signal: AbortSignal) => Promise<void>;
  readonly startRegistry: (signal: AbortSignal) => Promise<void>;
  /** OpenSSH's argv for a command on a host (a shell when empty), as root unless told otherwise. */
  readonly sshCommand: (
    host: string,
    command: readonly string[],
    user?: string,
  ) => Promise<readonly string[]>;
}

/** @param checkout the folder whose `.lab` holds the lab's state */
export function createLab(checkout: string = CHECKOUT): Lab {
  const folders = labFolders(checkout);
  return {
    clusterFile: folders.clusterFile,
    isUp: () => isOwnLabAlive(checkout),
    up: options => raiseLab({...options, folders, hostCountDefault: HOST_COUNT_DEFAULT}),
    down: options => removeLab({...options, folders}),
    status: signal => readLabStatus(folders, signal),
    fault: (name, target, signal) => runFault({name, target, folders, signal}),
    stopRegistry: signal => setRegistry('stopped', {folders, signal}),
    startRegistry: signal => setRegistry('running', {folders, signal}),
    sshCommand: (host, command, user = 'root') => sshToHost({folders, host, command, user}),
  };
}
