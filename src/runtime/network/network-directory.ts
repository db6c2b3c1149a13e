import {type FSWatcher, watch} from 'node:fs';
import {open, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno, messageOf} from '#shared/errors';
import type {Log} from '../log.ts';
import {type NetworkConfiguration, parseNetworkConfiguration} from './cni-configuration.ts';

export interface NetworkDirectory {
  /** The first valid network by file name; undefined while there is none. */
  readonly network: () => NetworkConfiguration | undefined;
  /** Why there is none, for people. */
  readonly problem: () => string;
  /** Reads the directory again; changes are otherwise noticed by themselves. */
  readonly refresh: () => Promise<void>;
  readonly close: () => void;
}

const FILE_BYTES_MAX = 1024 * 1024;
const FILES_MAX = 256;
const EXTENSION = /\.(conflist|conf|json)$/;
const DEBOUNCE_MS = 50;
/** For a directory that does not exist yet, and for changes that no event tells of. */
const RESCAN_MS = 2_000;

/** Follows a directory of CNI networks, e.g. `/etc/cni/net.d`, as files come and go. */
export function openNetworkDirectory(directory: string, log: Log): NetworkDirectory {
  let current: NetworkConfiguration | undefined;
  let problem = `${directory} has not been read yet`;
  let watcher: FSWatcher | undefined;
  let debounce: NodeJS.Timeout | undefined;
  let isClosed = false;

  const refresh = async () => {
    const found = await readNetworks(directory, log);
    if (isClosed) return;
    if (found.network !== undefined && current?.name !== found.network.name) {
      log.info('pod network found', {name: found.network.name, directory});
    }
    current = found.network;
    problem = found.problem;
    watchDirectory();
  };
  const soon = () => {
    clearTimeout(debounce);
    debounce = setTimeout(() => void refresh(), DEBOUNCE_MS);
  };
  const watchDirectory = () => {
    if (watcher !== undefined) return;
    try {
      watcher = watch(directory, {persistent: false}, soon);
      watcher.on('error', () => {
        watcher?.close();
        watcher = undefined;
      });
    } catch {
      // The directory is not there yet: the next scan finds it.
    }
  };
  const rescan = setInterval(() => {
    if (current === undefined || watcher === undefined) void refresh();
  }, RESCAN_MS);
  rescan.unref();
  return {
    network: () => current,
    problem: () => problem,
    refresh,
    close() {
      isClosed = true;
      clearInterval(rescan);
      clearTimeout(debounce);
      watcher?.close();
    },
  };
}

async function readNetworks(directory: string, log: Log) {
  let names: readonly string[];
  try {
    names = (await readdir(directory)).filter(name => EXTENSION.test(name)).sort();
  } catch (error) {
    const reason = isErrno(error, 'ENOENT') ? 'does not exist' : messageOf(error);
    return {network: undefined, problem: `${directory} ${reason}`};
  }
  let problem = `no network configuration was found in ${directory}`;
  for (const name of names.slice(0, FILES_MAX)) {
    const path = join(directory, name);
    try {
      const network = parseNetworkConfiguration(path, await readLimited(path));
      return {network, problem: ''};
    } catch (error) {
      if (isErrno(error, 'ENOENT')) continue;
      problem = messageOf(error);
      log.once(`${path} ${problem}`, 'network configuration left out', {path, problem});
    }
  }
  return {network: undefined, problem};
}

async function readLimited(path: string): Promise<string> {
  await using file = await open(path);
  const {size} = await file.stat();
  if (size > FILE_BYTES_MAX) throw new Error(`${path} has ${size} bytes, too many for a network`);
  return await file.readFile('utf8');
}
