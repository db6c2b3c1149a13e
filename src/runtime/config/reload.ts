import {isDeepStrictEqual} from 'node:util';
import type {RuntimeConfig} from './runtime-config.ts';

/**
 * Keys that a running daemon takes over on SIGHUP. The file behind `registriesFile` is read anew too,
 * also where the path stays; `authFile` is read by every pull.
 */
export const RELOADABLE_KEYS = [
  'logLevel',
  'pinnedImages',
  'registriesFile',
  'authFile',
] as const satisfies readonly (keyof RuntimeConfig)[];

export interface Reload {
  /** What to run with from now on: the old configuration with the reloadable keys of the new one. */
  readonly config: RuntimeConfig;
  /** Keys that were taken over, by name. */
  readonly taken: readonly string[];
  /** Keys whose change waits for a restart, by name. */
  readonly waiting: readonly string[];
}

/** Decides what of a new configuration a running daemon can take over. */
export function reloadable(old: RuntimeConfig, next: RuntimeConfig): Reload {
  const keys = Object.keys(next) as (keyof RuntimeConfig)[];
  const changed = keys.filter(key => !isDeepStrictEqual(old[key], next[key]));
  const canReload = (key: keyof RuntimeConfig): boolean =>
    (RELOADABLE_KEYS as readonly string[]).includes(key);
  const {logLevel, pinnedImages, registriesFile, authFile} = next;
  return {
    config: {...old, logLevel, pinnedImages, registriesFile, authFile},
    taken: changed.filter(canReload),
    waiting: changed.filter(key => !canReload(key) && !DERIVED.includes(key)),
  };
}

/** Not keys of the file: the one that decides them is named instead. */
const DERIVED: readonly string[] = ['socket', 'exitsDirectory'] satisfies (keyof RuntimeConfig)[];
