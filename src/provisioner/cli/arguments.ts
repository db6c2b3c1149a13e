import {parseArgs} from 'node:util';
import {CodedError} from '#shared/errors';
import {nearest} from '#shared/nearest';
import type {ProvisionerErrorCode} from '../errors.ts';

/** Verbs of `provision`; a first word with a slash or a dot is a cluster file to converge. */
export const VERBS = [
  'apply',
  'plan',
  'verify',
  'status',
  'reset',
  'kubeconfig',
  'kubectl',
  'validate',
  'images',
  'issuers',
  'certs',
] as const;

export type Verb = (typeof VERBS)[number];

export interface Arguments {
  readonly verb: Verb;
  /** undefined: the lab's, while a lab is up. */
  readonly clusterFile: string | undefined;
  /** What follows the verb and is not a cluster file, e.g. kubectl's own arguments. */
  readonly rest: readonly string[];
  readonly options: Options;
}

export interface Options {
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly deep: boolean;
  readonly detailedExitcode: boolean;
  readonly acceptNewHostKeys: boolean;
  readonly output: 'text' | 'json';
  readonly limit: readonly string[];
  readonly forks: number;
  readonly registry: string | undefined;
  /** undefined: all namespaces. */
  readonly namespace: string | undefined;
}

const FORKS_DEFAULT = 50;
const FORKS_MAX = 1000;

const optionTypes = {
  yes: {type: 'boolean', short: 'y'},
  'dry-run': {type: 'boolean'},
  deep: {type: 'boolean'},
  'detailed-exitcode': {type: 'boolean'},
  'accept-new-host-keys': {type: 'boolean'},
  output: {type: 'string', short: 'o'},
  limit: {type: 'string', multiple: true},
  forks: {type: 'string'},
  registry: {type: 'string'},
  namespace: {type: 'string', short: 'n'},
  'all-namespaces': {type: 'boolean', short: 'A'},
} as const;

/**
 * Parses what follows `provision`, except `lab`, `artifacts` and help, which have their own.
 *
 * @throws CodedError ERR_USAGE with the nearest known word
 */
export function parseArguments(argv: readonly string[]): Arguments {
  const [first = ''] = argv;
  if (first === 'kubectl') return parseKubectl(argv.slice(1));
  const {values, positionals} = parse(argv);
  const options = readOptions(values);
  const [word = '', ...others] = positionals;
  const isVerb = (VERBS as readonly string[]).includes(word);
  if (!isVerb && !isPath(word)) throw unknownWord(word);
  const verb = isVerb ? (word as Verb) : 'apply';
  const words = isVerb ? others : positionals;
  const actual = verb === 'apply' && options.dryRun ? 'plan' : verb;
  refuseForeignOptions(verb, Object.keys(values));
  if (verb === 'images') return {verb, clusterFile: undefined, rest: words, options};
  if (verb === 'issuers' || verb === 'certs') return {verb, ...splitWords(words), options};
  if (words.length > 1) throw usage(`one cluster file is expected, found ${words.join(' ')}`);
  return {verb: actual, clusterFile: words[0], rest: [], options};
}

/** Subcommands and names of issuers end in anything but `.yaml`; a cluster file does not. */
function splitWords(words: readonly string[]): Pick<Arguments, 'clusterFile' | 'rest'> {
  const files = words.filter(word => CLUSTER_FILE.test(word));
  if (files.length > 1) throw usage(`one cluster file is expected, found ${files.join(' ')}`);
  return {clusterFile: files[0], rest: words.filter(word => !CLUSTER_FILE.test(word))};
}

/** How a cluster file ends, where other words may stand beside it. */
export const CLUSTER_FILE = /[.]ya?ml$/;

/** kubectl's own words have neither a slash nor a dot, so a path in front is a cluster file. */
function parseKubectl(words: readonly string[]): Arguments {
  const [first = '', ...rest] = words;
  const options = readOptions({});
  return CLUSTER_FILE.test(first)
    ? {verb: 'kubectl', clusterFile: first, rest, options}
    : {verb: 'kubectl', clusterFile: undefined, rest: words, options};
}

/** An option that a command would ignore is refused: the user meant something by it. */
const optionsOf: Readonly<Record<Verb, readonly string[]>> = {
  apply: [
    'yes',
    'dry-run',
    'deep',
    'detailed-exitcode',
    'limit',
    'forks',
    'output',
    'accept-new-host-keys',
  ],
  plan: ['deep', 'detailed-exitcode', 'limit', 'forks', 'output', 'accept-new-host-keys'],
  verify: ['forks', 'output', 'accept-new-host-keys'],
  status: ['deep', 'forks', 'output', 'accept-new-host-keys'],
  reset: ['yes', 'limit', 'forks', 'output', 'accept-new-host-keys'],
  kubeconfig: ['accept-new-host-keys'],
  kubectl: [],
  validate: ['output'],
  images: ['registry'],
  issuers: ['namespace', 'all-namespaces', 'output', 'forks', 'accept-new-host-keys'],
  certs: ['namespace', 'all-namespaces', 'output', 'forks', 'accept-new-host-keys'],
};

function refuseForeignOptions(verb: Verb, names: readonly string[]): void {
  const foreign = names.find(name => !optionsOf[verb].includes(name));
  if (foreign === undefined) return;
  const known = optionsOf[verb].map(name => `--${name}`).join(', ');
  throw usage(`${verb} takes no --${foreign}`, `${verb} takes ${known}`);
}

const isPath = (word: string): boolean => /[./]/.test(word);

function parse(argv: readonly string[]) {
  try {
    return parseArgs({args: [...argv], options: optionTypes, allowPositionals: true, strict: true});
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const option = /'(--?[\w-]+)/.exec(message)?.[1];
    const found = option && nearest(option.replace(/^-+/, ''), Object.keys(optionTypes));
    const hint = found === undefined || found === '' ? undefined : `did you mean --${found}?`;
    throw usage(message.split('. To ')[0] ?? message, hint);
  }
}

function unknownWord(word: string) {
  if (word === '') return usage('a command or a cluster file is expected');
  const found = nearest(word, [...VERBS, 'lab', 'artifacts', 'help']);
  const hint = found === undefined ? undefined : `did you mean "provision ${found}"?`;
  return usage(`"${word}" is neither a command nor a path`, hint);
}

function readOptions(values: ReturnType<typeof parse>['values']): Options {
  const {output = 'text', forks = String(FORKS_DEFAULT), limit = []} = values;
  if (output !== 'text' && output !== 'json') {
    throw usage(`--output takes text or json, found ${output}`);
  }
  const count = Number(forks);
  if (!Number.isInteger(count) || count < 1 || count > FORKS_MAX) {
    throw usage(`--forks takes a number from 1 to ${FORKS_MAX}, found ${forks}`);
  }
  const {namespace} = values;
  if (namespace !== undefined && values['all-namespaces'] === true) {
    throw usage('--namespace and --all-namespaces contradict each other', 'leave one of them out');
  }
  const words = limit.flatMap(text => text.split(','));
  if (words.includes('')) {
    throw usage(
      '--limit has an empty name',
      'name hosts or groups; without --limit it is all of them',
    );
  }
  return {
    yes: values.yes ?? false,
    dryRun: values['dry-run'] ?? false,
    deep: values.deep ?? false,
    detailedExitcode: values['detailed-exitcode'] ?? false,
    acceptNewHostKeys: values['accept-new-host-keys'] ?? false,
    output,
    limit: words,
    forks: count,
    registry: values.registry,
    namespace,
  };
}

export function usage(
  message: string,
  hint = '"provision help" lists commands and options',
): CodedError<ProvisionerErrorCode> {
  return new CodedError('ERR_USAGE', message, {hint});
}
