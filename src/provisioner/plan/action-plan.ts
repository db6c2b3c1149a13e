import {digestOf} from '#shared/digest';
import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {HostState} from '../host-state/host-state.ts';
import {initKeys, joinKeys} from '../kubeadm/configuration.ts';
import type {Change} from '../resources/change.ts';
import type {Cluster, Host} from '../role/cluster.ts';
import type {Facts} from '../role/facts.ts';

/** Names under which state.json records what is done once and is not a resource. */
export const INIT_ACTION = 'kubeadm-init';
export const JOIN_ACTION = 'kubeadm-join';
const SMOKE_ACTION = 'smoke';
export const NODE_SETTINGS_ACTION = 'node-settings';
export const addonAction = (name: string): string => `addon:${name}`;

export interface PlannedHostInput {
  readonly host: Host;
  readonly facts: Facts;
  readonly state: HostState;
}

/** What is done to one host beside its resources. */
export interface HostActions {
  readonly host: string;
  /** Needed before kubeadm runs, and those that pods of add-ons need. */
  readonly images: readonly string[];
  readonly addonImages: readonly string[];
  /** Our own daemon is proven before kubeadm depends on it. */
  readonly smoke: boolean;
  readonly init: boolean;
  readonly join: boolean;
  /** What an interrupted run began is undone first: its data goes. */
  readonly undo: boolean;
  readonly nodeSettings: boolean;
}

export interface NodeImages {
  readonly controlPlane: readonly string[];
  readonly everyNode: readonly string[];
  readonly addons: readonly string[];
  /** What the lock file says that an image may be; empty: anything. */
  readonly digestsOf: (reference: string) => readonly string[];
  /** One of the add-ons' that a pod can be made of with nothing else. */
  readonly proof: string;
}

export const isDone = (state: HostState, action: string): boolean =>
  state.actions[action]?.status === 'done';

/** True once kubeadm has ended well on the host. */
export const isMember = (state: HostState): boolean =>
  isDone(state, INIT_ACTION) || isDone(state, JOIN_ACTION);

export function planHostActions(
  {host, facts, state}: PlannedHostInput,
  {images, isFirst}: {readonly images: NodeImages; readonly isFirst: boolean},
): HostActions {
  const missing = (references: readonly string[]) =>
    references.filter(reference => !isPresent(reference, facts, images.digestsOf(reference)));
  const init = isFirst && !isDone(state, INIT_ACTION);
  const join = !isFirst && !isDone(state, JOIN_ACTION);
  // Once a node runs, its kubelet pulls and collects images as it sees fit.
  const prepares = init || join;
  const undo = (init && INIT_ACTION in state.actions) || (join && JOIN_ACTION in state.actions);
  // Where kubeadm was begun the runtime has passed already, and a kubelet may run that ends every
  // pod which the API does not know.
  const smoke = prepares && !undo && host.runtime === 'slipway';
  const needed = [
    ...(smoke ? [images.proof] : []),
    ...(host.isControlPlane ? images.controlPlane : []),
    ...images.everyNode,
  ];
  return {
    host: host.name,
    images: prepares ? missing(needed) : [],
    addonImages: prepares
      ? missing(images.addons.filter(reference => !needed.includes(reference)))
      : [],
    smoke,
    init,
    join,
    undo,
    nodeSettings: nodeSettingsDigest(host) !== recordedNodeSettings(state),
  };
}

/**
 * Whether a host has an image. One of the same name that is another one has to be pulled again.
 *
 * @param locked what its digest may be; empty: anything
 */
export function isPresent(
  reference: string,
  {existing}: Facts,
  locked: readonly string[],
): boolean {
  const found = existing.images?.find(image => image.reference === reference);
  if (found === undefined) return false;
  return locked.length === 0 || found.digests.some(digest => locked.includes(digest));
}

const NO_SETTINGS = digestOf({labels: {}, taints: []});

export const nodeSettingsDigest = ({labels, taints}: Pick<Host, 'labels' | 'taints'>): string =>
  digestOf({labels, taints});

const recordedNodeSettings = (state: HostState): string =>
  state.actions[NODE_SETTINGS_ACTION]?.digest ?? NO_SETTINGS;

/** The actions of a host as lines of the plan. */
export function describeHostActions(actions: HostActions): readonly (Change & {phase: string})[] {
  const undo = actions.undo ? 'undo what an interrupted run left, with its data, then ' : '';
  const run = (phase: string, id: string, summary: string) => ({
    phase,
    id,
    action: 'run' as const,
    summary,
  });
  return [
    ...actions.images.map(reference => run('images', `image:${reference}`, 'pull')),
    ...(actions.smoke ? [run('smoke', SMOKE_ACTION, 'run a pod on the new runtime')] : []),
    ...actions.addonImages.map(reference => run('addon-images', `image:${reference}`, 'pull')),
    ...(actions.init
      ? [run('init', INIT_ACTION, `${undo}make this host the first control plane`)]
      : []),
    ...(actions.join ? [run('join', JOIN_ACTION, `${undo}join the cluster as a worker`)] : []),
    ...(actions.nodeSettings
      ? [run('node-settings', NODE_SETTINGS_ACTION, 'set labels and taints of the node')]
      : []),
  ];
}

/**
 * The first control plane: one that a cluster already runs on, else the first by name. No host is
 * special for ever (DESIGN 12).
 */
export function electFirst<T extends PlannedHostInput>(hosts: readonly T[]): T | undefined {
  const candidates = hosts
    .filter(({host}) => host.isControlPlane)
    .sort((a, b) => (a.host.name < b.host.name ? -1 : 1));
  return candidates.find(({state}) => isDone(state, INIT_ACTION)) ?? candidates[0];
}

/** Recorded by earlier versions: a host may be reached by another address. */
const RETIRED_KEY = /^address of /;

/**
 * Refuses a change of a key that only init or join reads: nothing would change, and the file would
 * lie. Returns ERR_INIT_KEY_CHANGED or ERR_JOIN_KEY_CHANGED, naming every such key of the host.
 */
export function changedKeys(
  cluster: Cluster,
  {host, state}: PlannedHostInput,
): readonly CodedError<ProvisionerErrorCode>[] {
  const list = (action: string, wanted: Readonly<Record<string, string>>) => {
    const recorded = state.actions[action];
    if (recorded?.status !== 'done') return '';
    return Object.entries(recorded.keys ?? {})
      .filter(([key, value]) => !RETIRED_KEY.test(key) && wanted[key] !== value)
      .map(([key, value]) => `${key} (was ${value}, is ${wanted[key] ?? 'gone'})`)
      .join(', ');
  };
  const ofInit = list(INIT_ACTION, initKeys(cluster, host));
  const ofJoin = list(JOIN_ACTION, joinKeys(host));
  const changed = (code: ProvisionerErrorCode, message: string, hint: string) =>
    new CodedError(code, `${host.name}: ${message}`, {hint});
  return [
    ...(ofInit === ''
      ? []
      : [
          changed(
            'ERR_INIT_KEY_CHANGED',
            `only kubeadm init reads ${ofInit}, and the cluster is already made`,
            'put the old value back, or "provision reset" the cluster and make it anew',
          ),
        ]),
    ...(ofJoin === ''
      ? []
      : [
          changed(
            'ERR_JOIN_KEY_CHANGED',
            `only kubeadm join reads ${ofJoin}, and the host is a node already`,
            `put the old value back, or run "provision reset --limit ${host.name}" and then "provision" again`,
          ),
        ]),
  ];
}
