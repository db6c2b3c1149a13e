import {isCoded, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {Log} from '#shared/log';
import {isPinned} from '../sys/namespace.ts';
import {type AttachmentCache, openAttachmentCache} from './attachment-cache.ts';
import {
  addAttachment,
  type Attachment,
  type ChainCall,
  collectGarbage,
  deleteAttachment,
  STATUS_AND_GC,
} from './chain.ts';
import {isAtLeast, type NetworkConfiguration} from './configuration.ts';
import {networkNotReady} from './network-not-ready.ts';
import {type NetworkState, openNetworkState, type Readiness} from './network-state.ts';
import {capabilityArguments, cniArguments, type PodNetworkIdentity} from './pod-identity.ts';
import {podAddresses} from './result.ts';

export type {PodNetworkIdentity} from './pod-identity.ts';

export interface PodNetworkOptions {
  /** Watched for `*.conflist`, `*.conf` and `*.json`; the first valid one by name is used. */
  readonly confDirectory: string;
  /** Searched for plugins in this order. */
  readonly binDirectories: readonly string[];
  /** Survives reboots, so that what plugins keep on disk (leases) can be given back. */
  readonly cacheDirectory: string;
  readonly log: Log;
  /** How long a new configuration may fail as not ready, see `NetworkState.isStarting`. */
  readonly startingMs?: number;
}

/** The network of pods by CNI plugins (CNI 1.1). */
export interface PodNetwork {
  readonly readiness: () => Readiness;
  /**
   * Gives a pod its interface. After a failure nothing is left of it.
   *
   * @returns its addresses, primary first
   * @throws CodedError `ERR_NETWORK_NOT_READY`, also for the failure of a plugin while the network
   *   may be starting: a kubelet tries again after 1 s, not 10; `ERR_NETWORK_PLUGIN_FAILED`,
   *   `ERR_REQUEST_INVALID`; the signal's reason
   */
  readonly add: (
    identity: PodNetworkIdentity,
    signal: AbortSignal,
  ) => Promise<{readonly addresses: readonly string[]}>;
  /**
   * Takes it away again, by the configuration that it was made with. Idempotent; works without
   * the namespace, and for a pod that `add` has never seen.
   *
   * @throws CodedError `ERR_NETWORK_PLUGIN_FAILED`: to be tried again; the signal's reason
   */
  readonly remove: (identity: PodNetworkIdentity, signal: AbortSignal) => Promise<void>;
  /** Ends the attachments of all other sandboxes; failures are logged and tried again next time. */
  readonly collectGarbage: (valid: ReadonlySet<string>) => Promise<void>;
  readonly close: () => void;
}

const ADD_TIMEOUT_MS = 5 * 60_000;
const DELETE_TIMEOUT_MS = 60_000;
/** The daemon serves after it, and systemd waits 90 s; what is not done is done at the next start. */
const GARBAGE_TIMEOUT_MS = 30_000;
const GARBAGE_AT_ONCE = 4;

export function openPodNetwork(options: PodNetworkOptions): PodNetwork {
  return new CniNetwork(options);
}

class CniNetwork implements PodNetwork {
  readonly #options: PodNetworkOptions;
  readonly #state: NetworkState;
  readonly #cache: AttachmentCache;
  readonly #closing = new AbortController();
  /** Attached since the start: never garbage, however old the caller's list is. */
  readonly #own = new Set<string>();

  constructor(options: PodNetworkOptions) {
    this.#options = options;
    this.#state = openNetworkState(options);
    this.#cache = openAttachmentCache(options.cacheDirectory);
  }

  readiness(): Readiness {
    return this.#state.readiness();
  }

  async add(
    identity: PodNetworkIdentity,
    signal: AbortSignal,
  ): Promise<{readonly addresses: readonly string[]}> {
    const {confDirectory, log} = this.#options;
    const configuration = await this.#state.configuration();
    if (configuration === undefined) {
      throw networkNotReady(`no valid network configuration in ${confDirectory}`, {
        hint: 'install the network add-on of the cluster',
      });
    }
    warnOfLostCapabilities(identity, configuration, log);
    const attachment = attachmentOf(identity, configuration);
    this.#own.add(identity.sandboxId);
    try {
      const added = await this.#begin(attachment, signal);
      this.#state.carried();
      return added;
    } catch (error) {
      await this.#end(attachment, NEVER).catch((cause: unknown) => {
        const {sandboxId} = identity;
        log.warn('network of a failed pod not removed', {sandboxId, problem: messageOf(cause)});
      });
      throw this.#state.isStarting() ? startingError(error) : error;
    }
  }

  async remove(identity: PodNetworkIdentity, signal: AbortSignal): Promise<void> {
    const attachment =
      (await this.#cache.read(identity.sandboxId)) ??
      unrecorded(identity, await this.#state.configuration());
    if (attachment !== undefined) await this.#end(attachment, signal);
  }

  async collectGarbage(valid: ReadonlySet<string>): Promise<void> {
    const {log} = this.#options;
    const configuration = await this.#state.configuration();
    const signal = AbortSignal.timeout(GARBAGE_TIMEOUT_MS);
    const known = await this.#cache.list();
    const lost = known.filter(id => !valid.has(id) && !this.#own.has(id));
    const remove = async (sandboxId: string): Promise<void> => {
      const attachment =
        (await this.#cache.read(sandboxId)) ?? unrecorded(unknownPod(sandboxId), configuration);
      if (attachment !== undefined) await this.#end(attachment, signal);
    };
    await eachOf(lost, remove, log);
    const call = this.#call(GARBAGE_TIMEOUT_MS, signal);
    await collectByPlugins(configuration, [...valid, ...this.#own], call, log);
  }

  close(): void {
    this.#closing.abort();
    this.#state.close();
  }

  async #begin(
    attachment: Attachment,
    signal: AbortSignal,
  ): Promise<{readonly addresses: readonly string[]}> {
    // A crash from here on leaves something to be found; the disk need not be waited for alone.
    const [recorded, added] = await Promise.allSettled([
      this.#cache.write(attachment),
      addAttachment(attachment, this.#call(ADD_TIMEOUT_MS, signal)),
    ]);
    if (added.status === 'rejected') throw added.reason;
    if (recorded.status === 'rejected') throw recorded.reason;
    const addresses = podAddresses(added.value);
    await this.#cache.write({...attachment, result: added.value});
    return {addresses};
  }

  async #end(attachment: Attachment, signal: AbortSignal): Promise<void> {
    await deleteAttachment(withoutLostNamespace(attachment), this.#call(DELETE_TIMEOUT_MS, signal));
    await this.#cache.remove(attachment.sandboxId);
    this.#own.delete(attachment.sandboxId);
  }

  #call(timeoutMs: number, signal: AbortSignal): ChainCall {
    return {
      binDirectories: this.#options.binDirectories,
      timeoutMs,
      signal: AbortSignal.any([signal, this.#closing.signal]),
    };
  }
}

const NEVER = new AbortController().signal;

function attachmentOf(
  identity: PodNetworkIdentity,
  configuration: NetworkConfiguration,
): Attachment {
  return {
    sandboxId: identity.sandboxId,
    networkNamespace: identity.networkNamespace,
    cniArguments: cniArguments(identity),
    capabilityArguments: capabilityArguments(identity),
    configuration,
  };
}

/** For a pod of which no record is left, the present configuration is the best guess. */
function unrecorded(
  identity: PodNetworkIdentity,
  configuration: NetworkConfiguration | undefined,
): Attachment | undefined {
  return configuration && attachmentOf(identity, configuration);
}

function unknownPod(sandboxId: string): PodNetworkIdentity {
  return {sandboxId, namespace: '', name: '', uid: '', networkNamespace: '', portMappings: []};
}

/** A reboot takes namespaces; CNI wants an empty path then. */
function withoutLostNamespace(attachment: Attachment): Attachment {
  const {networkNamespace} = attachment;
  return isPinned(networkNamespace) ? attachment : {...attachment, networkNamespace: ''};
}

/** A chain that does not know a capability ignores it: the operator should hear of it once. */
function warnOfLostCapabilities(
  identity: PodNetworkIdentity,
  {name, plugins}: NetworkConfiguration,
  log: Log,
): void {
  const asked = capabilityArguments(identity);
  for (const capability of ['portMappings', 'bandwidth']) {
    if (asked[capability] === undefined) continue;
    if (plugins.some(({capabilities}) => capabilities?.[capability] === true)) continue;
    log.once(
      `cni-capability ${name} ${capability}`,
      'pods ask for what no plugin of their network can do',
      {network: name, capability, pod: `${identity.namespace}/${identity.name}`},
    );
  }
}

async function eachOf(
  sandboxIds: readonly string[],
  remove: (sandboxId: string) => Promise<void>,
  log: Log,
): Promise<void> {
  const waiting = [...sandboxIds];
  const worker = async (): Promise<void> => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const sandboxId = id;
      await remove(sandboxId).catch((error: unknown) => {
        log.warn('network of a lost pod not removed', {sandboxId, problem: messageOf(error)});
      });
    }
  };
  await Promise.all(Array.from({length: GARBAGE_AT_ONCE}, worker));
}

/** What plugins hold without a record of ours, e.g. leases of a removed cache directory. */
async function collectByPlugins(
  configuration: NetworkConfiguration | undefined,
  valid: readonly string[],
  call: ChainCall,
  log: Log,
): Promise<void> {
  if (configuration === undefined || configuration.disableGC) return;
  if (!isAtLeast(configuration.cniVersion, STATUS_AND_GC)) return;
  await collectGarbage(configuration, valid, call).catch((error: unknown) => {
    log.warn('network plugins collected no garbage', {problem: messageOf(error)});
  });
}

function startingError(error: unknown): unknown {
  if (!isCoded(error) || error.code !== ('ERR_NETWORK_PLUGIN_FAILED' satisfies RuntimeErrorCode))
    return error;
  const hint = 'its add-on may be starting; if this stays, see the pods of the add-on';
  return networkNotReady(error.message, {hint, cause: error});
}
