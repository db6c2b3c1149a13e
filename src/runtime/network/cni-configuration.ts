import {z} from 'zod';
import {CodedError, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** One plugin of a chain, with everything that is only its own business. */
export interface PluginConfiguration {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean | undefined>>;
  readonly [key: string]: unknown;
}

/** A network as the plugins of its chain see it (CNI 1.1.0 §1). */
export interface NetworkConfiguration {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfiguration[];
}

const PLUGINS_MAX = 32;
const NAME_MAX = 256;
/** Of 0.3.1 and later we know the results; before, they had another shape. */
const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

const plugin = z.looseObject({
  // A name, never a path: it is looked up in the directories of plugins.
  type: z.string().regex(/^[\w.-]+$/, 'is the name of a program'),
  capabilities: z.record(z.string(), z.boolean()).optional(),
});
const base = {
  cniVersion: z.enum(VERSIONS).default('0.3.1'),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/, 'starts with a letter or digit')
    .max(NAME_MAX),
};
const list = z.looseObject({...base, plugins: z.array(plugin).min(1).max(PLUGINS_MAX)});
const single = plugin.extend(base);

/**
 * Reads a `.conflist`, or a `.conf` or `.json` with one plugin, as a list.
 *
 * @throws CodedError ERR_NETWORK_CONFIGURATION_INVALID
 */
export function parseNetworkConfiguration(path: string, text: string): NetworkConfiguration {
  try {
    const value: unknown = JSON.parse(text);
    if (path.endsWith('.conflist')) {
      const {cniVersion, name, plugins} = list.parse(value);
      return {cniVersion, name, plugins} as NetworkConfiguration; // zod types absent as undefined
    }
    const {cniVersion, name, ...own} = single.parse(value);
    return {cniVersion, name, plugins: [own]} as NetworkConfiguration;
  } catch (error) {
    const found =
      error instanceof z.ZodError
        ? error.issues.map(({path: at, message}) => `${at.join('.')}: ${message}`).join('; ')
        : messageOf(error);
    throw new CodedError<RuntimeErrorCode>(
      'ERR_NETWORK_CONFIGURATION_INVALID',
      `${path} is no CNI network: ${found.slice(0, 500)}`,
      {hint: 'repair the file, or remove it so that the next one by name is taken'},
    );
  }
}

/** What a plugin is given on stdin: the network's own keys, the chain's last result, arguments. */
export function pluginInput(
  {cniVersion, name}: NetworkConfiguration,
  configuration: PluginConfiguration,
  {
    prevResult,
    runtimeConfig,
  }: {prevResult?: unknown; runtimeConfig: Readonly<Record<string, unknown>>},
): Readonly<Record<string, unknown>> {
  const {capabilities = {}, ...own} = configuration;
  const asked = Object.entries(runtimeConfig).filter(([key]) => capabilities[key] === true);
  return {
    ...own,
    cniVersion,
    name,
    ...(asked.length > 0 && {runtimeConfig: Object.fromEntries(asked)}),
    ...(prevResult !== undefined && {prevResult}),
  };
}
