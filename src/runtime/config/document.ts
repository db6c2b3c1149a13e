import * as z from 'zod';
import {unwrap} from './check.ts';
import type {Written} from './runtime-config.ts';
import {RELOADABLE_KEYS} from './reload.ts';
import {runtimeSchema} from './runtime-schema.ts';

/** One key of the file, for people. */
export interface DocumentedKey {
  readonly path: readonly string[];
  readonly type: string;
  /** undefined for a table, whose keys have their own. */
  readonly value: unknown;
  readonly description: string;
  readonly reloadable: boolean;
}

/** Every key in the order of the schema; a table comes before its keys. */
export function documentedKeys(): readonly DocumentedKey[] {
  return keysOf(runtimeSchema, []);
}

/** The default configuration as TOML that can be used as it is, each key below its meaning. */
export function formatDefaultConfig(): string {
  const head = `# Configuration of slipway-cri; these are the defaults.
# Files in cri.toml.d/*.toml come on top, by name, then flags. SIGHUP takes over
# ${RELOADABLE_KEYS.join(', ')}.`;
  return `${head}\n\n${formatKeys(documentedKeys())}`;
}

/** A configuration as TOML, each key below its meaning. */
export function formatConfig(written: Written): string {
  const values: Table = written;
  return formatKeys(
    documentedKeys().map(key => {
      if (key.value === undefined) return key;
      const [first = '', second] = key.path;
      const above = values[first];
      return {...key, value: second === undefined ? above : (above as Table)[second]};
    }),
  );
}

/** Plain keys first: in TOML what follows a table's name belongs to the table. */
function formatKeys(keys: readonly DocumentedKey[]): string {
  const tables = keys.filter(({value}) => value === undefined);
  const plain = keys.filter(
    ({path, value}) => path.length === 1 && value !== undefined && !isTable(value),
  );
  const maps = keys.filter(({value}) => isTable(value));
  const blocks = [
    ...plain.map(formatKey),
    ...maps.map(key => `${comment(key)}\n${formatMap(key.path, key.value as Table)}`),
    ...tables.map(table =>
      [
        `${comment(table)}\n[${table.path.join('.')}]`,
        ...keys.filter(({path}) => path.length === 2 && path[0] === table.path[0]).map(formatKey),
      ].join('\n'),
    ),
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** docs/runtime-configuration.md */
export function formatConfigPage(): string {
  const rows = documentedKeys().map(({path, type, value, description, reloadable}) => {
    const shown = value === undefined ? '' : `\`${toToml(value)}\``;
    return `| \`${path.join('.')}\` | ${type} | ${shown} | ${description}${reloadable ? ' Taken over on SIGHUP.' : ''} |`;
  });
  return [
    '<!-- Generated from src/runtime/config/. Run "UPDATE_GOLDEN=1 npx ava test/runtime/config" to renew it. -->',
    '# Configuration of slipway-cri',
    '',
    'One TOML file, `/etc/slipway/cri.toml` or `--config FILE`; files in `FILE.d/*.toml` come on top in the order of their names, flags come last. Tables are merged, everything else is replaced. An unknown key is an error. No file at all is a valid configuration.',
    '',
    '`slipway-cri config --default` prints the defaults as a file to start from, `slipway-cri config` what the daemon would run with. On SIGHUP (`systemctl reload slipway-cri`) the keys marked so are taken over; a change of others is logged and waits for a restart, which no container notices.',
    '',
    '| Key | Type | Default | Meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

type Table = Readonly<Record<string, unknown>>;

function keysOf(schema: z.ZodObject, above: readonly string[]): readonly DocumentedKey[] {
  const defaults = schema.parse({}) as Table;
  return Object.entries(schema.shape as Readonly<Record<string, z.ZodType>>).flatMap(
    ([name, child]) => {
      const path = [...above, name];
      const inner = unwrap(child);
      const isObject = inner instanceof z.ZodObject;
      const key = {
        path,
        type: typeOf(inner),
        value: isObject ? undefined : defaults[name],
        description: child.description ?? '',
        reloadable: (RELOADABLE_KEYS as readonly string[]).includes(path[0] ?? ''),
      };
      return isObject ? [key, ...keysOf(inner, path)] : [key];
    },
  );
}

function typeOf(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodEnum) {
    return schema.options.map(option => `\`${String(option)}\``).join(', ');
  }
  if (schema instanceof z.ZodArray) return `list of ${pluralOf(unwrap(schema.element))}`;
  if (schema instanceof z.ZodRecord) return 'table by name';
  if (schema instanceof z.ZodObject) return 'table';
  return schema instanceof z.ZodNumber ? 'number' : 'text';
}

function pluralOf(schema: z.core.$ZodType): string {
  if (!(schema instanceof z.ZodObject)) return 'texts';
  return `tables (${Object.keys(schema.shape)
    .map(key => `\`${key}\``)
    .join(', ')})`;
}

function formatKey(key: DocumentedKey): string {
  const name = key.path.at(-1) ?? '';
  return `${comment(key)}\n${name} = ${toToml(key.value)}`;
}

function formatMap(path: readonly string[], map: Table): string {
  const entries = Object.entries(map);
  const inner = entries.filter(([, value]) => isTable(value));
  const plain = entries.filter(([, value]) => !isTable(value));
  return [
    ...(plain.length > 0 || inner.length === 0 ? [`[${path.map(quoteKey).join('.')}]`] : []),
    ...plain.map(([key, value]) => `${quoteKey(key)} = ${toToml(value)}`),
    ...inner.map(([key, value]) => formatMap([...path, key], value as Table)),
  ].join('\n');
}

const LINE_LENGTH_MAX = 98;

function comment({description}: DocumentedKey): string {
  const lines = [''];
  for (const word of description.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length + 1 > LINE_LENGTH_MAX) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map(line => `# ${line}`).join('\n');
}

/** JSON's texts, numbers and lists are TOML's too; tables are written inline. */
function toToml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toToml).join(', ')}]`;
  if (!isTable(value)) return JSON.stringify(value);
  const entries = Object.entries(value).map(
    ([key, inner]) => `${quoteKey(key)} = ${toToml(inner)}`,
  );
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

function quoteKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
