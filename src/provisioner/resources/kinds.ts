import type {RecordedResource} from '../host-state/host-state.ts';
import type {Resource, ResourceId, ResourceKindName} from '../role/resource.ts';
import type {Change} from './change.ts';
import {artifactKind} from './artifact.ts';
import {directoryKind} from './directory.ts';
import {fileKind} from './file.ts';
import type {DiffInput, ResourceKind} from './kind.ts';
import {lineBlockKind} from './line-block.ts';
import {linkKind} from './link.ts';
import {moduleKind} from './module.ts';
import {packageKind} from './package.ts';
import {swapKind} from './swap.ts';
import {sysctlKind} from './sysctl.ts';
import {unitKind} from './unit.ts';

const kinds: {
  readonly [K in ResourceKindName]: ResourceKind<Extract<Resource, {kind: K}>>;
} = {
  file: fileKind,
  directory: directoryKind,
  link: linkKind,
  artifact: artifactKind,
  package: packageKind,
  module: moduleKind,
  sysctl: sysctlKind,
  unit: unitKind,
  swap: swapKind,
  'line-block': lineBlockKind,
};

/** The kind of a resource. The one place where a kind is looked up by a value. */
function kindOf(resource: Resource): ResourceKind<Resource> {
  // The table above pairs every name with its own kind, so the widening is sound for `resource`.
  return kinds[resource.kind] as unknown as ResourceKind<Resource>;
}

export const digestResource = (resource: Resource): string => kindOf(resource).digest(resource);

export const diffResource = (resource: Resource, input: DiffInput): Change | undefined =>
  kindOf(resource).diff(resource, input);

export const applyResource = (resource: Resource, input: DiffInput): string =>
  kindOf(resource).apply(resource, input);

/** What state.json must remember before a resource is made: afterwards nobody can tell. */
export const recordBefore = (resource: Resource, input: DiffInput): Partial<RecordedResource> =>
  kindOf(resource).record?.(resource, input) ?? {};

/** What state.json remembers of a resource that was just made. */
export function recordResource(resource: Resource, input: DiffInput): RecordedResource {
  return {digest: digestResource(resource), ...recordBefore(resource, input)};
}

/** sh that takes away what we made under this id. */
export function removeResource(id: ResourceId, recorded: RecordedResource): string {
  const at = id.indexOf(':');
  const [kind, name] = [id.slice(0, at), id.slice(at + 1)];
  if (!isKindName(kind)) throw new TypeError(`not a resource id: ${id}`);
  return kinds[kind].remove(name, recorded);
}

function isKindName(text: string): text is ResourceKindName {
  return Object.hasOwn(kinds, text);
}
