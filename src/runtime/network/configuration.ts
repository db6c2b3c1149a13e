import {CodedError, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** One program of a network's chain, with the keys that only it understands. */
export interface PluginConfiguration {
  /** Name of the program, without a slash. */
  readonly type: string;
  /** Capability → whether it wants that part of the pod, e.g. `portMappings`. */
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

/** How pods get their network: the chain of plugins, first to last. */
export interface NetworkConfiguration {
  readonly name: string;
  /** The version that all of the chain speaks with us. */
  readonly cniVersion: string;
  /** True when the author wants nothing of other runtimes' pods removed (CNI 1.1 `disableGC`). */
  readonly disableGC: boolean;
  readonly plugins: readonly PluginConfiguration[];
}

/** Every published version, oldest first (cni `SPEC.md`). */
const VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof VERSIONS)[number];

/** CNI 1.1 "Configuration format": also the form of a container id. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const VERSION_WITHOUT_KEY = '0.2.0';
const PLUGINS_MAX = 32;

/**
 * Parses a network configuration, either a list of plugins (`.conflist`) or, as before CNI 1.0,
 * one plugin by itself (`.conf`, `.json`).
 *
 * @throws CodedError `ERR_NETWORK_CONFIGURATION_INVALID` with the first mistake
 */
export function parseNetworkConfiguration(text: string): NetworkConfiguration {
  const configuration = parseObject(text);
  const {name, cniVersion = VERSION_WITHOUT_KEY, cniVersions = [], plugins} = configuration;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw invalid(`"name" is ${JSON.stringify(name)}, not a name of letters, digits and "_.-"`);
  }
  return {
    name,
    cniVersion: chooseVersion(cniVersion, cniVersions),
    disableGC: configuration['disableGC'] === true,
    plugins: parsePlugins(plugins ?? [withoutListKeys(configuration)]),
  };
}

/** True when `version` is at least `minimum`; an unknown one is older than all. */
export function isAtLeast(version: string, minimum: CniVersion): boolean {
  return VERSIONS.findIndex(known => known === version) >= VERSIONS.indexOf(minimum);
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw invalid(`it is not JSON: ${messageOf(error)}`);
  }
  if (!isRecord(parsed)) throw invalid('it is not a JSON object');
  return parsed;
}

/** The highest version that both the author and we know (CNI 1.1, `cniVersions`). */
function chooseVersion(cniVersion: unknown, cniVersions: unknown): string {
  const offered: readonly unknown[] = [cniVersion].concat(cniVersions);
  const chosen = VERSIONS.findLast(version => offered.includes(version));
  if (chosen !== undefined) return chosen;
  throw invalid(`"cniVersion" is ${JSON.stringify(cniVersion)}; known are ${VERSIONS.join(', ')}`);
}

function parsePlugins(plugins: unknown): readonly PluginConfiguration[] {
  if (!Array.isArray(plugins) || plugins.length === 0 || plugins.length > PLUGINS_MAX) {
    throw invalid(`"plugins" is not a list of 1 to ${PLUGINS_MAX} plugins`);
  }
  return plugins.map((plugin: unknown, index) => {
    if (!isRecord(plugin)) throw invalid(`plugins[${index}] is not an object`);
    const {type, capabilities} = plugin;
    if (typeof type !== 'string' || !NAME.test(type)) {
      throw invalid(`plugins[${index}].type is ${JSON.stringify(type)}, not a program's name`);
    }
    if (capabilities !== undefined && !isRecord(capabilities)) {
      throw invalid(`plugins[${index}].capabilities is not an object`);
    }
    return plugin as PluginConfiguration;
  });
}

/** A single plugin carries its network's name and version itself; the call adds them back. */
function withoutListKeys(configuration: Readonly<Record<string, unknown>>): unknown {
  const {name: _name, cniVersion: _version, cniVersions: _versions, ...plugin} = configuration;
  return plugin;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(problem: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_NETWORK_CONFIGURATION_INVALID', problem, {
    hint: 'correct the file, or install the network add-on of the cluster again',
  });
}
