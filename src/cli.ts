import {createInterface} from 'node:readline/promises';
import {runArtifacts, runImagesPush} from '#artifacts/command';
import {isCoded, messageOf} from '#shared/errors';
import {labErrors} from '#lab/errors';
import {runLab} from '#lab/command';
import {createLab} from '#lab/lab';
import {type Arguments, parseArguments, usage} from '#provisioner/cli/arguments';
import {exitCodeOf} from '#provisioner/cli/exit-code';
import {HELP} from '#provisioner/cli/help';
import type {Output} from '#provisioner/cli/reporter';
import {runCommand} from '#provisioner/cli/run-command';
import {ProblemsError} from '#provisioner/problems-error';

const REGISTRY_URL = 'http://10.89.0.2:5000';
const EXIT_INTERRUPTED = 130;

const output: Output = {
  write: text => void process.stdout.write(text),
  writeError: text => void process.stderr.write(text),
  isTerminal: process.stdin.isTTY && process.stdout.isTTY,
};

/** The whole program: argv in, exit code out. */
async function main(argv: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    return await dispatch(argv, signal);
  } catch (error) {
    return reportFailure(error, signal);
  }
}

async function dispatch(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const [word = 'help', ...rest] = argv;
  if (word === 'help' || word === '--help' || word === '-h') {
    output.write(HELP);
    return 0;
  }
  if (word === 'lab') return await lab(rest, signal);
  if (word === 'artifacts') {
    if (rest.length > 0) throw usage(`artifacts takes no arguments, found ${rest.join(' ')}`);
    await runArtifacts({signal, write: output.write});
    return 0;
  }
  const args = parseArguments(argv);
  if (args.verb === 'images') return await pushImages(args, signal);
  return await provision(args, signal);
}

async function provision(args: Arguments, signal: AbortSignal): Promise<number> {
  const clusterFile = args.clusterFile ?? (await labClusterFile());
  return await runCommand({
    args,
    clusterFile,
    output,
    signal,
    ask: question => ask(question, signal),
  });
}

/** Commands that are given no cluster file take the lab's while a lab is up. */
async function labClusterFile(): Promise<string> {
  const own = createLab();
  if (await own.isUp()) return own.clusterFile;
  throw usage(
    'no cluster file is given, and no lab is up',
    'name one: "provision plan cluster.yaml"',
  );
}

async function pushImages({rest, options}: Arguments, signal: AbortSignal): Promise<number> {
  const [verb = '', ...others] = rest;
  if (verb !== 'push' || others.length > 0) throw usage('images has one command: images push');
  if (options.registry === undefined) {
    throw usage('images push needs a registry', 'add --registry http://HOST:PORT');
  }
  await runImagesPush({registryUrl: options.registry, signal, write: output.write});
  return 0;
}

/** `provision lab` alone is the whole of it: hosts, artifacts, images, cluster, proof. */
async function lab(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const {write, writeError, isTerminal} = output;
  const context = {signal, write, writeError, stdoutIsTerminal: isTerminal};
  if (argv.length > 0 && !(argv[0] ?? '').startsWith('--hosts')) return await runLab(argv, context);
  const startedMs = performance.now();
  const step = (text: string) => {
    write(`[${((performance.now() - startedMs) / 1000).toFixed(1)} s] ${text}\n`);
  };
  step('lab hosts and artifacts (source: packages, the only one this version can use)');
  await Promise.all([runLab(['up', ...argv], context), runArtifacts({signal, write: printWork})]);
  step('images into the registry of the lab');
  await runImagesPush({registryUrl: REGISTRY_URL, signal, write: printWork});
  step('cluster');
  const code = await provision(parseArguments(['apply', createLab().clusterFile, '--yes']), signal);
  step('ready');
  write(LAB_READY);
  return code;
}

/** What was at hand is not news. */
function printWork(line: string): void {
  if (/: (building|done|failed|waiting)/.test(line)) output.write(line);
}

const LAB_READY = `
The lab is yours:
  ./bin/provision kubectl get nodes       any kubectl command
  ./bin/provision kubeconfig              prints a kubeconfig
  ./bin/provision status                  hosts and cluster at a glance
  ./bin/provision lab ssh h1              a shell on a host
  ./bin/provision lab crash h2            a power cut; "lab start h2" ends it
  npm run lab -- down                     removes all of it
`;

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({input: process.stdin, output: process.stdout});
  try {
    return await terminal.question(question, {signal});
  } finally {
    terminal.close();
  }
}

/** The first Ctrl-C lets what runs come to an end; the second ends the program. */
function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    output.writeError('\ninterrupted: finishing what has begun (again to stop at once)\n');
    controller.abort(new Error('interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}

function reportFailure(error: unknown, signal: AbortSignal): number {
  if (signal.aborted && !isCoded(error)) return EXIT_INTERRUPTED;
  const failures = error instanceof ProblemsError ? error.problems : [error];
  for (const failure of failures) {
    if (isCoded(failure)) {
      output.writeError(`${failure.code}: ${failure.message}\n  next: ${failure.hint}\n`);
    } else {
      const stack = failure instanceof Error ? failure.stack : undefined;
      output.writeError(`ERR_DEFECT: ${stack ?? messageOf(failure)}\n`);
      output.writeError('  next: this is a defect of ours; report it with the lines above\n');
    }
  }
  const labCodes: Readonly<Record<string, number>> = labErrors;
  const ownCode = isCoded(error) ? labCodes[error.code] : undefined;
  return ownCode ?? exitCodeOf(error);
}

process.exitCode = await main(process.argv.slice(2), interruptSignal());
