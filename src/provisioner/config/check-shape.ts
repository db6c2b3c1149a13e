import type {z} from 'zod';
import {provisionerErrors, type ProvisionerErrorCode} from '../errors.ts';
import {nearest} from '#shared/nearest';
import {
  describeValue,
  problemAt,
  type ConfigDocument,
  type Problem,
  type Source,
} from './problem.ts';
import {knownKeys, pathsTo, schemaAt} from './schema-walk.ts';
import {refusedKeys} from './strict-object.ts';

/** What a document says, as far as it can be read. */
export interface Checked<T> {
  /**
   * Defaults applied. Where there are problems: the document without the parts that have them, so
   * that the rest can be checked too; undefined if nothing is left that the schema takes.
   */
  readonly value: T | undefined;
  readonly problems: readonly Problem[];
  /** The document without the values that have problems, no default applied; see `readPart`. */
  readonly sound: unknown;
  /** Paths of values that are not in `value` because something is wrong with them. */
  readonly damaged: readonly (readonly PropertyKey[])[];
}

/** Compares a document with its schema and names every difference. */
export function checkShape<T>(schema: z.ZodType<T>, source: ConfigDocument): Checked<T> {
  const written = source.document.value;
  const result = schema.safeParse(written, {error: expectation, reportInput: true});
  if (result.success) return {value: result.data, problems: [], sound: written, damaged: []};
  const {issues} = result.error;
  const unknown = issues.flatMap(unknownPaths);
  const damaged = issues.flatMap(damagedPaths);
  const sound = without(written, [...unknown, ...damaged]);
  // A map that lacks a key it must have can't stay; the map around it may do without.
  const incomplete = issues.filter(isMissing).map(({path}) => path.slice(0, -1));
  const rest = schema.safeParse(without(sound, incomplete));
  return {
    value: rest.success ? rest.data : undefined,
    problems: issues.flatMap(issue => problemsOf(issue, schema, source)),
    sound,
    damaged,
  };
}

/**
 * One part of a document, defaults applied, even if others are unusable.
 *
 * @returns undefined if something in the part itself is wrong
 */
export function readPart<T>(
  checked: Checked<unknown>,
  schema: z.ZodType<T>,
  path: readonly string[],
): T | undefined {
  if (isDamaged(checked, path)) return undefined;
  const part = path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Readonly<Record<string, unknown>>)[key]
        : undefined,
    checked.sound,
  );
  const result = schema.safeParse(part);
  return result.success ? result.data : undefined;
}

/** True when a value below the path is missing from what was read because of a problem. */
export function isDamaged({damaged}: Checked<unknown>, path: readonly PropertyKey[]): boolean {
  return damaged.some(other =>
    path.every((key, index) => index >= other.length || other[index] === key),
  );
}

function problemsOf(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  source: ConfigDocument,
): readonly Problem[] {
  const {path} = issue;
  const at = {...source, path};
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map(key => unknownKey(schema, {...source, path: [...path, key]}));
    case 'invalid_key': {
      const message = issue.issues[0]?.message ?? 'expected another key';
      return [problemAt(at, {code: 'ERR_CONFIG_VALUE', message: `the key is wrong: ${message}`})];
    }
    case 'custom':
      return [problemAt(at, {...customOf(issue), message: found(issue)})];
    default:
      return isMissing(issue)
        ? [problemAt(at, {code: 'ERR_CONFIG_KEY_MISSING', message: `missing, ${issue.message}`})]
        : [problemAt(at, {code: 'ERR_CONFIG_VALUE', message: found(issue)})];
  }
}

function found(issue: z.core.$ZodIssue): string {
  return `${issue.message}, found ${describeValue(issue.input)}`;
}

/** A refinement may say which code its problem has (see `kubernetesVersion`). */
function customOf(issue: z.core.$ZodIssueCustom): {code: ProvisionerErrorCode} {
  const code: unknown = issue.params?.['code'];
  return {code: isProvisionerErrorCode(code) ? code : 'ERR_CONFIG_VALUE'};
}

function isProvisionerErrorCode(code: unknown): code is ProvisionerErrorCode {
  return typeof code === 'string' && Object.hasOwn(provisionerErrors, code);
}

function unknownKey(root: z.ZodType, source: Source): Problem {
  const key = String(source.path.at(-1));
  const schema = schemaAt(root, source.path.slice(0, -1));
  const refused = schema && refusedKeys.get(schema as z.ZodType)?.(key);
  if (refused) return problemAt(source, refused);
  const known = schema ? knownKeys(schema) : [];
  const meant = nearest(key, known) ?? pathsTo(root, key)[0]?.join('.');
  const listed = known.length <= LISTED_KEYS_MAX ? `known here: ${known.join(', ')}` : '';
  const hint = meant === undefined ? listed : `did you mean "${meant}"?`;
  return problemAt(source, {code: 'ERR_CONFIG_UNKNOWN_KEY', message: 'unknown key', hint});
}

/** A longer list of known keys helps nobody in a message. */
const LISTED_KEYS_MAX = 16;

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
};

/** What a value should have been, for schemas that do not say it themselves. */
function expectation(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeNames[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.map(value => describeValue(value)).join(' or ')}`;
    case 'too_small':
      return `expected at least ${issue.minimum}${issue.origin === 'array' ? ' item' : ''}`;
    case 'too_big':
      return `expected at most ${issue.maximum}`;
    default:
      return 'expected another value';
  }
}

function unknownPaths(issue: z.core.$ZodIssue): readonly (readonly PropertyKey[])[] {
  return issue.code === 'unrecognized_keys' ? issue.keys.map(key => [...issue.path, key]) : [];
}

function damagedPaths(issue: z.core.$ZodIssue): readonly (readonly PropertyKey[])[] {
  return issue.code === 'unrecognized_keys' ? [] : [issue.path];
}

function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code !== 'unrecognized_keys' && issue.code !== 'custom' && issue.input === undefined;
}

/** A copy without the values at these paths; a list that would lose an item goes as a whole. */
function without(value: unknown, paths: readonly (readonly PropertyKey[])[]): unknown {
  return withoutKeys(value, new Set(paths.map(keyOf)), []);
}

function withoutKeys(
  value: unknown,
  omitted: ReadonlySet<string>,
  at: readonly PropertyKey[],
): unknown {
  if (Array.isArray(value)) {
    const losesItem = value.some((_, index) => omitted.has(keyOf([...at, index])));
    return losesItem
      ? undefined
      : value.map((item, index) => withoutKeys(item, omitted, [...at, index]));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !omitted.has(keyOf([...at, key])))
      .map(([key, inner]) => [key, withoutKeys(inner, omitted, [...at, key])]),
  );
}

function keyOf(path: readonly PropertyKey[]): string {
  return JSON.stringify(path);
}
