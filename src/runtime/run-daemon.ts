import {CodedError, isCoded} from '#shared/errors';
import {loadConfig, type ConfigSources} from './config/load.ts';
import {findPrograms} from './config/programs.ts';
import {reloadable} from './config/reload.ts';
import type {RuntimeConfig} from './config/runtime-config.ts';
import type {CallRecord} from './cri/instrument.ts';
import {refuseSecond} from './cri/listen.ts';
import type {CommandErrorCode} from './errors.ts';
import {createLog, type Log} from '#shared/log';
import {createMetrics, type StateCounts} from './metrics/metrics.ts';
import {processFamilies} from '#shared/metrics/process-metrics';
import {serveMetrics} from './metrics/serve.ts';
import {VERSION} from './version.ts';

export interface DaemonOptions {
  readonly config: RuntimeConfig;
  readonly log: Log;
  /** Aborts a start that has not ended; a daemon that serves is stopped by `stop()`. */
  readonly signal: AbortSignal;
  /** Counts calls; belongs into `createInstrument`. */
  readonly record: (call: CallRecord) => void;
}

/** A daemon that answers on its socket. */
export interface RunningDaemon {
  readonly sandboxes: () => StateCounts;
  readonly containers: () => StateCounts;
  /** Takes over the keys that can change (`config/reload.ts`), and reads registries' files anew. */
  readonly reload: (config: RuntimeConfig) => Promise<void>;
  /** Stops serving; containers go on. */
  readonly stop: () => Promise<void>;
}

/** What the process gives to the daemon. */
export interface Surroundings {
  readonly isRoot: boolean;
  /** PATH, where programs are looked up. */
  readonly path: string;
  /** True where journald reads what is written. */
  readonly priorities: boolean;
  readonly write: (line: string) => void;
  /** sd_notify(3); does nothing without systemd. */
  readonly notify: (state: string) => void;
  /** Aborts when the daemon is to end. */
  readonly ending: AbortSignal;
  /** Calls back on SIGHUP. */
  readonly onReload: (reload: () => void) => void;
}

/**
 * Runs the daemon until it is told to end, or `start` fails.
 *
 * @throws CodedError of configuration, missing programs, the socket
 */
export async function runDaemon(
  sources: ConfigSources,
  start: (options: DaemonOptions) => Promise<RunningDaemon>,
  surroundings: Surroundings,
): Promise<void> {
  const {isRoot, path, priorities, write, notify, ending, onReload} = surroundings;
  const written = await loadConfig(sources);
  if (!isRoot) throw notRoot();
  // Before anything is touched: two daemons on one state would undo each other's work.
  await refuseSecond(written.socket);
  const log = createLog({level: written.logLevel, write, priorities});
  let config = findPrograms(written, {path, log});
  const metrics = createMetrics({processFamilies});
  const scrapes =
    config.metrics.address === undefined
      ? undefined
      : await serveMetrics(config.metrics.address, metrics.format);
  try {
    const daemon = await start({config, log, signal: ending, record: metrics.record});
    metrics.setGauges(daemon);
    const queue = new ReloadQueue(async () => {
      notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
      config = await reload({config, sources, path, daemon, log});
      notify('READY=1');
    });
    onReload(() => {
      queue.add();
    });
    notify(`READY=1\nSTATUS=serving ${config.listen}`);
    log.info('serving', {version: VERSION, listen: config.listen, metrics: scrapes?.address});
    await aborted(ending);
    notify('STOPPING=1');
    log.info('stopping; containers go on');
    await queue.idle;
    await daemon.stop();
    log.info('stopped');
  } finally {
    await scrapes?.close();
  }
}

/** A broken file changes nothing: the daemon goes on with what it has. */
async function reload({
  config,
  sources,
  path,
  daemon,
  log,
}: {
  readonly config: RuntimeConfig;
  readonly sources: ConfigSources;
  readonly path: string;
  readonly daemon: RunningDaemon;
  readonly log: Log;
}): Promise<RuntimeConfig> {
  try {
    const next = findPrograms(await loadConfig(sources), {path, log});
    const {config: merged, taken, waiting} = reloadable(config, next);
    log.setLevel(merged.logLevel);
    await daemon.reload(merged);
    log.info('configuration read anew', {taken});
    if (waiting.length > 0) log.warn('changed keys wait for a restart', {waiting});
    return merged;
  } catch (error) {
    log.error('configuration not taken over', {
      error: isCoded(error) ? error.message : error,
      ...(isCoded(error) ? {code: error.code, next: error.hint} : {}),
    });
    return config;
  }
}

/** Reloads one after the other; any number of requests while one runs are one more. */
class ReloadQueue {
  readonly #run: () => Promise<void>;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  get idle(): Promise<void> {
    return this.#running ?? Promise.resolve();
  }

  add(): void {
    this.#again = true;
    this.#running ??= this.#work();
  }

  async #work(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#run();
    }
    this.#running = undefined;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve();
    else {
      signal.addEventListener('abort', () => {
        resolve();
      });
    }
  });
}

function notRoot(): CodedError<CommandErrorCode> {
  return new CodedError(
    'ERR_NOT_ROOT',
    'the daemon mounts and makes namespaces, so it has to be root',
    {
      hint: 'run it with sudo, or as the systemd service slipway-cri',
    },
  );
}
