import {CodedError, messageOf} from '#shared/errors';
import {parseToml} from '#shared/toml';
import {z} from 'zod';
import type {RuntimeErrorCode} from '../../errors.ts';

/** Where images whose name starts with a prefix come from (containers-registries.conf(5)). */
export interface RegistryRule {
  /**
   * `host[:port][/path][:tag|@digest]`, or `*.domain[/path]`. An addition of ours is `*`: every
   * registry that no other rule names; without a location only its mirrors are asked.
   */
  readonly prefix: string;
  /** Takes the prefix's place; absent: the name stays as it is. */
  readonly location?: string;
  /** Plain HTTP and certificates that nobody knows are accepted. */
  readonly insecure: boolean;
  /** Nothing may come from there, nor from its mirrors. */
  readonly blocked: boolean;
  /** Asked first, in this order. */
  readonly mirrors: readonly Mirror[];
}

export interface Mirror {
  readonly location: string;
  readonly insecure: boolean;
  readonly pullFrom: 'all' | 'digest-only' | 'tag-only';
}

export interface RegistriesConf {
  readonly rules: readonly RegistryRule[];
  /** Hosts to which a short name may belong; undefined where no file says any. */
  readonly searchRegistries: readonly string[] | undefined;
  /** From a short name without tag to a full name without tag. */
  readonly aliases: ReadonlyMap<string, string>;
  /** `enforcing`: a short name that could mean several images is refused. */
  readonly shortNameMode: 'enforcing' | 'permissive' | 'disabled';
}

export const noRegistriesConf: RegistriesConf = {
  rules: [],
  searchRegistries: undefined,
  aliases: new Map(),
  shortNameMode: 'enforcing',
};

/** One file, with what in it means nothing to us. */
export interface RegistriesFile {
  readonly conf: Omit<RegistriesConf, 'shortNameMode'> & {
    readonly shortNameMode: RegistriesConf['shortNameMode'] | undefined;
  };
  readonly unknownKeys: readonly string[];
}

/** The prefix that stands for every registry. */
export const ANY_REGISTRY = '*';
const RULES_MAX = 1_000;
const pullFrom = z.enum(['all', 'digest-only', 'tag-only']);
const mirrorSchema = z.object({
  location: z.string(),
  insecure: z.boolean().default(false),
  'pull-from-mirror': pullFrom.optional(),
});
const ruleSchema = z.object({
  prefix: z.string().default(''),
  location: z.string().default(''),
  insecure: z.boolean().default(false),
  blocked: z.boolean().default(false),
  'mirror-by-digest-only': z.boolean().default(false),
  mirror: z.array(mirrorSchema).max(RULES_MAX).default([]),
});
const fileSchema = z.object({
  'unqualified-search-registries': z.array(z.string()).max(RULES_MAX).optional(),
  'short-name-mode': z.enum(['enforcing', 'permissive', 'disabled', '']).optional(),
  'credential-helpers': z.array(z.string()).optional(),
  'additional-layer-store-auth-helper': z.string().optional(),
  registry: z.array(ruleSchema).max(RULES_MAX).default([]),
  aliases: z.record(z.string(), z.string()).default({}),
});

/**
 * Reads one file in version 2 of the format. Keys that we do not know are reported, not refused:
 * the file belongs to the host, and newer tools read it too.
 *
 * @throws CodedError ERR_REGISTRIES_CONF_INVALID
 */
export function parseRegistriesConf(text: string, path: string): RegistriesFile {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parseToml(text);
  } catch (error) {
    throw invalid(path, messageOf(error));
  }
  if ('registries' in table)
    throw invalid(path, 'it is in version 1 of the format ([registries…])');
  const parsed = fileSchema.safeParse(table);
  if (!parsed.success) throw invalid(path, z.prettifyError(parsed.error));
  const {data} = parsed;
  try {
    return {
      conf: {
        rules: data.registry.map(ruleOf),
        searchRegistries: data['unqualified-search-registries']?.map(hostOf),
        aliases: new Map(Object.entries(data.aliases).map(([name, full]) => aliasOf(name, full))),
        shortNameMode: data['short-name-mode'] === '' ? undefined : data['short-name-mode'],
      },
      unknownKeys: unknownKeysOf(table),
    };
  } catch (error) {
    throw invalid(path, messageOf(error));
  }
}

/**
 * Files in the order in which they are read: a later one replaces lists and modes, rules of the
 * same prefix, and aliases of the same name (an empty alias takes one away).
 *
 * @throws CodedError ERR_REGISTRIES_CONF_INVALID where rules contradict each other
 */
export function mergeRegistriesConf(
  files: readonly RegistriesFile['conf'][],
  path: string,
): RegistriesConf {
  const rules = new Map(files.flatMap(({rules: each}) => each).map(rule => [rule.prefix, rule]));
  const aliases = new Map(files.flatMap(({aliases: each}) => [...each]));
  const problem = contradiction([...rules.values()]);
  if (problem !== undefined) throw invalid(path, problem);
  return {
    rules: [...rules.values()],
    searchRegistries: files.findLast(file => file.searchRegistries !== undefined)?.searchRegistries,
    aliases: new Map([...aliases].filter(([, full]) => full !== '')),
    shortNameMode:
      files.findLast(file => file.shortNameMode !== undefined)?.shortNameMode ??
      noRegistriesConf.shortNameMode,
  };
}

function ruleOf(rule: z.infer<typeof ruleSchema>): RegistryRule {
  const prefix = placeOf(rule.prefix === '' ? rule.location : rule.prefix, 'prefix');
  const isWildcard = prefix === ANY_REGISTRY || prefix.startsWith('*.');
  if (prefix === '' || (rule.location === '' && !isWildcard)) {
    throw new Error(`the rule for "${prefix}" has no location`);
  }
  if (prefix === ANY_REGISTRY && rule.location === '' && rule.mirror.length === 0) {
    throw new Error('the rule for "*" has neither location nor mirrors');
  }
  if (prefix.slice(isWildcard ? 2 : 0).includes('*')) {
    throw new Error(`"${prefix}": a wildcard stands for leading labels only, as in *.example.com`);
  }
  if (rule['mirror-by-digest-only'] && rule.mirror.some(each => each['pull-from-mirror'])) {
    throw new Error(`"${prefix}" sets mirror-by-digest-only and pull-from-mirror at once`);
  }
  const byDefault = rule['mirror-by-digest-only'] ? 'digest-only' : 'all';
  return {
    prefix,
    ...(rule.location !== '' && {location: placeWithHost(rule.location)}),
    insecure: rule.insecure,
    blocked: rule.blocked,
    mirrors: rule.mirror.map(mirror => ({
      location: placeWithHost(mirror.location),
      insecure: mirror.insecure,
      pullFrom: mirror['pull-from-mirror'] ?? byDefault,
    })),
  };
}

function placeOf(text: string, what: string): string {
  if (/^https?:\/\//.test(text)) throw new Error(`${what} "${text}" must have no scheme`);
  if (/\s/.test(text)) throw new Error(`${what} "${text}" has a space`);
  return text.replace(/\/+$/, '');
}

/** A location becomes the start of image names, so its first part has to look like a host. */
function placeWithHost(text: string): string {
  const place = placeOf(text, 'location');
  hostOf(place.split('/')[0] ?? '');
  return place;
}

function hostOf(text: string): string {
  const host = placeOf(text, 'registry');
  if (/^[A-Za-z0-9.[\]:-]+$/.test(host) && (/[.:]/.test(host) || host === 'localhost')) return host;
  throw new Error(`"${host}" is not a registry's host, like registry.example.com or registry:5000`);
}

function aliasOf(name: string, full: string): readonly [string, string] {
  const [host = '', ...path] = full.split('/');
  const isFull = path.length > 0 && !/[:@]/.test(path.join('/'));
  if (/[.:@]/.test(name.split('/')[0] ?? '') || /[:@]/.test(name)) {
    throw new Error(`the alias "${name}" is not a short name without tag`);
  }
  if (full === '') return [name, full];
  if (!isFull) throw new Error(`the alias "${name}" leads to "${full}", not to HOST/NAME`);
  hostOf(host);
  return [name, full];
}

/** One place cannot be safe and unsafe at once, whichever rule leads to it. */
function contradiction(rules: readonly RegistryRule[]): string | undefined {
  const byLocation = new Map<string, RegistryRule>();
  for (const rule of rules) {
    if (rule.location === undefined) continue;
    const other = byLocation.get(rule.location);
    const isEqual = other?.insecure === rule.insecure && other.blocked === rule.blocked;
    if (other !== undefined && !isEqual) {
      return `"${rule.location}" has different settings of insecure or blocked in two rules`;
    }
    byLocation.set(rule.location, rule);
  }
  return undefined;
}

function unknownKeysOf(table: Readonly<Record<string, unknown>>): readonly string[] {
  const unknown = (value: unknown, known: object, at: string): readonly string[] =>
    Object.keys(value as object)
      .filter(key => !(key in known))
      .map(key => `${at}${key}`);
  const rules = (table['registry'] ?? []) as readonly Readonly<Record<string, unknown>>[];
  const mirrors = rules.flatMap(rule => (rule['mirror'] ?? []) as readonly object[]);
  const helpers = (table['credential-helpers'] ?? []) as readonly string[];
  return [
    ...helpers.filter(helper => helper !== 'containers-auth.json'), // programs that we do not run
    ...unknown(table, fileSchema.shape, ''),
    ...rules.flatMap(rule => unknown(rule, ruleSchema.shape, 'registry.')),
    ...mirrors.flatMap(mirror => unknown(mirror, mirrorSchema.shape, 'registry.mirror.')),
  ];
}

function invalid(path: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REGISTRIES_CONF_INVALID', `${path}: ${reason}`, {
    hint: 'see containers-registries.conf(5), version 2',
  });
}
