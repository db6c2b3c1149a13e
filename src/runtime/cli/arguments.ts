import {parseArgs} from 'node:util';
import {CodedError} from '#shared/errors';
import {nearest} from '#shared/nearest';
import type {ConfigSources} from '../config/load.ts';
import type {CommandErrorCode} from '../errors.ts';

/** Settings of the daemon that have a flag, with their place in the configuration file. */
const daemonFlags = {
  config: {type: 'string'},
  listen: {type: 'string'},
  root: {type: 'string'},
  state: {type: 'string'},
  'cni-conf-dir': {type: 'string'},
  'cni-bin-dir': {type: 'string', multiple: true},
  runtime: {type: 'string'},
  conmon: {type: 'string'},
  'cgroup-manager': {type: 'string'},
  'registries-conf': {type: 'string'},
  'log-level': {type: 'string'},
} as const;

const optionTypes = {
  ...daemonFlags,
  help: {type: 'boolean', short: 'h'},
  version: {type: 'boolean'},
  default: {type: 'boolean'},
  socket: {type: 'string'},
  timeout: {type: 'string'},
  output: {type: 'string', short: 'o'},
  all: {type: 'boolean', short: 'a'},
  follow: {type: 'boolean', short: 'f'},
  tail: {type: 'string'},
  timestamps: {type: 'boolean'},
  name: {type: 'string', multiple: true},
  image: {type: 'string'},
} as const;

type OptionName = keyof typeof optionTypes;
type Values = ReturnType<typeof parse>['values'];

/** Options that each command takes beside `--help`; any other is refused. */
const CLIENT: readonly OptionName[] = ['config', 'socket', 'timeout'];
const commandOptions = {
  daemon: [...(Object.keys(daemonFlags) as OptionName[]), 'version'],
  config: [...(Object.keys(daemonFlags) as OptionName[]), 'default'],
  version: [],
  help: [],
  info: [...CLIENT, 'output'],
  ps: [...CLIENT, 'output', 'all'],
  pods: [...CLIENT, 'output'],
  images: [...CLIENT, 'output'],
  stats: [...CLIENT, 'output'],
  inspect: CLIENT,
  logs: [...CLIENT, 'follow', 'tail', 'timestamps'],
  exec: CLIENT,
  pull: CLIENT,
  'image import': [...CLIENT, 'name'],
  'image remove': CLIENT,
  stop: CLIENT,
  rm: CLIENT,
  smoke: [...CLIENT, 'image'],
  reset: CLIENT,
} as const satisfies Readonly<Record<string, readonly OptionName[]>>;

export type CommandName = keyof typeof commandOptions;
export const COMMAND_NAMES = Object.keys(commandOptions) as readonly CommandName[];

export interface Arguments {
  /** `daemon`: no command was given. */
  readonly command: CommandName;
  /** What follows the command and is no option. */
  readonly words: readonly string[];
  readonly options: Options;
  /** What the daemon is configured from. */
  readonly sources: ConfigSources;
}

export interface Options {
  /** A path, without `unix://`. */
  readonly socket: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly output: 'text' | 'json';
  readonly default: boolean;
  readonly all: boolean;
  readonly follow: boolean;
  readonly tail: number | undefined;
  readonly timestamps: boolean;
  readonly names: readonly string[];
  readonly image: string | undefined;
}

/**
 * Parses what follows `slipway-cri`.
 *
 * @throws CodedError ERR_USAGE with the nearest known word
 */
export function parseArguments(argv: readonly string[]): Arguments {
  const [own, foreign] = splitExec(argv);
  const {values, positionals} = parse(own);
  const {command, words} = commandOf(positionals);
  if (values.help === true) return alone('help');
  if (values.version === true && command === 'daemon') return alone('version');
  refuseForeign(command, Object.keys(values));
  if (command === 'daemon' && words[0] !== undefined) throw unknownCommand(words[0]);
  const sources = {file: values.config, runtime: values.runtime, flags: flagsOf(values)};
  return {command, words: [...words, ...foreign], options: readOptions(values), sources};
}

function alone(command: CommandName): Arguments {
  const sources = {file: undefined, runtime: undefined, flags: {}};
  return {command, words: [], options: readOptions({}), sources};
}

/** Everything behind `exec ID` belongs to the command in the container, options too. */
function splitExec(argv: readonly string[]): readonly [readonly string[], readonly string[]] {
  const {tokens} = parseArgs({
    args: [...argv],
    options: optionTypes,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const [verb, id] = tokens.filter(({kind}) => kind === 'positional');
  if (verb === undefined || argv[verb.index] !== 'exec' || id === undefined) return [argv, []];
  const rest = argv.slice(id.index + 1);
  return [argv.slice(0, id.index + 1), rest[0] === '--' ? rest.slice(1) : rest];
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({args: [...argv], options: optionTypes, allowPositionals: true, strict: true});
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const option = /'(--?[\w-]+)/.exec(message)?.[1] ?? '';
    const meant = nearest(option.replace(/^-+/, ''), Object.keys(optionTypes));
    throw usage(
      message.split('. To ')[0] ?? message,
      meant === undefined ? undefined : `did you mean --${meant}?`,
    );
  }
}

function commandOf(positionals: readonly string[]): {
  readonly command: CommandName;
  readonly words: readonly string[];
} {
  const [first, second] = positionals;
  if (first === undefined) return {command: 'daemon', words: []};
  const two = `${first} ${second ?? ''}`;
  const command = COMMAND_NAMES.find(name => name === two || name === first);
  if (command === undefined || command === 'daemon') throw unknownCommand(first, second);
  return {command, words: positionals.slice(command.split(' ').length)};
}

function unknownCommand(first: string, second = ''): CodedError<CommandErrorCode> {
  const known = COMMAND_NAMES.filter(name => name !== 'daemon');
  const meant = nearest(`${first} ${second}`.trim(), known) ?? nearest(first, known);
  return usage(
    `there is no command "${`${first} ${second}`.trim()}"`,
    meant === undefined ? undefined : `did you mean "slipway-cri ${meant}"?`,
  );
}

function refuseForeign(command: CommandName, names: readonly string[]): void {
  const known: readonly string[] = commandOptions[command];
  const foreign = names.find(name => !known.includes(name));
  if (foreign === undefined) return;
  const who = command === 'daemon' ? 'the daemon' : command;
  const listed = known.map(name => `--${name}`).join(', ');
  throw usage(`${who} takes no --${foreign}`, `${who} takes ${listed === '' ? 'none' : listed}`);
}

function flagsOf(values: Values): Readonly<Record<string, unknown>> {
  const cni = compact({
    confDirectory: values['cni-conf-dir'],
    binDirectories: values['cni-bin-dir'],
  });
  return compact({
    listen: values.listen,
    root: values.root,
    state: values.state,
    conmon: values.conmon,
    cgroupManager: values['cgroup-manager'],
    registriesFile: values['registries-conf'],
    logLevel: values['log-level'],
    cni: Object.keys(cni).length === 0 ? undefined : cni,
  });
}

function compact(record: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

const TIMEOUT_SECONDS_MAX = 86_400;
const TAIL_MAX = 1_000_000;

function readOptions(values: Values): Options {
  const {output = 'text'} = values;
  if (output !== 'text' && output !== 'json') {
    throw usage(`--output takes text or json, found ${output}`);
  }
  const seconds = readNumber('timeout', values.timeout, {min: 1, max: TIMEOUT_SECONDS_MAX});
  return {
    socket: values.socket?.replace(/^unix:\/\//, ''),
    timeoutMs: seconds === undefined ? undefined : seconds * 1000,
    output,
    default: values.default ?? false,
    all: values.all ?? false,
    follow: values.follow ?? false,
    tail: readNumber('tail', values.tail, {min: 0, max: TAIL_MAX}),
    timestamps: values.timestamps ?? false,
    names: values.name ?? [],
    image: values.image,
  };
}

function readNumber(
  name: string,
  text: string | undefined,
  {min, max}: {readonly min: number; readonly max: number},
): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw usage(`--${name} takes a number from ${min} to ${max}, found ${text}`);
}

export function usage(
  message: string,
  hint = '"slipway-cri help" lists commands and options',
): CodedError<CommandErrorCode> {
  return new CodedError('ERR_USAGE', message, {hint});
}
