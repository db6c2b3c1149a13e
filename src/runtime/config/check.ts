import * as z from 'zod';
import {nearest} from '#shared/nearest';
import {lineOfTomlKey} from '#shared/toml';
import type {ConfigProblem} from './problem.ts';
import type {Written} from './runtime-config.ts';
import {runtimeSchema} from './runtime-schema.ts';

/** Settings from one place, not checked yet. */
export interface ConfigDocument {
  /** A file's path, or `command line`. */
  readonly file: string;
  /** The file's text, to find lines in; empty for flags. */
  readonly text: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** What is wrong with one document, each problem with its line. */
export function checkDocument({file, text, value}: ConfigDocument): readonly ConfigProblem[] {
  const result = runtimeSchema.safeParse(value, {error: expectation, reportInput: true});
  if (result.success) return [];
  return result.error.issues.flatMap(issue =>
    problemsOf(issue).map(({path, message}) => ({
      file,
      line: lineOf(text, path),
      path: path.join('.'),
      message,
    })),
  );
}

/** Documents on top of each other: tables are merged, everything else is replaced. */
export function mergeDocuments(documents: readonly ConfigDocument[]): Written {
  return runtimeSchema.parse(
    documents.reduce<unknown>((below, {value}) => merge(below, value), {}),
  );
}

function merge(below: unknown, above: unknown): unknown {
  if (!isTable(below) || !isTable(above)) return above;
  const keys = new Set([...Object.keys(below), ...Object.keys(above)]);
  return Object.fromEntries(
    [...keys].map(key => [
      key,
      Object.hasOwn(above, key) ? merge(below[key], above[key]) : below[key],
    ]),
  );
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isDate(value);
}

function isDate(value: object): boolean {
  return value instanceof Date;
}

interface Found {
  readonly path: readonly string[];
  readonly message: string;
}

function problemsOf(issue: z.core.$ZodIssue): readonly Found[] {
  const path = issue.path.map(String);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map(key => ({path: [...path, key], message: unknownKey(path, key)}));
    case 'invalid_key':
      return [{path, message: `the name is wrong: ${issue.issues[0]?.message ?? ''}`}];
    default:
      return issue.input === undefined
        ? [{path, message: `missing, ${issue.message}`}]
        : [{path, message: `${issue.message}, found ${describe(issue.input)}`}];
  }
}

function unknownKey(path: readonly string[], key: string): string {
  const known = keysAt(runtimeSchema, path);
  const meant = nearest(key, known);
  return meant === undefined
    ? `unknown key; known here: ${known.join(', ')}`
    : `unknown key; did you mean "${meant}"?`;
}

function keysAt(schema: z.core.$ZodType, path: readonly string[]): readonly string[] {
  const inner = unwrap(schema);
  const [key, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    const shape = inner.shape as Readonly<Record<string, z.core.$ZodType>>;
    const child = key === undefined ? undefined : shape[key];
    return key === undefined ? Object.keys(shape) : child ? keysAt(child, rest) : [];
  }
  if (inner instanceof z.ZodRecord) return keysAt(inner.valueType, rest);
  if (inner instanceof z.ZodArray) return keysAt(inner.element, rest);
  return [];
}

/** The schema inside `default` and `prefault`. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const {def} = schema._zod;
  return 'innerType' in def ? unwrap(def.innerType as z.core.$ZodType) : schema;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  object: 'a table',
  record: 'a table',
  array: 'a list',
};

/** What a value should have been, where the schema does not say it itself. */
function expectation(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.map(value => describe(value)).join(' or ')}`;
    default:
      return 'expected another value';
  }
}

const SHOWN_LENGTH_MAX = 60;

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a table';
  const text = JSON.stringify(value);
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

/** The line of the key, or of the nearest table around it. */
function lineOf(text: string, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lineOfTomlKey(text, path.slice(0, length));
    if (line !== undefined) return line;
  }
  return undefined;
}
