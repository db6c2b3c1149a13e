import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {ContainerConfig, ImageProcess} from './input.ts';

/** What a shell would search when neither image nor pod say; the same as other runtimes use. */
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The command line: a CRI command replaces the image's entry point *and* command; CRI args alone
 * replace the image's command only.
 * @throws CodedError ERR_REQUEST_INVALID when nothing is left to run.
 */
export function processArguments(
  {command, args}: Pick<ContainerConfig, 'command' | 'args'>,
  image: ImageProcess,
): readonly string[] {
  const {entrypoint = [], cmd = []} = image;
  const line =
    command.length > 0 ? [...command, ...args] : [...entrypoint, ...(args.length > 0 ? args : cmd)];
  if (line.length > 0 && line[0] !== '') return checkedTexts(line, 'argument');
  throw invalid(
    'there is no command: neither the container nor its image names one',
    'set command in the container, or use an image with ENTRYPOINT or CMD',
  );
}

/**
 * The working folder: CRI before image before `/`; the OCI runtime makes it when it is missing.
 * A relative one is taken from `/`, as Dockerfiles mean it.
 */
export function workingDirectory(
  {workingDir}: Pick<ContainerConfig, 'workingDir'>,
  image: ImageProcess,
): string {
  const chosen = workingDir !== '' ? workingDir : (image.workingDir ?? '');
  checkedTexts([chosen], 'working directory');
  return chosen.startsWith('/') ? chosen : `/${chosen}`;
}

export interface EnvironmentRequest {
  /** The daemon's configuration, the image, the container: a later one wins. */
  readonly defaults: readonly string[];
  readonly image: readonly string[];
  readonly container: readonly {readonly key: string; readonly value: Uint8Array}[];
  readonly hostname: string;
  readonly terminal: boolean;
}

/**
 * The environment as `KEY=value`, each key once. PATH is always there; HOSTNAME, and TERM with a
 * terminal, are unless somebody sets them.
 * @throws CodedError ERR_REQUEST_INVALID for an empty key, a key with `=`, a NUL byte, or a value
 *   that is not UTF-8 (config.json cannot carry it).
 */
export function processEnvironment(request: EnvironmentRequest): readonly string[] {
  const pairs = [
    DEFAULT_PATH,
    `HOSTNAME=${request.hostname}`,
    ...(request.terminal ? ['TERM=xterm'] : []),
    ...request.defaults,
    ...request.image.filter(pair => pair.includes('=')),
    ...request.container.map(({key, value}) => `${checkedKey(key)}=${decoded(key, value)}`),
  ];
  const byKey = new Map<string, string>();
  for (const pair of pairs) byKey.set(pair.slice(0, pair.indexOf('=')), pair);
  return checkedTexts([...byKey.values()], 'environment variable');
}

function checkedKey(key: string): string {
  if (key !== '' && !key.includes('=')) return key;
  throw invalid(
    `environment variable name ${JSON.stringify(key)} is empty or contains "="`,
    'name it with letters, digits and underscores',
  );
}

function decoded(key: string, value: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(value);
  } catch (cause) {
    throw invalid(
      `the value of environment variable ${key} is not UTF-8`,
      'pass binary data in a file, e.g. a Secret volume',
      cause,
    );
  }
}

/** The kernel ends a text at the first NUL: what follows would be lost without a word. */
function checkedTexts(texts: readonly string[], what: string): readonly string[] {
  if (texts.every(text => !text.includes('\0'))) return texts;
  throw invalid(`a NUL byte is in an ${what}`, 'remove it: no process can be given one');
}

function invalid(message: string, hint: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', message, {hint, cause});
}
