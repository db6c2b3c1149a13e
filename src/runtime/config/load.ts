import {readdir, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {parseToml, TomlSyntaxError} from '#shared/toml';
import type {CommandErrorCode} from '../errors.ts';
import {checkDocument, mergeDocuments, type ConfigDocument} from './check.ts';
import {configInvalid, type ConfigProblem} from './problem.ts';
import {deriveConfig, type RuntimeConfig, type Written} from './runtime-config.ts';

/** Read when `--config` is not given; may be absent, drop-ins too. */
export const CONFIG_FILE_DEFAULT = '/etc/slipway/cri.toml';

/** A configuration has some tens of lines; more is another file by mistake. */
const CONFIG_BYTES_MAX = 1024 * 1024;

export interface ConfigSources {
  /** undefined: the default, which may be absent. */
  readonly file: string | undefined;
  /** The program of the default runtime handler, from `--runtime`. */
  readonly runtime?: string | undefined;
  /** What flags say, in the shape of the file. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/**
 * Reads the configuration: defaults, the file, its drop-ins (`FILE.d/*.toml`, by name), flags; later
 * ones win key by key.
 *
 * @throws CodedError ERR_CONFIG_INVALID with every problem, ERR_CONFIG_UNREADABLE
 */
export async function loadConfig(sources: ConfigSources): Promise<RuntimeConfig> {
  return deriveConfig(await readConfig(sources));
}

/**
 * What `loadConfig` is made from: every key with its value, none derived.
 *
 * @throws CodedError ERR_CONFIG_INVALID with every problem, ERR_CONFIG_UNREADABLE
 */
export async function readConfig({file, runtime, flags}: ConfigSources): Promise<Written> {
  const path = file ?? CONFIG_FILE_DEFAULT;
  const main = await readOptional(path);
  if (main === undefined && file !== undefined) throw unreadable(path, 'there is no such file');
  const dropIns = await readDropIns(`${path}.d`);
  const texts = [...(main === undefined ? [] : [main]), ...dropIns];
  const parsed = texts.map(parseText);
  const written = parsed.flatMap(({document}) => (document === undefined ? [] : [document]));
  const documents = [...written, flagsDocument(flags, runtime, written)];
  const problems = [
    ...parsed.flatMap(({problem}) => (problem === undefined ? [] : [problem])),
    ...documents.flatMap(checkDocument),
  ];
  if (problems.length > 0) throw configInvalid(problems);
  const config = mergeDocuments(documents);
  if (config.defaultRuntime !== 'runc' && !Object.hasOwn(config.runtimes, config.defaultRuntime)) {
    const message = `there is no [runtimes.${config.defaultRuntime}]`;
    throw configInvalid([{file: path, line: undefined, path: 'defaultRuntime', message}]);
  }
  return config;
}

/** Which handler `--runtime` is about is known once the files are read. */
function flagsDocument(
  flags: Readonly<Record<string, unknown>>,
  runtime: string | undefined,
  below: readonly ConfigDocument[],
): ConfigDocument {
  const named = below.map(({value}) => value['defaultRuntime']).findLast(Boolean);
  const handler = typeof named === 'string' ? named : 'runc';
  const value = runtime === undefined ? flags : {...flags, runtimes: {[handler]: {path: runtime}}};
  return {file: 'command line', text: '', value};
}

interface ConfigText {
  readonly file: string;
  readonly text: string;
}

async function readDropIns(directory: string): Promise<readonly ConfigText[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw unreadable(directory, messageOf(error));
  });
  const texts = await Promise.all(
    names
      .filter(name => name.endsWith('.toml'))
      .sort()
      .map(name => readOptional(join(directory, name))),
  );
  return texts.filter(text => text !== undefined);
}

async function readOptional(file: string): Promise<ConfigText | undefined> {
  try {
    const {size} = await stat(file);
    if (size > CONFIG_BYTES_MAX) {
      throw unreadable(file, `it has ${size} bytes, more than ${CONFIG_BYTES_MAX}`);
    }
    return {file, text: await readFile(file, 'utf8')};
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error instanceof CodedError ? error : unreadable(file, messageOf(error));
  }
}

function unreadable(file: string, why: string): CodedError<CommandErrorCode> {
  return new CodedError('ERR_CONFIG_UNREADABLE', `cannot read ${file}: ${why}`, {
    hint: 'check --config, or leave it out to run with defaults',
  });
}

function parseText({file, text}: ConfigText): {
  readonly document?: ConfigDocument;
  readonly problem?: ConfigProblem;
} {
  try {
    return {document: {file, text, value: parseToml(text)}};
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    return {problem: {file, line: error.line, path: '', message: error.message}};
  }
}
