import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {checkStatus, STATUS_AND_GC} from './chain.ts';
import {findConfiguration, watchConfigurations} from './configuration-directory.ts';
import {isAtLeast, type NetworkConfiguration} from './configuration.ts';
import {findPlugin, missingPlugin} from './plugin.ts';

/** What the kubelet is told of the network; its node is Ready only with it. */
export type Readiness =
  | {readonly ready: true}
  | {readonly ready: false; readonly reason: 'NetworkPluginNotReady'; readonly message: string};

/** Which network new pods get, and whether it works. */
export interface NetworkState {
  /** At once, from the last look; a look that is too old is renewed behind it. */
  readonly readiness: () => Readiness;
  /** The network for new pods, when there is one. */
  readonly configuration: () => Promise<NetworkConfiguration | undefined>;
  /**
   * True for a while after the configuration was taken, until it has carried a pod. An add-on
   * writes it before it can serve (flannel before its subnet.env), and a reboot keeps it.
   */
  readonly isStarting: () => boolean;
  /** The configuration has carried a pod. */
  readonly carried: () => void;
  readonly close: () => void;
}

export interface NetworkStateOptions {
  readonly confDirectory: string;
  readonly binDirectories: readonly string[];
  readonly log: Log;
  /** How long a new configuration counts as starting. @default 120 s */
  readonly startingMs?: number;
}

const STARTING_MS = 120_000;
const STATUS_TIMEOUT_MS = 10_000;
/** A look without need: finds what the watch has missed, and asks plugins for their STATUS. */
const LOOK_AGAIN_MS = 10_000;
/** While not ready, pods wait for it. */
const LOOK_AGAIN_SOON_MS = 500;

export function openNetworkState(options: NetworkStateOptions): NetworkState {
  const {confDirectory, log, startingMs = STARTING_MS} = options;
  const stop = new AbortController();
  let configuration: NetworkConfiguration | undefined;
  let readiness: Readiness = notReady('the network configuration has not been read yet');
  let lookedAt = -Infinity;
  let looking: Promise<void> | undefined;
  let startsUntil = -Infinity;

  const look = async (): Promise<void> => {
    const found = await findConfiguration(confDirectory, log);
    if (JSON.stringify(found?.configuration) !== JSON.stringify(configuration)) {
      log.info('network configuration taken', {
        path: found?.path,
        network: found?.configuration.name,
      });
      startsUntil = performance.now() + startingMs;
    }
    configuration = found?.configuration;
    const problem = await problemOf(configuration, options, stop.signal);
    readiness = problem === undefined ? {ready: true} : notReady(problem);
  };
  const lookNow = (): Promise<void> => {
    looking ??= look()
      .catch((error: unknown) => {
        readiness = notReady(messageOf(error));
      })
      .finally(() => {
        lookedAt = performance.now();
        looking = undefined;
      });
    return looking;
  };
  const unwatch = watchConfigurations(confDirectory, {onChange: () => void lookAfter(), log});
  /** A look that is under way may have read the old file: another one follows it. */
  const lookAfter = async (): Promise<void> => {
    await looking;
    if (!stop.signal.aborted) await lookNow();
  };
  return {
    readiness() {
      const ageMs = performance.now() - lookedAt;
      if (ageMs > (readiness.ready ? LOOK_AGAIN_MS : LOOK_AGAIN_SOON_MS)) void lookNow();
      return readiness;
    },
    async configuration() {
      if (configuration === undefined) await lookNow();
      return configuration;
    },
    isStarting: () => performance.now() < startsUntil,
    carried() {
      startsUntil = -Infinity;
    },
    close() {
      unwatch();
      stop.abort();
    },
  };
}

async function problemOf(
  configuration: NetworkConfiguration | undefined,
  {confDirectory, binDirectories}: NetworkStateOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (configuration === undefined) return `no valid network configuration in ${confDirectory}`;
  for (const {type} of configuration.plugins) {
    const program = await findPlugin(type, binDirectories);
    if (program === undefined) return missingPlugin(type, binDirectories).message;
  }
  if (!isAtLeast(configuration.cniVersion, STATUS_AND_GC)) return undefined;
  try {
    await checkStatus(configuration, {binDirectories, signal, timeoutMs: STATUS_TIMEOUT_MS});
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function notReady(message: string): Readiness {
  return {ready: false, reason: 'NetworkPluginNotReady', message};
}
