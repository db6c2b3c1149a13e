import {stat} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {createInterface} from 'node:readline/promises';
import {formatTable} from '#shared/table';
import {runArtifacts, runImagesPush} from '#artifacts/command';
import {LOCK_FILE_NAME} from '#artifacts/lock-file';
import {CodedError, isCoded, messageOf} from '#shared/errors';
import {labErrors} from '#lab/errors';
import {isHelp, runLab} from '#lab/command';
import {REGISTRY_URL} from '#lab/inventory-files';
import {createLab} from '#lab/lab';
import {type Arguments, parseArguments, usage} from '#provisioner/cli/arguments';
import {exitCodeOf} from '#provisioner/cli/exit-code';
import {HELP} from '#provisioner/cli/help';
import type {Output} from '#provisioner/cli/reporter';
import {interrupted} from '#provisioner/actions/outcome';
import {runCommand} from '#provisioner/cli/run-command';
import {runnableHint} from '#provisioner/cli/runnable-hint';
import {ProblemsError} from '#provisioner/problems-error';

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
    return reportFailure(error, {signal, clusterFile: clusterFileOf(argv)});
  }
}

async function dispatch(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const [word = 'help', ...rest] = argv;
  if (asksForHelp(word, rest)) {
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

/** A command may stand before it; kubectl and the lab have a help of their own. */
function asksForHelp(word: string, rest: readonly string[]): boolean {
  if (word === 'help' || isHelp(word)) return true;
  if (word === 'kubectl' || word === 'lab') return false;
  const end = rest.indexOf('--');
  return rest.slice(0, end < 0 ? rest.length : end).some(isHelp);
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
  const [file, ...more] = others;
  if (verb !== 'push' || more.length > 0) throw usage('images has one command: images push');
  if (options.registry === undefined) {
    throw usage('images push needs a registry', 'add --registry http://HOST:PORT');
  }
  if (file !== undefined) await requireFile(file);
  await runImagesPush({
    registryUrl: options.registry,
    signal,
    write: output.write,
    ...(file !== undefined && {lockFilePath: lockFileBeside(file)}),
  });
  return 0;
}

/** A mistyped name would else get a lock file beside it that no cluster reads. */
async function requireFile(file: string): Promise<void> {
  const found = await stat(file).catch(() => undefined); // absent, or below what is no folder
  if (found?.isFile() === true) return;
  throw new CodedError('ERR_CONFIG_FILE_MISSING', `there is no file ${resolve(file)}`, {
    hint: 'check the path, or leave it out to push images for no cluster',
  });
}

/** cluster.yaml and its lock file are neighbours. */
const lockFileBeside = (clusterFile: string): string => join(dirname(clusterFile), LOCK_FILE_NAME);

/** `provision lab` alone is the whole of it: hosts, artifacts, images, cluster, proof. */
async function lab(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const {write, writeError, isTerminal} = output;
  const context = {signal, write, writeError, stdoutIsTerminal: isTerminal};
  const isWhole = argv.length === 0 || (argv[0] ?? '').startsWith('--hosts');
  if (!isWhole || argv.some(isHelp)) return await runLab(argv, context);
  const steps = new Steps(write);
  await steps.run('hosts and artifacts', () =>
    together(signal, [
      own => runLab(['up', ...argv], {...context, signal: own}),
      own => runArtifacts({signal: own, write: printWork}),
    ]),
  );
  await steps.run('images into the registry', () =>
    runImagesPush({
      registryUrl: REGISTRY_URL,
      lockFilePath: lockFileBeside(createLab().clusterFile),
      signal,
      write: printWork,
    }),
  );
  const apply = parseArguments(['apply', createLab().clusterFile, '--yes']);
  const code = await steps.run('cluster and proof', () => provision(apply, signal));
  write(`\n${steps.format()}\n${LAB_READY}`);
  return code;
}

/** Steps of a command with the time that each took. */
class Steps {
  readonly #write: Output['write'];
  readonly #rows: string[][] = [];
  readonly #startMs = performance.now();

  constructor(write: Output['write']) {
    this.#write = write;
  }

  async run<T>(title: string, work: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    this.#write(`[${secondsSince(this.#startMs)} s] ${title}\n`);
    const result = await work();
    this.#rows.push([title, secondsSince(startMs).padStart(6)]);
    return result;
  }

  format(): string {
    return formatTable(
      ['STEP', '     S'],
      [...this.#rows, ['all', secondsSince(this.#startMs).padStart(6)]],
    );
  }
}

const secondsSince = (startMs: number): string => ((performance.now() - startMs) / 1000).toFixed(1);

/** Runs all at the same time; when one fails the others are aborted and waited for. */
async function together(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const stop = new AbortController();
  const own = AbortSignal.any([signal, stop.signal]);
  let first: {readonly error: unknown} | undefined;
  await Promise.allSettled(
    works.map(async work => {
      try {
        await work(own);
      } catch (error) {
        first ??= {error};
        stop.abort(error);
      }
    }),
  );
  if (first !== undefined)
    throw first.error instanceof Error ? first.error : new Error(String(first.error));
}

/** Work that is being done is news; what was at hand, and the table of everything, is not. */
function printWork(text: string): void {
  if (/^[^\n]*: (making|made|waits|FAILED)/.test(text)) output.write(text);
}

const LAB_READY = `
The lab is yours:
  ./bin/provision kubectl get nodes       any kubectl command
  ./bin/provision kubeconfig              prints a kubeconfig
  ./bin/provision status                  hosts and cluster at a glance
  ./bin/provision lab ssh h1              a shell on a host
  ./bin/provision lab crash h2            a power cut; "lab start h2" ends it
  npm run lab -- down                     removes all of it, but the images in .lab/site/registry
`;

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({input: process.stdin, output: process.stdout});
  try {
    return await terminal.question(question, {signal});
  } catch (error) {
    // Ctrl-C and Ctrl-D at a question are an answer, too.
    if (error instanceof Error && error.name === 'AbortError') throw interrupted();
    throw error;
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
  process.on('SIGHUP', () => {
    if (!controller.signal.aborted) onSignal(); // a closed terminal and its shell both send it
  });
  // A reader that went away (`| head`) is an interruption: what has begun is finished.
  process.stdout.on('error', () => {
    controller.abort(new Error('nobody reads the output'));
  });
  // What is told there is lost with its reader (`2>&1 | tee`, Ctrl-C); what has begun is finished.
  process.stderr.on('error', () => undefined);
  return controller.signal;
}

/** What the user named, for hints that name it again. */
function clusterFileOf(argv: readonly string[]): string | undefined {
  try {
    return parseArguments(argv).clusterFile;
  } catch {
    return undefined; // another command, or the failure itself
  }
}

function reportFailure(
  error: unknown,
  {signal, clusterFile}: {readonly signal: AbortSignal; readonly clusterFile: string | undefined},
): number {
  if (signal.aborted && !isCoded(error)) return EXIT_INTERRUPTED;
  const failures = error instanceof ProblemsError ? error.problems : [error];
  for (const failure of failures) {
    if (isCoded(failure)) {
      const hint = runnableHint(failure.hint, clusterFile);
      output.writeError(`${failure.code}: ${failure.message}\n  next: ${hint}\n`);
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
