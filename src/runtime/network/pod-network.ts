import {CodedError, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {Log} from '../log.ts';
import {Attachments} from './attachments.ts';
import {type NetworkConfiguration, pluginInput} from './cni-configuration.ts';
import {callPlugin, type CniCommand} from './cni-plugin.ts';
import {sandboxAddresses} from './cni-result.ts';
import {openNetworkDirectory} from './network-directory.ts';
import type {PodNetworkIdentity} from './pod-network-identity.ts';
import {runtimeConfigOf} from './runtime-config-of.ts';

export type {PodNetworkIdentity, PortMapping} from './pod-network-identity.ts';

export type NetworkReadiness =
  | {readonly ready: true}
  | {readonly ready: false; readonly reason: 'NetworkPluginNotReady'; readonly message: string};

export interface PodNetwork {
  /** Kubernetes' condition NetworkReady. */
  readonly readiness: () => NetworkReadiness;
  /**
   * CNI ADD of the chain; what a failed one made is undone.
   *
   * @returns the pod's addresses, in the plugins' order
   * @throws CodedError ERR_NETWORK_NOT_READY, ERR_NETWORK_PLUGIN_FAILED; the signal's reason
   */
  readonly add: (
    identity: PodNetworkIdentity,
    signal: AbortSignal,
  ) => Promise<{readonly addresses: readonly string[]}>;
  /**
   * CNI DEL of the chain that was added; succeeds when there is nothing to remove.
   *
   * @throws CodedError ERR_NETWORK_PLUGIN_FAILED: try again later; the signal's reason
   */
  readonly remove: (identity: PodNetworkIdentity, signal: AbortSignal) => Promise<void>;
  /** DEL for every attachment whose sandbox is not named; failures are logged. */
  readonly collectGarbage: (valid: ReadonlySet<string>) => Promise<void>;
  readonly close: () => void;
}

export interface PodNetworkOptions {
  readonly confDirectory: string;
  readonly binDirectories: readonly string[];
  readonly cacheDirectory: string;
  readonly log: Log;
}

const INTERFACE = 'eth0';
const ADD_TIMEOUT_MS = 5 * 60_000;
const DEL_TIMEOUT_MS = 60_000;

/** The pods' network by CNI plugins (CNI 1.1.0), as /etc/cni/net.d describes it. */
export function openPodNetwork(options: PodNetworkOptions): PodNetwork {
  const {binDirectories, cacheDirectory, log} = options;
  const directory = openNetworkDirectory(options.confDirectory, log);
  const attachments = new Attachments(cacheDirectory, log);
  void directory.refresh();

  const currentNetwork = async () => {
    if (directory.network() === undefined) await directory.refresh();
    const network = directory.network();
    if (network !== undefined) return network;
    throw new CodedError<RuntimeErrorCode>('ERR_NETWORK_NOT_READY', directory.problem(), {
      hint: "install the cluster's network add-on, or look why its pod does not run",
    });
  };

  const remove = async (identity: PodNetworkIdentity, signal: AbortSignal) => {
    const known = await attachments.read(identity.sandboxId);
    if (known === undefined) return; // it was never added, or is removed already
    await detach(known.network, {...identity, ...known.identity}, known.result, {
      binDirectories,
      signal,
    });
    await attachments.remove(identity.sandboxId);
  };

  return {
    readiness() {
      if (directory.network() !== undefined) return {ready: true};
      return {ready: false, reason: 'NetworkPluginNotReady', message: directory.problem()};
    },
    async add(identity, signal) {
      const network = await currentNetwork();
      warnAboutPorts(identity, network, log);
      await attachments.write({identity, network});
      try {
        const result = await attach(network, identity, {binDirectories, signal});
        const addresses = sandboxAddresses(result);
        await attachments.write({identity, network, result});
        return {addresses};
      } catch (error) {
        await remove(identity, AbortSignal.timeout(DEL_TIMEOUT_MS)).catch((left: unknown) => {
          log.warn('what a failed CNI ADD left is not removed yet', {
            sandboxId: identity.sandboxId,
            reason: messageOf(left),
          });
        });
        throw error;
      }
    },
    remove,
    async collectGarbage(valid) {
      for (const sandboxId of await attachments.list()) {
        if (valid.has(sandboxId)) continue;
        const known = await attachments.read(sandboxId);
        if (known === undefined) await attachments.remove(sandboxId);
        else
          await remove(known.identity, AbortSignal.timeout(DEL_TIMEOUT_MS)).catch(
            (error: unknown) => {
              log.warn('a network attachment is left', {sandboxId, reason: messageOf(error)});
            },
          );
      }
    },
    close: () => {
      directory.close();
    },
  };
}

interface Calling {
  readonly binDirectories: readonly string[];
  readonly signal: AbortSignal;
}

async function attach(
  network: NetworkConfiguration,
  identity: PodNetworkIdentity,
  calling: Calling,
): Promise<unknown> {
  const runtimeConfig = runtimeConfigOf(identity);
  let prevResult: unknown;
  for (const plugin of network.plugins) {
    const input = pluginInput(network, plugin, {prevResult, runtimeConfig});
    const call = {...callOf('ADD', identity, calling), type: plugin.type, input};
    prevResult = (await callPlugin(call)) ?? prevResult;
  }
  return prevResult;
}

/** In reverse, each with the result of the whole chain (CNI 1.1.0 §2, "Lifecycle & Ordering"). */
async function detach(
  network: NetworkConfiguration,
  identity: PodNetworkIdentity,
  prevResult: unknown,
  calling: Calling,
): Promise<void> {
  const runtimeConfig = runtimeConfigOf(identity);
  for (const plugin of [...network.plugins].reverse()) {
    const input = pluginInput(network, plugin, {prevResult, runtimeConfig});
    await callPlugin({...callOf('DEL', identity, calling), type: plugin.type, input});
  }
}

function callOf(command: CniCommand, identity: PodNetworkIdentity, calling: Calling) {
  const {sandboxId, namespace, name, uid, networkNamespace} = identity;
  return {
    command,
    ...calling,
    timeoutMs: command === 'ADD' ? ADD_TIMEOUT_MS : DEL_TIMEOUT_MS,
    attachment: {
      containerId: sandboxId,
      networkNamespace,
      interfaceName: INTERFACE,
      arguments: [
        'IgnoreUnknown=1',
        `K8S_POD_NAMESPACE=${namespace}`,
        `K8S_POD_NAME=${name}`,
        `K8S_POD_INFRA_CONTAINER_ID=${sandboxId}`,
        `K8S_POD_UID=${uid}`,
      ].join(';'),
    },
  };
}

function warnAboutPorts(identity: PodNetworkIdentity, network: NetworkConfiguration, log: Log) {
  const wants = identity.portMappings.some(({hostPort}) => hostPort > 0);
  const has = network.plugins.some(({capabilities}) => capabilities?.['portMappings'] === true);
  if (!wants || has) return;
  log.once(`no portmap in ${network.name}`, 'the pod network does not map ports of the host', {
    network: network.name,
    pod: `${identity.namespace}/${identity.name}`,
  });
}
