import {parseArgs} from 'node:util';
import {CodedError, messageOf} from '#shared/errors';
import {runAttached} from '#shared/local-process';
import {nearest} from '#shared/nearest';
import {HOST_COUNT_MAX} from './addresses.ts';
import type {LabErrorCode} from './errors.ts';
import type {LabEvent} from './events.ts';
import {FAULT_NAMES, type FaultName} from './faults.ts';
import {createLab, type Lab} from './lab.ts';
import type {LabStatus} from './lab-status.ts';

/** What a command line needs of the world. */
export interface CommandContext {
  readonly signal: AbortSignal;
  /** Standard output; the text ends with a newline. */
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly stdoutIsTerminal: boolean;
}

/** One parsed command line of `provision lab`. */
export type LabCommand =
  | {readonly kind: 'up'; readonly hosts: number | undefined}
  | {readonly kind: 'down'}
  | {readonly kind: 'status'; readonly output: 'text' | 'json'}
  | {
      readonly kind: 'ssh';
      readonly user: string;
      readonly host: string;
      readonly command: readonly string[];
    }
  | {readonly kind: 'fault'; readonly name: FaultName; readonly target: string}
  | {readonly kind: 'help'};

export const LAB_USAGE = `Usage: provision lab [--hosts N]     hosts, programs, images, cluster and proof
       provision lab COMMAND

  up [--hosts N]            make N hosts (3) and a site, add hosts, or start stopped ones
  down                      remove all of it; keeps the image cache .lab/site/registry
  status [--output json]    hosts, site and their state
  ssh [USER@]HOST [CMD...]  a shell, or one command, as root unless told otherwise
  crash | start HOST        power cut, and power on again
  reboot HOST               the host's own reboot
  pause | resume HOST       stop every process where it is, let it run on
  cut | heal HOST           take the network cable out, put it back

HOST is h1, h2, ... or site (registry 10.89.0.2:5000, packages 10.89.0.2:8080).
`;

const OUTPUTS = ['text', 'json'] as const;
const WORDS = ['up', 'down', 'status', 'ssh', ...FAULT_NAMES] as const;

/**
 * Runs `provision lab …`.
 *
 * @param argv what follows `lab`
 * @returns the exit code: 0, or that of the command that `ssh` ran
 * @throws CodedError of the lab's codes; `ERR_USAGE` for a command line that says nothing sensible
 */
export async function runLab(
  argv: readonly string[],
  context: CommandContext,
  lab: Lab = createLab(),
): Promise<number> {
  const command = parseLabCommand(argv);
  const {signal, write} = context;
  const onEvent = (event: LabEvent) => {
    printEvent(event, context);
  };
  switch (command.kind) {
    case 'help':
      write(LAB_USAGE);
      return 0;
    case 'up': {
      const hosts = command.hosts === undefined ? {} : {hosts: command.hosts};
      const status = await lab.up({...hosts, signal, onEvent});
      write(
        `lab is up: ${status.hosts.map(({name, address}) => `${name} ${address}`).join(', ')}\n`,
      );
      write(`cluster file: ${status.clusterFile}\n`);
      return 0;
    }
    case 'down':
      write((await lab.down({signal, onEvent})) ? 'lab is down\n' : 'no lab was up\n');
      return 0;
    case 'status': {
      const status = await lab.status(signal);
      write(command.output === 'json' ? `${JSON.stringify(status)}\n` : formatStatus(status));
      return 0;
    }
    case 'ssh':
      return await runAttached(await lab.sshCommand(command.host, command.command, command.user), {
        signal,
      });
    case 'fault':
      await lab.fault(command.name, command.target, signal);
      write(`${command.name} ${command.target}: done\n`);
      return 0;
    default:
      return command satisfies never;
  }
}

export function isHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

/** @throws CodedError `ERR_USAGE` */
export function parseLabCommand(argv: readonly string[]): LabCommand {
  const [word = 'help', ...rest] = argv;
  // What follows the host of ssh is another program's.
  const asked = word === 'ssh' ? rest.slice(0, 1) : rest;
  if (word === 'help' || [word, ...asked].some(isHelp)) return {kind: 'help'};
  switch (word) {
    case 'up':
      return {kind: 'up', hosts: parseHostCount(parseOptions(word, rest, 'hosts'))};
    case 'down':
      parseOptions(word, rest);
      return {kind: 'down'};
    case 'status':
      return {kind: 'status', output: parseOutput(parseOptions(word, rest, 'output'))};
    case 'ssh':
      return parseSsh(rest);
    default:
      return parseFault(word, rest);
  }
}

/** What `status` prints on a terminal. */
export function formatStatus({up, owner, hosts, site, clusterFile}: LabStatus): string {
  if (!up) {
    return owner === null ? 'no lab is up\n' : `no lab of this checkout is up (owner: ${owner})\n`;
  }
  const hostRows = hosts.map(({name, address, state, cable, memoryBytes}) => {
    const memory = memoryBytes === null ? '-' : `${Math.round(memoryBytes / 1024 ** 2)} MB`;
    return [name, address, state + (state === 'stopped' ? '' : cableNote(cable)), memory];
  });
  const services = `registry ${site.registry}, packages ${site.packages}${cableNote(site.cable)}`;
  const lines = [...hostRows, ['site', site.address, services]].map(([name, address, ...rest]) =>
    [name?.padEnd(4), address?.padEnd(10), ...rest].join('  '),
  );
  return `${lines.join('\n')}\ncluster file: ${clusterFile}\n`;
}

function cableNote(cable: 'plugged' | 'cut'): string {
  return cable === 'cut' ? ', cable cut' : '';
}

function parseFault(word: string, rest: readonly string[]): LabCommand {
  const name = FAULT_NAMES.find(fault => fault === word);
  if (name === undefined) {
    const meant = nearest(word, WORDS);
    const hint =
      meant === undefined ? `it is one of ${WORDS.join(', ')}` : `did you mean "${meant}"?`;
    throw usage(`"provision lab ${word}" is no command`, hint);
  }
  const [target, ...more] = rest;
  if (target === undefined || more.length > 0) {
    throw usage(
      `"provision lab ${word}" takes one host, and was given ${rest.length}`,
      `name a host: "provision lab ${word} h2"`,
    );
  }
  return {kind: 'fault', name, target};
}

/** Everything after the host belongs to the remote command, dashes included. */
function parseSsh(rest: readonly string[]): LabCommand {
  const [destination, ...command] = rest;
  if (destination === undefined || destination.startsWith('-')) {
    throw usage('"provision lab ssh" needs a host', 'name one: "provision lab ssh h1"');
  }
  const at = destination.lastIndexOf('@');
  return {
    kind: 'ssh',
    user: at < 0 ? 'root' : destination.slice(0, at),
    host: destination.slice(at + 1),
    command: command[0] === '--' ? command.slice(1) : command,
  };
}

/** The value of the one option that the command has. */
function parseOptions(word: string, rest: readonly string[], option?: string): string | undefined {
  try {
    const options = option === undefined ? {} : {[option]: {type: 'string'} as const};
    const {values} = parseArgs({args: [...rest], options, allowPositionals: false});
    return option === undefined ? undefined : (values as Readonly<Record<string, string>>)[option];
  } catch (cause) {
    const given = rest.find(argument => argument.startsWith('--'))?.slice(2) ?? '';
    const meant = option === undefined ? undefined : nearest(given.split('=')[0] ?? '', [option]);
    const hint =
      meant === undefined
        ? 'run "provision lab --help" for its options'
        : `did you mean "--${meant}"?`;
    throw usage(`"provision lab ${word}": ${messageOf(cause).split('. ')[0] ?? ''}`, hint, cause);
  }
}

function parseHostCount(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= HOST_COUNT_MAX) return count;
  throw usage(
    `--hosts is ${JSON.stringify(text)}, not a number from 1 to ${HOST_COUNT_MAX}`,
    'give a number: "provision lab up --hosts 3"',
  );
}

function parseOutput(text: string | undefined): 'text' | 'json' {
  const output = OUTPUTS.find(known => known === (text ?? 'text'));
  if (output !== undefined) return output;
  throw usage(`--output is ${JSON.stringify(text)}`, `it is one of ${OUTPUTS.join(', ')}`);
}

function usage(message: string, hint: string, cause?: unknown): CodedError<LabErrorCode> {
  return new CodedError('ERR_USAGE', message, {hint, cause});
}

function printEvent(event: LabEvent, {write, writeError, stdoutIsTerminal}: CommandContext): void {
  switch (event.kind) {
    case 'started':
      // In a log the line that ends a step is enough; on a terminal one wants to see what it waits for.
      if (stdoutIsTerminal) writeError(`  ... ${event.step}\n`);
      break;
    case 'done':
      write(`${event.seconds.toFixed(1).padStart(6)} s  ${event.step}\n`);
      break;
    case 'note':
      write(`${event.text}\n`);
      break;
    default:
      event satisfies never;
  }
}
