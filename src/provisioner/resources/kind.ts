import type {HostState, RecordedResource} from '../host-state/host-state.ts';
import type {Resource, ResourceId} from '../role/resource.ts';
import type {Change} from './change.ts';
import type {HostProbe} from './probe.ts';

export interface DiffInput {
  readonly probe: HostProbe;
  readonly state: HostState;
  /** What else changes in this plan: a unit asks whether something it restarts on does. */
  readonly changing: ReadonlySet<ResourceId>;
  /** Digest of every desired resource of the host, by id. */
  readonly digests: ReadonlyMap<ResourceId, string>;
}

/**
 * One kind of resource: how it is compared, made, recorded and taken away. Pure: scripts come
 * out, nothing runs. `apply` and `remove` yield POSIX sh that uses the functions of `prelude.ts`.
 */
export interface ResourceKind<R extends Resource> {
  /** sha256 of what the resource should be. */
  readonly digest: (resource: R) => string;
  /** undefined: it is as it should be. */
  readonly diff: (resource: R, input: DiffInput) => Change | undefined;
  readonly apply: (resource: R, input: DiffInput) => string;
  /** What was there before, for `remove` to give back; recorded before the change. */
  readonly record?: (resource: R, input: DiffInput) => Partial<RecordedResource>;
  /** Takes away what `apply` made; `name` is the part of the id behind the kind. */
  readonly remove: (name: string, recorded: RecordedResource) => string;
}
