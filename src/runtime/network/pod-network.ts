import {CodedError, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {Log} from '../log.ts';
import {isPinned} from '../sys/namespace.ts';
import {openAttachmentCache} from './attachment-cache.ts';
import {
  addAttachment,
  type Attachment,
  type ChainCall,
  collectGarbage,
  deleteAttachment,
  STATUS_AND_GC,
} from './chain.ts';
import {isAtLeast, type NetworkConfiguration} from './configuration.ts';
import {openNetworkState, type Readiness} from './network-state.ts';
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
}

/** The network of pods by CNI plugins (CNI 1.1). */
export interface PodNetwork {
  readonly readiness: () => Readiness;
  /**
   * Gives a pod its interface. After a failure nothing is left of it.
   *
   * @returns its addresses, primary first
   * @throws CodedError `ERR_NETWORK_NOT_READY`, `ERR_NETWORK_PLUGIN_FAILED`, `ERR_REQUEST_INVALID`;
   *   the signal's reason
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
/** For all that a crash or a reboot has left; what is not done by then is done next time. */
const GARBAGE_TIMEOUT_MS = 2 * 60_000;
const GARBAGE_AT_ONCE = 4;

export function openPodNetwork(options: PodNetworkOptions): PodNetwork {
  const {binDirectories, cacheDirectory, log} = options;
  const state = openNetworkState(options);
  const cache = openAttachmentCache(cacheDirectory);
  const closing = new AbortController();
  /** Attached since the start: never garbage, however old the caller's list is. */
  const own = new Set<string>();
  const within = (timeoutMs: number, signal: AbortSignal): ChainCall => ({
    binDirectories,
    timeoutMs,
    signal: AbortSignal.any([signal, closing.signal]),
  });

  const end = async (attachment: Attachment, signal: AbortSignal): Promise<void> => {
    await deleteAttachment(withoutLostNamespace(attachment), within(DELETE_TIMEOUT_MS, signal));
    await cache.remove(attachment.sandboxId);
    own.delete(attachment.sandboxId);
  };
  const begin = async (attachment: Attachment, signal: AbortSignal) => {
    // A crash from here on leaves something to be found; the disk need not be waited for alone.
    const [recorded, added] = await Promise.allSettled([
      cache.write(attachment),
      addAttachment(attachment, within(ADD_TIMEOUT_MS, signal)),
    ]);
    if (added.status === 'rejected') throw added.reason;
    if (recorded.status === 'rejected') throw recorded.reason;
    const result = added.value;
    const addresses = podAddresses(result);
    await cache.write({...attachment, result});
    return {addresses};
  };
  return {
    readiness: state.readiness,
    async add(identity, signal) {
      const configuration = await state.configuration();
      if (configuration === undefined) throw notReady(options.confDirectory);
      warnOfLostCapabilities(identity, configuration, log);
      const attachment = attachmentOf(identity, configuration);
      own.add(identity.sandboxId);
      try {
        return await begin(attachment, signal);
      } catch (error) {
        await end(attachment, NEVER).catch((cause: unknown) => {
          const {sandboxId} = identity;
          log.warn('network of a failed pod not removed', {sandboxId, problem: messageOf(cause)});
        });
        throw error;
      }
    },
    async remove(identity, signal) {
      const attachment =
        (await cache.read(identity.sandboxId)) ?? unrecorded(identity, await state.configuration());
      if (attachment !== undefined) await end(attachment, signal);
    },
    async collectGarbage(valid) {
      const configuration = await state.configuration();
      const signal = AbortSignal.timeout(GARBAGE_TIMEOUT_MS);
      const lost = (await cache.list()).filter(id => !valid.has(id) && !own.has(id));
      await eachOf(
        lost,
        async sandboxId => {
          const attachment =
            (await cache.read(sandboxId)) ?? unrecorded(unknownPod(sandboxId), configuration);
          if (attachment !== undefined) await end(attachment, signal);
        },
        log,
      );
      await collectByPlugins(
        configuration,
        [...valid, ...own],
        within(GARBAGE_TIMEOUT_MS, signal),
        log,
      );
    },
    close() {
      closing.abort();
      state.close();
    },
  };
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

function notReady(confDirectory: string): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_NETWORK_NOT_READY',
    `no valid network configuration in ${confDirectory}`,
    {hint: 'install the network add-on of the cluster'},
  );
}
