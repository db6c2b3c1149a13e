import {CodedError, messageOf} from '#shared/errors';
import {watchExits, type ExitWatcher} from './conmon/exits.ts';
import {watchMonitors, type MonitoredContainer, type MonitorWatch} from './conmon/monitors.ts';
import {createInstrument} from './cri/instrument.ts';
import {startCriServer} from './cri/server.ts';
import type {RuntimeErrorCode} from './errors.ts';
import type {DaemonOptions, RunningDaemon} from './run-daemon.ts';
import {processEnded} from './service/container-exit.ts';
import type {Dependencies} from './service/dependencies.ts';
import {imageService, imagesService} from './service/image-service.ts';
import {openParts} from './service/open-parts.ts';
import {recover} from './service/recover.ts';
import {runtimeService} from './service/runtime-service.ts';

/** Calls that are under way when the daemon is told to end get this long. */
const CALLS_GRACE_MS = 5_000;
/** After them what nobody waits for (a retried start, a release) gets this long. */
const WORK_GRACE_MS = 5_000;

/**
 * Builds the daemon from its parts, makes records and reality agree, and serves. It serves as soon
 * as every status is right; what is left of an earlier life is taken down meanwhile.
 */
export async function startDaemon(options: DaemonOptions): Promise<RunningDaemon> {
  const {config, log, signal, record} = options;
  const ending = new AbortController();
  const parts = await openParts(options, ending.signal);
  const {deps} = parts;
  try {
    const {rebooted, cleanUp} = await recover(deps);
    signal.throwIfAborted();
    const watches = watchProcesses(deps);
    await watches.ready;
    const server = await startCriServer({
      socket: config.socket,
      runtimeService: runtimeService(deps),
      imageService: imageService(deps),
      images: imagesService(deps),
      instrument: createInstrument({log, record}),
    });
    log.info('state is recovered', {
      sandboxes: deps.sandboxes.list().length,
      containers: deps.containers.list().length,
      rebooted,
    });
    const cleaning = cleanUp();
    return {
      sandboxes: () => countBy(deps.sandboxes.list(), ({status}) => status.state),
      containers: () => countBy(deps.containers.list(), ({status}) => status.state),
      reload: parts.reload,
      stop: async () => {
        await server.stop(CALLS_GRACE_MS);
        await Promise.race([settled(deps, cleaning), passed(WORK_GRACE_MS)]);
        ending.abort(daemonEnds());
        watches.close();
        await parts.close();
      },
    };
  } catch (error) {
    ending.abort(daemonEnds());
    await parts.close();
    throw error;
  }
}

interface Watches {
  /** Settles when everything that ended while no daemon was there is recorded. */
  readonly ready: Promise<void>;
  readonly close: () => void;
}

/** Two eyes on every container: conmon's exit file, and conmon itself. */
function watchProcesses(deps: Dependencies): Watches {
  const {layout, log} = deps;
  const ended = new Set<Promise<void>>();
  const exits: ExitWatcher = watchExits(
    layout.exits,
    (id, exit) => {
      const work = processEnded(id, exit, deps)
        .then(() => exits.forget(id))
        .catch((error: unknown) => {
          log.error('the end of a container is not recorded', {id, error: messageOf(error)});
        })
        .finally(() => ended.delete(work));
      ended.add(work);
    },
    {log},
  );
  const monitors: MonitorWatch = watchMonitors({
    containers: () => monitored(deps),
    onLost: containerId => {
      log.warn('the conmon of a running container is gone; its output is lost', {containerId});
    },
    onExit: (id, exit) => {
      processEnded(id, exit, deps).catch((error: unknown) => {
        log.error('the end of a container is not recorded', {id, error: messageOf(error)});
      });
    },
  });
  return {
    ready: exits.ready.then(async () => {
      await Promise.all(ended);
    }),
    close: () => {
      exits.close();
      monitors.close();
    },
  };
}

function* monitored({containers}: Dependencies): Generator<MonitoredContainer> {
  for (const {id, status, directory} of containers.list()) {
    const {state, init, conmon} = status;
    if (state === 'exited' || !init || !conmon) continue;
    yield {
      id,
      pid: init.pid,
      pidStartTime: init.startTime,
      conmonPid: conmon.pid,
      conmonStartTime: conmon.startTime,
      persistDirectory: directory,
    };
  }
}

async function settled({work, lives}: Dependencies, cleaning: Promise<void>): Promise<void> {
  await Promise.all([work.settled(), cleaning]);
  await lives.settled();
}

function countBy<Item>(
  items: readonly Item[],
  state: (item: Item) => string,
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[state(item)] = (counts[state(item)] ?? 0) + 1;
  return counts;
}

function passed(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref());
}

function daemonEnds(): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_CANCELLED', 'the daemon ends', {
    hint: 'ask again when it has been started',
  });
}
