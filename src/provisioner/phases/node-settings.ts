import {z} from 'zod';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import type {KubernetesObject} from '#shared/kube/object';
import {NODE_SETTINGS_ACTION, nodeSettingsDigest} from '../plan/action-plan.ts';
import type {Host, Taint} from '../role/cluster.ts';
import type {ClusterSession, HostSession} from './session.ts';

interface NodeWithTaints extends KubernetesObject {
  readonly spec?: {readonly taints?: readonly Partial<Taint>[]};
}

const nodeKind = {apiVersion: 'v1', kind: 'Node'} as const;
/** Controllers write to a young node now and then; each read is fresh. */
const ATTEMPTS_MAX = 10;
const NODE_TIMEOUT_MS = 120_000;
const recordedKeys = z.array(z.string()).catch([]);

/**
 * Sets the labels and taints that the inventory names on a node, and takes away those that an
 * earlier run set and the inventory names no more. What others set stays.
 */
export async function applyNodeSettings(
  session: ClusterSession,
  {host, record}: HostSession,
  {signal}: {readonly signal: AbortSignal},
): Promise<number> {
  const api = await session.api({signal});
  const previous = record.state.actions[NODE_SETTINGS_ACTION]?.keys ?? {};
  for (let attempt = 1; ; attempt++) {
    const node = await findNode(api, host, signal);
    try {
      await api.patch({...nodeKind, name: host.name}, nodePatch(node, host, previous), {signal});
      break;
    } catch (error) {
      // Taints are replaced as a whole: those that somebody set since must not be lost.
      const changed = error instanceof ApiRefusedError && error.status === 409;
      if (!changed || attempt === ATTEMPTS_MAX) throw error;
    }
  }
  const keys = {
    labels: JSON.stringify(Object.keys(host.labels)),
    taints: JSON.stringify(host.taints.map(({key, effect}) => `${key}:${effect}`)),
  };
  const done = {status: 'done' as const, digest: nodeSettingsDigest(host), keys};
  await record.update(state => ({
    ...state,
    actions: {...state.actions, [NODE_SETTINGS_ACTION]: done},
  }));
  return 1;
}

async function findNode(api: KubernetesApi, host: Host, signal: AbortSignal) {
  return await api.waitFor<NodeWithTaints, NodeWithTaints>(
    nodeKind,
    nodes => nodes.find(({metadata}) => metadata.name === host.name),
    {
      signal,
      fieldSelector: `metadata.name=${host.name}`,
      timeoutMs: NODE_TIMEOUT_MS,
      description: `Node ${host.name} to be registered`,
    },
  );
}

/** A merge patch that the API refuses when the node is not the one that was read. */
function nodePatch(
  {metadata, spec}: NodeWithTaints,
  host: Host,
  previous: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const oldLabels = parseKeys(previous['labels']).filter(key => !(key in host.labels));
  const oldTaints = parseKeys(previous['taints']);
  const kept = (spec?.taints ?? []).filter(
    ({key = '', effect = ''}) =>
      !oldTaints.includes(`${key}:${effect}`) &&
      !host.taints.some(taint => taint.key === key && taint.effect === effect),
  );
  const labels = {...Object.fromEntries(oldLabels.map(key => [key, null])), ...host.labels};
  return {
    metadata: {resourceVersion: metadata.resourceVersion, labels},
    spec: {taints: [...kept, ...host.taints]},
  };
}

const parseKeys = (text: string | undefined): readonly string[] =>
  text === undefined ? [] : recordedKeys.parse(JSON.parse(text));
