import {z} from 'zod';
import type {KubernetesObject} from '#shared/kube/object';
import {NODE_SETTINGS_ACTION, nodeSettingsDigest} from '../plan/action-plan.ts';
import type {Taint} from '../role/cluster.ts';
import type {ClusterSession, HostSession} from './session.ts';

interface NodeWithTaints extends KubernetesObject {
  readonly spec?: {readonly taints?: readonly Partial<Taint>[]};
}

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
  const kind = {apiVersion: 'v1', kind: 'Node'} as const;
  const node = await api.waitFor<NodeWithTaints, NodeWithTaints>(
    kind,
    nodes => nodes.find(({metadata}) => metadata.name === host.name),
    {
      signal,
      fieldSelector: `metadata.name=${host.name}`,
      timeoutMs: NODE_TIMEOUT_MS,
      description: `Node ${host.name} to be registered`,
    },
  );
  const previous = record.state.actions[NODE_SETTINGS_ACTION]?.keys ?? {};
  const oldLabels = parseKeys(previous['labels']).filter(key => !(key in host.labels));
  const oldTaints = parseKeys(previous['taints']);
  const kept = (node.spec?.taints ?? []).filter(
    ({key = '', effect = ''}) =>
      !oldTaints.includes(`${key}:${effect}`) &&
      !host.taints.some(taint => taint.key === key && taint.effect === effect),
  );
  const labels = {...Object.fromEntries(oldLabels.map(key => [key, null])), ...host.labels};
  const patch = {metadata: {labels}, spec: {taints: [...kept, ...host.taints]}};
  await api.patch({...kind, name: host.name}, patch, {signal});
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

const parseKeys = (text: string | undefined): readonly string[] =>
  text === undefined ? [] : recordedKeys.parse(JSON.parse(text));
