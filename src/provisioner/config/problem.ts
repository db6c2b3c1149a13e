import {CodedError} from '#shared/errors';
import type {YamlDocument} from '#shared/yaml';
import type {ProvisionerErrorCode} from '../errors.ts';

/** One thing that is wrong with the configuration, and where it is written. */
export interface Problem {
  readonly code: ProvisionerErrorCode;
  /** As the user would name it, relative to where the program was started. */
  readonly file: string;
  /** Both count from 1; undefined when the problem is not at a place in the file. */
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** Keys joined by dots, e.g. `spec.network.podCIDR`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  /** The next thing to do; empty where the message says it already. */
  readonly hint: string;
}

/** Everything that is wrong with one configuration, sorted by file and place. */
export class ConfigurationError extends CodedError<ProvisionerErrorCode> {
  readonly problems: readonly Problem[];

  /**
   * @param problems at least one; if all have the same code it becomes the error's, else
   *   ERR_CONFIG_INVALID
   */
  constructor(problems: readonly Problem[]) {
    const sorted = [...problems].sort(byPlace);
    const codes = new Set(sorted.map(({code}) => code));
    const [code = 'ERR_CONFIG_INVALID'] = codes.size === 1 ? codes : [];
    const lines = sorted.slice(0, SHOWN_PROBLEMS_MAX).map(problem => formatProblem(problem));
    const hidden = sorted.length - lines.length;
    super(code, [...lines, ...(hidden > 0 ? [`and ${hidden} more`] : [])].join('\n'), {
      hint: 'correct what is named above and run the same command',
    });
    this.problems = sorted;
  }
}

/** More would push the first ones off every screen. */
const SHOWN_PROBLEMS_MAX = 50;

/** e.g. `cluster.yaml:14:5 spec.network.prox: unknown key; did you mean "proxy"?` */
export function formatProblem({file, line, column, path, message, hint}: Problem): string {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}${path === '' ? '' : ` ${path}`}: ${message}${hint === '' ? '' : `; ${hint}`}`;
}

/** A parsed file of the configuration. */
export interface ConfigDocument {
  readonly file: string;
  readonly document: YamlDocument;
}

/** A value's place in a file of the configuration. */
export interface Source extends ConfigDocument {
  readonly path: readonly PropertyKey[];
}

/** A problem at a value, or at the nearest enclosing one that is written in the file. */
export function problemAt(
  {file, document, path}: Source,
  {code, message, hint = ''}: {code: ProvisionerErrorCode; message: string; hint?: string},
): Problem {
  let position;
  for (let length = path.length; position === undefined && length >= 0; length--) {
    position = document.positionOf(path.slice(0, length));
  }
  const {line, column} = position ?? {line: undefined, column: undefined};
  return {code, file, line, column, path: formatPath(path), message, hint};
}

/** A problem of a file as a whole. */
export function problemOf(
  file: string,
  {code, message, hint = ''}: {code: ProvisionerErrorCode; message: string; hint?: string},
): Problem {
  return {code, file, line: undefined, column: undefined, path: '', message, hint};
}

/** `spec.hosts[2].name`; keys that hold dots are quoted: `spec.os.sysctls."net.core.somaxconn"`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    const name = /^[\w-]+$/.test(String(key)) ? String(key) : JSON.stringify(String(key));
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

/** A value for a message: one line, short, and never the inside of something large or secret. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  if (typeof value !== 'string') return JSON.stringify(value);
  if (value.includes('PRIVATE KEY')) return 'the text of a private key';
  const line = value.replaceAll(/\s+/g, ' ').replace(/\/\/[^/@]*@/, '//[redacted]@');
  return JSON.stringify(
    line.length > SHOWN_LENGTH_MAX ? `${line.slice(0, SHOWN_LENGTH_MAX)}…` : line,
  );
}

const SHOWN_LENGTH_MAX = 60;

function byPlace(a: Problem, b: Problem): number {
  return (
    a.file.localeCompare(b.file, 'en') ||
    (a.line ?? 0) - (b.line ?? 0) ||
    (a.column ?? 0) - (b.column ?? 0)
  );
}
