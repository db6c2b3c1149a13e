import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import type {Task} from '../engine/graph.ts';
import {runGraph} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {FACTS_SCRIPT} from '../facts/facts-script.ts';
import {parseFacts, parseStateFact} from '../facts/parse-facts.ts';
import {HostRecord} from '../host-state/host-record.ts';
import type {HostSession} from '../phases/session.ts';
import type {Host} from '../role/cluster.ts';
import type {Connection} from '../transport/connection.ts';
import type {Environment} from './environment.ts';

export const LOCK_PATH = '/run/slipway/lock';

/** A host that was reached, with what the facts script said. */
export interface OpenHost extends HostSession {
  /** Seconds since 1970 here, halfway between asking the host and hearing from it. */
  readonly operatorSeconds: number;
}

/** All connections of a run; disposing closes every one. */
export class OpenHosts implements AsyncDisposable {
  readonly hosts: readonly OpenHost[];
  /** What kept the other hosts from being opened, by name. */
  readonly failures: ReadonlyMap<string, unknown>;
  readonly #connections: readonly Connection[];

  constructor(parts: Pick<OpenHosts, 'hosts' | 'failures'> & {connections: readonly Connection[]}) {
    this.hosts = parts.hosts;
    this.failures = parts.failures;
    this.#connections = parts.connections;
  }

  get errors(): readonly unknown[] {
    return [...this.failures.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#connections.map(each => each[Symbol.asyncDispose]()));
  }
}

export interface OpenOptions {
  /** Take the hosts' locks: for everything that changes them. */
  readonly lock: boolean;
}

/** Connects to hosts in parallel and reads their facts; failures are collected, not thrown. */
export async function openHosts(
  environment: Environment,
  hosts: readonly Host[],
  {lock}: OpenOptions,
): Promise<OpenHosts> {
  const connections = new Map<string, Connection>();
  const opened: OpenHost[] = [];
  const tasks = hosts.flatMap((host): readonly Task[] => [
    {
      phase: 'connect',
      host: host.name,
      after: [],
      run: async ({signal, progress}) => {
        const {knownHostsPaths, connect, owner} = environment;
        const target = {...host, host: host.name, knownHostsPaths};
        const connection = await connect(target, {signal});
        connections.set(host.name, connection);
        if (lock) await connection.lock(LOCK_PATH, {signal, owner, onOrphan: progress});
        return 0;
      },
    },
    {
      phase: 'facts',
      host: host.name,
      after: [`connect@${host.name}`],
      run: async ({signal}) => {
        const connection = connections.get(host.name);
        if (connection === undefined) throw new TypeError(`${host.name} is not connected`);
        opened.push(await readFacts(environment, host, {connection, signal}));
        return 0;
      },
    },
  ]);
  const {signal, emit, options, clock} = environment;
  const graph = {signal, emit, forks: options.forks, now: clock.monotonicMs};
  const results = await runGraph(tasks, graph);
  const failures = new Map(
    [...results].flatMap(([key, result]) =>
      result.kind === 'failed' ? [[key.slice(key.indexOf('@') + 1), result.error]] : [],
    ),
  );
  const byName = opened.sort((a, b) => (a.host.name < b.host.name ? -1 : 1));
  return new OpenHosts({hosts: byName, failures, connections: [...connections.values()]});
}

async function readFacts(
  {clock, cluster}: Environment,
  host: Host,
  {connection, signal}: {readonly connection: Connection; readonly signal: AbortSignal},
): Promise<OpenHost> {
  const askedMs = clock.now().getTime();
  const {exitCode, stdout, stderr} = await connection.run(FACTS_SCRIPT, {signal});
  if (exitCode !== 0) {
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_HOST_FACTS_FAILED',
      `${host.name}: cannot read the host's facts (exit code ${exitCode}): ${lastLines(stderr, 5)}`,
      {hint: `log in to ${host.name} and look whether it is healthy`},
    );
  }
  const operatorSeconds = (askedMs + clock.now().getTime()) / 2000;
  const state = parseStateFact(stdout, host.name, cluster.name);
  const record = new HostRecord(connection, state);
  return {host, connection, facts: parseFacts(stdout), record, operatorSeconds};
}
