import type {Log} from '#shared/log';
import {processFamilies} from '#shared/metrics/process-metrics';
import {LEASE_NAME} from './apis/names.ts';
import type {ControllerConfig} from './config/flags.ts';
import type {Controller, ControllerOptions} from './controller.ts';
import type {ApiClient} from './kube/client.ts';
import type {Clock} from './kube/clock.ts';
import {leadWhile} from './kube/lease.ts';
import {createMetrics, type Metrics} from './metrics/metrics.ts';
import type {Phase} from './server/health.ts';
import {serveHealth, serveMetrics} from './server/listen.ts';
import {VERSION} from './version.ts';

/** What the process gives to the controller. */
export interface Surroundings {
  readonly client: ApiClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Who holds the Lease: no two that live may share it, e.g. the name of the pod. */
  readonly identity: string;
  /** `performance.now`. */
  readonly monotonicMs: () => number;
  /** Aborts when the program is to end. */
  readonly ending: AbortSignal;
  /** The controller itself (`controller.ts`). */
  readonly start: (options: ControllerOptions) => Promise<Controller>;
}

/**
 * Runs the controller until it is told to end; then the work in progress is ended, and the Lease is
 * given back.
 *
 * @throws CodedError ERR_LISTEN_ADDRESS; what `start` throws
 */
export async function runController(
  config: ControllerConfig,
  surroundings: Surroundings,
): Promise<void> {
  const {client, clock, log, monotonicMs, ending} = surroundings;
  const nowMs = (): number => clock.now().getTime();
  const metrics = createMetrics({processFamilies, nowMs});
  const state: {phase: Phase} = {phase: 'starting'};
  await using servers = new AsyncDisposableStack();
  const health = await serveHealth(config.healthAddress, {
    phase: () => state.phase,
    nowMs,
    monotonicMs,
  });
  servers.defer(health.close);
  const scrapes = await serveMetrics(config.metricsAddress, () => metrics.text());
  servers.defer(scrapes.close);
  const addresses = {metrics: scrapes.address, health: health.address};
  log.info('started', {version: VERSION, server: client.server, ...addresses});

  const lead = async (signal: AbortSignal): Promise<void> => {
    const setPhase = (next: Phase): void => {
      state.phase = next;
    };
    await work(config, {...surroundings, signal, metrics, setPhase});
    state.phase = ending.aborted ? 'ending' : 'standing by';
  };
  state.phase = 'standing by';
  await (config.leaderElection.enabled ? elect(config, surroundings, lead) : lead(ending));
  log.info('ended');
}

async function elect(
  {leaderElection}: ControllerConfig,
  {client, clock, log, identity, ending}: Surroundings,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const {namespace, leaseMs, renewMs, retryMs} = leaderElection;
  await leadWhile({
    client,
    lease: {namespace, name: LEASE_NAME},
    identity,
    leaseMs,
    renewMs,
    retryMs,
    clock,
    log,
    signal: ending,
    lead,
  });
}

interface Work extends Surroundings {
  /** Aborts when the program is to end, or the Lease is lost. */
  readonly signal: AbortSignal;
  readonly metrics: Metrics;
  readonly setPhase: (phase: Phase) => void;
}

/**
 * Works until the signal. Told to end, it lets what is being done come to its end; without the
 * Lease it stops in the middle, since another may have begun.
 */
async function work(
  config: ControllerConfig,
  {client, clock, log, ending, start, signal, metrics, setPhase}: Work,
): Promise<void> {
  setPhase('reading');
  const startedAt = performance.now();
  const stop = new AbortController();
  let isWorking = false;
  const stopped = new Promise<void>(resolve => {
    const onAbort = (): void => {
      if (!isWorking || !ending.aborted) stop.abort(signal.reason);
      resolve();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, {once: true});
  });
  const {observer} = metrics;
  let controller: Controller;
  try {
    controller = await start({client, config, clock, log, signal: stop.signal, observer});
  } catch (error) {
    if (stop.signal.aborted) return; // told to end while it read: no failure
    throw error;
  }
  await using running = controller;
  isWorking = true;
  metrics.setSource(running);
  setPhase('working');
  log.info('working', {
    certificates: running.views.certificates.size,
    certificateRequests: running.views.certificateRequests.size,
    secrets: running.views.secrets.size,
    readMs: Math.round(performance.now() - startedAt),
  });
  await stopped;
  setPhase('ending');
  metrics.setSource(undefined);
  log.info('stopping');
}
