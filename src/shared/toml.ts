import {parse, TomlError} from 'smol-toml';

/** A text that is no TOML; lines and columns count from 1. */
export class TomlSyntaxError extends Error {
  readonly line: number;
  readonly column: number;

  constructor(cause: TomlError) {
    const [what = cause.message] = cause.message.replace('Invalid TOML document: ', '').split('\n');
    super(`${what} at line ${cause.line}, column ${cause.column}`, {cause});
    this.name = 'TomlSyntaxError';
    this.line = cause.line;
    this.column = cause.column;
  }
}

/**
 * Parses TOML 1.0. Tables become plain objects, whole numbers must be exact in a double.
 *
 * @throws TomlSyntaxError
 */
export function parseToml(text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (error) {
    throw error instanceof TomlError ? new TomlSyntaxError(error) : error;
  }
}

/**
 * The line, from 1, where a key or the table of that name is written, for messages: found by reading
 * line by line, so inline tables and quoted dots are not looked into.
 */
export function lineOfTomlKey(text: string, path: readonly string[]): number | undefined {
  const wanted = path.join('.');
  let table = '';
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[\[?\s*([^\]]+?)\s*\]\]?/.exec(line)?.[1];
    if (header !== undefined) table = plainKey(header);
    const key = header === undefined ? /^\s*([\w.\-"' ]+?)\s*=/.exec(line)?.[1] : undefined;
    const here = [table, ...(key === undefined ? [] : [plainKey(key)])].filter(Boolean).join('.');
    if ((header !== undefined || key !== undefined) && here === wanted) return index + 1;
  }
  return undefined;
}

function plainKey(key: string): string {
  return key.replaceAll(/["' ]/g, '');
}
