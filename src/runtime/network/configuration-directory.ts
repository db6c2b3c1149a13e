import {type FSWatcher, watch} from 'node:fs';
import {mkdir, readdir, readFile, stat} from 'node:fs/promises';
import {extname, join} from 'node:path';
import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {type NetworkConfiguration, parseNetworkConfiguration} from './configuration.ts';

const EXTENSIONS = ['.conflist', '.conf', '.json'];
const FILES_MAX = 100;
const FILE_BYTES_MAX = 1024 * 1024;
/** Installers write in several steps; one look after the last of them is enough. */
const DEBOUNCE_MS = 100;

export interface FoundConfiguration {
  readonly path: string;
  readonly configuration: NetworkConfiguration;
}

/**
 * The first valid network configuration of a directory, by name. Invalid ones before it are
 * logged and passed over, as every other runtime does.
 *
 * @returns `undefined` when there is none, or no directory
 */
export async function findConfiguration(
  directory: string,
  log: Log,
): Promise<FoundConfiguration | undefined> {
  const names = (await readdir(directory).catch(() => []))
    .filter(name => EXTENSIONS.includes(extname(name)))
    .sort();
  for (const name of names.slice(0, FILES_MAX)) {
    const path = join(directory, name);
    try {
      return {path, configuration: parseNetworkConfiguration(await readLimited(path))};
    } catch (error) {
      log.warn('network configuration passed over', {path, problem: messageOf(error)});
    }
  }
  return undefined;
}

async function readLimited(path: string): Promise<string> {
  const file = await stat(path);
  if (!file.isFile()) throw new Error('it is not a file');
  if (file.size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`);
  return await readFile(path, 'utf8');
}

/**
 * Calls `onChange` now and after changes in a directory, which is made when missing: an add-on
 * that comes later must be seen. Where the machine has no watches left, only the first call comes.
 *
 * @returns a function that ends the watch
 */
export function watchConfigurations(
  directory: string,
  {onChange, log}: {readonly onChange: () => void; readonly log: Log},
): () => void {
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const cannotWatch = (error: unknown): void => {
    const fields = {directory, problem: messageOf(error)};
    log.once('cni-watch', 'network configurations are not watched, only looked at', fields);
  };
  const start = async (): Promise<void> => {
    await mkdir(directory, {recursive: true});
    if (closed) return;
    watcher = watch(directory, () => {
      clearTimeout(timer);
      timer = setTimeout(onChange, DEBOUNCE_MS);
    }).on('error', cannotWatch);
  };
  void start()
    .catch(cannotWatch)
    .finally(() => {
      if (!closed) onChange();
    });
  return () => {
    closed = true;
    clearTimeout(timer);
    watcher?.close();
  };
}
