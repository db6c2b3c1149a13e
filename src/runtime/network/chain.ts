import type {CniVersion, NetworkConfiguration, PluginConfiguration} from './configuration.ts';
import {isAtLeast} from './configuration.ts';
import {callPlugin, type CniCommand} from './plugin.ts';
import type {CapabilityArguments} from './pod-identity.ts';
import {type CniResult, POD_INTERFACE} from './result.ts';

/** A pod's place in a network: all that is needed to make it and, later, to end it. */
export interface Attachment {
  readonly sandboxId: string;
  /** Empty when the namespace is gone: plugins then free what they hold elsewhere. */
  readonly networkNamespace: string;
  /** Value of `CNI_ARGS`. */
  readonly cniArguments: string;
  readonly capabilityArguments: CapabilityArguments;
  readonly configuration: NetworkConfiguration;
  /** Of the last plugin's ADD. */
  readonly result?: CniResult;
}

export interface ChainCall {
  readonly binDirectories: readonly string[];
  readonly signal: AbortSignal;
  /** For all plugins together. */
  readonly timeoutMs: number;
}

const PREVIOUS_RESULT_IN_DELETE: CniVersion = '0.4.0';
export const STATUS_AND_GC: CniVersion = '1.1.0';

/** Calls ADD of every plugin in turn, each with the result of the one before it. */
export async function addAttachment(attachment: Attachment, call: ChainCall): Promise<CniResult> {
  const deadline = deadlineOf(call);
  let result: CniResult | undefined;
  for (const plugin of attachment.configuration.plugins) {
    result = await callPlugin({
      ...call,
      command: 'ADD',
      type: plugin.type,
      timeoutMs: deadline(),
      variables: variablesOf(attachment),
      input: inputOf(attachment, plugin, result),
    });
  }
  return result ?? {};
}

/**
 * Calls DEL of every plugin, last to first. All are called, whatever fails: what one of them
 * leaves behind is no reason for the others to leave theirs.
 *
 * @throws the first failure
 */
export async function deleteAttachment(attachment: Attachment, call: ChainCall): Promise<void> {
  const deadline = deadlineOf(call);
  const {configuration, result} = attachment;
  const previous = isAtLeast(configuration.cniVersion, PREVIOUS_RESULT_IN_DELETE)
    ? result
    : undefined;
  const failures: unknown[] = [];
  for (const plugin of configuration.plugins.toReversed()) {
    call.signal.throwIfAborted();
    await callPlugin({
      ...call,
      command: 'DEL',
      type: plugin.type,
      timeoutMs: deadline(),
      variables: variablesOf(attachment),
      input: inputOf(attachment, plugin, previous),
    }).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** Asks every plugin whether it could serve an ADD (CNI 1.1 STATUS). @throws the first "no" */
export async function checkStatus(
  configuration: NetworkConfiguration,
  call: ChainCall,
): Promise<void> {
  await callAll('STATUS', configuration, {}, call);
}

/** Lets plugins free what belongs to no attachment of the list (CNI 1.1 GC). */
export async function collectGarbage(
  configuration: NetworkConfiguration,
  sandboxIds: readonly string[],
  call: ChainCall,
): Promise<void> {
  const valid = sandboxIds.map(containerID => ({containerID, ifname: POD_INTERFACE}));
  await callAll('GC', configuration, {'cni.dev/valid-attachments': valid}, call);
}

async function callAll(
  command: CniCommand,
  {plugins, name, cniVersion}: NetworkConfiguration,
  extra: object,
  call: ChainCall,
): Promise<void> {
  const deadline = deadlineOf(call);
  for (const plugin of plugins) {
    await callPlugin({
      ...call,
      command,
      type: plugin.type,
      timeoutMs: deadline(),
      variables: {},
      input: {...plugin, name, cniVersion, ...extra},
    });
  }
}

/** What is left of the time for all; a plugin that is called after its end is killed at once. */
function deadlineOf({timeoutMs}: ChainCall): () => number {
  const end = performance.now() + timeoutMs;
  return () => Math.max(1, Math.round(end - performance.now()));
}

function variablesOf(attachment: Attachment): Readonly<Record<string, string>> {
  return {
    CONTAINERID: attachment.sandboxId,
    NETNS: attachment.networkNamespace,
    IFNAME: POD_INTERFACE,
    ARGS: attachment.cniArguments,
  };
}

function inputOf(
  {configuration: {name, cniVersion}, capabilityArguments}: Attachment,
  plugin: PluginConfiguration,
  previous: CniResult | undefined,
): object {
  const wanted = Object.entries(capabilityArguments).filter(
    ([capability]) => plugin.capabilities?.[capability] === true,
  );
  return {
    ...plugin,
    name,
    cniVersion,
    ...(wanted.length === 0 ? {} : {runtimeConfig: Object.fromEntries(wanted)}),
    ...(previous === undefined ? {} : {prevResult: previous}),
  };
}
