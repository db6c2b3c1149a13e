import {z} from 'zod';
import {stableJson} from '#shared/digest';
import type {ResourceId} from '../role/resource.ts';

/** Where a host records what we made on it; readable by root only. */
export const HOST_STATE_PATH = '/var/lib/slipway/state.json';

const recordedResource = z.strictObject({
  /** sha256 of what the resource should be. */
  digest: z.string(),
  /** "size inode ctime" of an artifact when it was last verified. */
  stat: z.string().optional(),
  /** What was there before us: a sysctl's value, units that swapped and their states. */
  previous: z.string().optional(),
  /** Packages that came with a package resource, itself included. */
  installed: z.array(z.string()).optional(),
});

const hostStateSchema = z.strictObject({
  version: z.literal(1),
  cluster: z.string(),
  bootId: z.string(),
  /** Directories that held something before our first change, and so are not ours to remove. */
  before: z.array(z.string()).optional(),
  resources: z.record(z.string(), recordedResource),
  /** What a phase was about to make when it was last heard of. */
  pending: z.array(z.string()),
  /** By unit name: the digest of the resources that it was started with. */
  startedWith: z.record(z.string(), z.string()),
  /** kubeadm init and join, manifests: by action name. */
  actions: z.record(
    z.string(),
    z.strictObject({
      status: z.enum(['pending', 'done']),
      digest: z.string(),
      /** Keys of cluster.yaml that only this action reads, with the value it read. */
      keys: z.record(z.string(), z.string()).optional(),
    }),
  ),
});

export type HostState = z.infer<typeof hostStateSchema>;
export type RecordedResource = z.infer<typeof recordedResource>;

/** The state of a host that we have never touched. */
export function emptyHostState(cluster: string): HostState {
  return {
    version: 1,
    cluster,
    bootId: '',
    resources: {},
    pending: [],
    startedWith: {},
    actions: {},
  };
}

/** Parses state.json; undefined when it is not ours to understand (newer, damaged). */
export function parseHostState(text: string): HostState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // reported by the caller as damaged, with the file's path
  }
  return hostStateSchema.safeParse(value).data;
}

/** True for what we made or were about to make. */
export function isOurs(state: HostState, id: ResourceId): boolean {
  return id in state.resources || state.pending.includes(id);
}

/** Stable text: the same state is the same bytes. */
export function formatHostState(state: HostState): string {
  return `${stableJson(state)}\n`;
}
