import {preloadKubernetesClient} from '#shared/kube/connect';
import type {ActionOptions, Environment} from '../actions/environment.ts';
import {loadCluster} from '../config/load.ts';
import {EVENTS_VERSION} from '../engine/events.ts';
import {Journal, newRunId} from '../journal/journal.ts';
import {createEnvironment} from '../main.ts';
import type {Arguments, Verb} from './arguments.ts';
import {type Output, Reporter} from './reporter.ts';

export interface CommandInput {
  readonly args: Arguments;
  readonly clusterFile: string;
  readonly output: Output;
  readonly signal: AbortSignal;
  /** Reads one line from the terminal. */
  readonly ask: (question: string) => Promise<string>;
}

/**
 * What a command works with: the environment of its actions and the way it tells of them. Disposing
 * waits until everything that was told stands on the terminal.
 */
export interface CommandContext extends AsyncDisposable {
  readonly environment: Environment;
  readonly reporter: Reporter;
  readonly journal: Journal | undefined;
}

const JOURNALLED: readonly Verb[] = ['apply', 'reset'];
const ASKS_THE_API: readonly Verb[] = ['apply', 'verify', 'status', 'issuers', 'certs'];
/** The others make no issuer, and need no key that one is made of. */
const NEEDS_SECRETS: readonly Verb[] = ['apply', 'plan'];

/** Loads the cluster and opens the journal; nothing is connected to yet. */
export async function openContext(
  {args, clusterFile, output, signal}: CommandInput,
  {quiet = false}: {readonly quiet?: boolean} = {},
): Promise<CommandContext> {
  const cluster = await loadCluster({
    file: clusterFile,
    secrets: NEEDS_SECRETS.includes(args.verb),
  });
  if (ASKS_THE_API.includes(args.verb)) preloadKubernetesClient();
  const {name, directory} = cluster;
  const journal = JOURNALLED.includes(args.verb)
    ? new Journal({
        directory,
        cluster: name,
        now: new Date(),
        warn: text => {
          output.writeError(`${text}\n`);
        },
      })
    : undefined;
  const silent: Output = {...output, write: () => undefined, isTerminal: false};
  const format = args.options.output;
  const reporter = new Reporter({output: quiet ? silent : output, format, journal});
  const {forks, limit, deep, acceptNewHostKeys} = args.options;
  const options: ActionOptions = {forks, limit, deep};
  const run = journal?.run ?? newRunId(new Date());
  const {emit} = reporter;
  const environment = await createEnvironment({
    cluster,
    emit,
    signal,
    options,
    acceptNewHostKeys,
    run,
  });
  emit({
    type: 'run-started',
    version: EVENTS_VERSION,
    run,
    action: args.verb,
    cluster: name,
    hosts: cluster.hosts.map(host => host.name),
  });
  return {environment, reporter, journal, [Symbol.asyncDispose]: () => reporter.flush()};
}
