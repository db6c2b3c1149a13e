// From groups to hosts. Layers of one host, later ones winning key by key, never merging values:
//
//   all: vars, group_vars/all  <  each group: vars, group_vars/<group>  <  host: own keys, host_vars/<host>
//
// Groups apply parents before children (by their greatest depth), peers by name, as in Ansible.
import type {Checked} from './check-shape.ts';
import {isDamaged} from './check-shape.ts';
import type {Group, HostSettings, HostsDocument, InlineHost} from './hosts-schema.ts';
import {nearest} from '#shared/nearest';
import {problemAt, problemOf, type ConfigDocument, type Problem, type Source} from './problem.ts';

/** Keys that one place in the files gives to a host or to a group. */
export interface Layer {
  readonly settings: HostSettings;
  readonly source: Source;
  /** Something in it could not be read, so what is missing here may be written all the same. */
  readonly isDamaged: boolean;
}

/** One host with everything that the files say about it; nothing is defaulted yet. */
export interface InventoryHost {
  readonly name: string;
  /** Where the host is first named. */
  readonly source: Source;
  /** Names of all its groups, with their parents, sorted; without `all`. */
  readonly groups: readonly string[];
  readonly settings: HostSettings;
  /** Where each key of `settings` was written. */
  readonly sources: Readonly<Partial<Record<keyof HostSettings, Source>>>;
  readonly isDamaged: boolean;
}

export interface Inventory {
  /** Where hosts are listed. */
  readonly source: Source;
  /** Sorted by name. */
  readonly hosts: readonly InventoryHost[];
  readonly problems: readonly Problem[];
  /** False when hosts or groups may be missing because something around them could not be read. */
  readonly isComplete: boolean;
}

/** A file of `group_vars/` or `host_vars/` and the name it belongs to. */
export interface VarsFile extends ConfigDocument {
  readonly name: string;
  /** null for an empty file. */
  readonly checked: Checked<HostSettings | null>;
}

export interface HostFiles {
  readonly hosts: ConfigDocument & {readonly checked: Checked<HostsDocument>};
  readonly groupVars: readonly VarsFile[];
  readonly hostVars: readonly VarsFile[];
}

/** Hosts of hosts.yaml with the files beside it. */
export function resolveGroups({hosts: file, groupVars, hostVars}: HostFiles): Inventory {
  const tree = new GroupTree(file);
  const {value} = file.checked;
  if (value !== undefined) tree.add('all', value.all, ['all']);
  const groupLayers = new Map(groupVars.map(vars => [vars.name, layerOfFile(vars)]));
  const hostLayers = new Map(hostVars.map(vars => [vars.name, layerOfFile(vars)]));
  const depths = tree.depths();
  const hosts = [...tree.hosts].map(([name, {source, layers, groups}]) => {
    const names = tree.withParents(groups);
    const ordered = [...names].sort(
      (a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0) || compare(a, b),
    );
    return resolveHost(name, source, ordered, [
      ...ordered.flatMap(group => [...tree.layersOf(group), groupLayers.get(group)]),
      ...layers,
      hostLayers.get(name),
    ]);
  });
  const isComplete = value !== undefined && file.checked.damaged.every(isInsideSettings);
  const known = {groups: [...tree.names()], hosts: [...tree.hosts.keys()]};
  return {
    source: {...file, path: ['all']},
    isComplete,
    hosts: hosts.sort((a, b) => compare(a.name, b.name)),
    problems: [
      ...tree.cycles().map(name =>
        problemAt(tree.sourceOf(name), {
          code: 'ERR_CONFIG_GROUP_CYCLE',
          message: `the group ${name} contains itself`,
          hint: 'remove it from the children of one of its own children',
        }),
      ),
      ...strangers(isComplete ? groupVars : [], known.groups, {
        code: 'ERR_CONFIG_UNKNOWN_GROUP',
        noun: 'group',
      }),
      ...strangers(isComplete ? hostVars : [], known.hosts, {
        code: 'ERR_CONFIG_UNKNOWN_HOST',
        noun: 'host',
      }),
    ],
  };
}

/** Hosts of `spec.hosts`. */
export function resolveInlineHosts(
  hosts: readonly InlineHost[],
  cluster: ConfigDocument,
): Inventory {
  const groupOf = {'control-plane': 'kube_control_plane', worker: 'kube_node'} as const;
  const problems: Problem[] = [];
  const byName = new Map<string, InventoryHost>();
  hosts.forEach(({name, roles, ...settings}, index) => {
    const source = {...cluster, path: ['spec', 'hosts', index]};
    if (byName.has(name)) {
      const message = `the name ${name} is taken by another host`;
      const at = {...source, path: [...source.path, 'name']};
      problems.push(problemAt(at, {code: 'ERR_CONFIG_VALUE', message}));
      return;
    }
    const groups = roles.map(role => groupOf[role]);
    byName.set(name, resolveHost(name, source, groups, [{settings, source, isDamaged: false}]));
  });
  return {
    source: {...cluster, path: ['spec', 'hosts']},
    hosts: [...byName.values()].sort((a, b) => compare(a.name, b.name)),
    problems,
    isComplete: true,
  };
}

function resolveHost(
  name: string,
  source: Source,
  groups: readonly string[],
  layersOrNot: readonly (Layer | undefined)[],
): InventoryHost {
  const layers = layersOrNot.filter(layer => layer !== undefined);
  const written = layers.flatMap(layer =>
    (Object.keys(layer.settings) as (keyof HostSettings)[])
      .filter(key => layer.settings[key] !== undefined)
      .map(key => ({key, value: layer.settings[key], source: layer.source})),
  );
  return {
    name,
    source,
    groups: [...new Set(groups)].filter(group => group !== 'all').sort(compare),
    settings: Object.fromEntries(written.map(({key, value}) => [key, value])),
    sources: Object.fromEntries(
      written.map(({key, source: at}) => [key, {...at, path: [...at.path, key]}]),
    ),
    isDamaged: layers.some(layer => layer.isDamaged),
  };
}

function layerOfFile({checked, ...document}: VarsFile): Layer {
  const settings = checked.value ?? {};
  const isBroken = checked.value === undefined || checked.damaged.length > 0;
  return {settings, source: {...document, path: []}, isDamaged: isBroken};
}

function strangers(
  files: readonly VarsFile[],
  known: readonly string[],
  {code, noun}: {code: 'ERR_CONFIG_UNKNOWN_GROUP' | 'ERR_CONFIG_UNKNOWN_HOST'; noun: string},
): readonly Problem[] {
  return files
    .filter(({name}) => !known.includes(name))
    .map(({file, name}) => {
      const meant = nearest(name, known);
      const hint = meant === undefined ? 'rename or remove the file' : `did you mean "${meant}"?`;
      return problemOf(file, {code, message: `the inventory has no ${noun} ${name}`, hint});
    });
}

/** True for a place in somebody's keys, where a mistake loses no host and no group. */
function isInsideSettings(path: readonly PropertyKey[]): boolean {
  let rest = path.slice(1); // without "all"
  while (rest[0] === 'children') rest = rest.slice(2);
  return rest[0] === 'vars' || (rest[0] === 'hosts' && rest.length > 2);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface GroupNode {
  readonly source: Source;
  readonly layers: Layer[];
  readonly parents: Set<string>;
}

interface HostNode {
  readonly source: Source;
  readonly layers: Layer[];
  readonly groups: Set<string>;
}

/** A group may be written in several places; what they say adds up. */
class GroupTree {
  readonly hosts = new Map<string, HostNode>();
  readonly #groups = new Map<string, GroupNode>();
  readonly #file: HostFiles['hosts'];

  constructor(file: HostFiles['hosts']) {
    this.#file = file;
  }

  add(name: string, group: Group | null, path: readonly PropertyKey[], parent?: string): void {
    const source = {...this.#file, path};
    const known = this.#groups.get(name) ?? {source, layers: [], parents: new Set()};
    this.#groups.set(name, known);
    if (parent !== undefined) known.parents.add(parent);
    if (group?.vars) known.layers.push(this.#layer(group.vars, [...path, 'vars']));
    for (const [host, settings] of Object.entries(group?.hosts ?? {})) {
      this.#addHost(host, settings, {group: name, path: [...path, 'hosts', host]});
    }
    for (const [child, inner] of Object.entries(group?.children ?? {})) {
      this.add(child, inner, [...path, 'children', child], name);
    }
  }

  names(): Iterable<string> {
    return this.#groups.keys();
  }

  sourceOf(group: string): Source {
    return this.#groups.get(group)?.source ?? {...this.#file, path: ['all']};
  }

  layersOf(group: string): readonly Layer[] {
    return this.#groups.get(group)?.layers ?? [];
  }

  /** The groups and all that contain them, `all` among them. */
  withParents(groups: Iterable<string>): ReadonlySet<string> {
    const found = new Set<string>();
    const waiting = [...groups];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (found.has(name)) continue;
      found.add(name);
      waiting.push(...(this.#groups.get(name)?.parents ?? []));
    }
    return found;
  }

  /** Groups that are among their own parents, by name. */
  cycles(): readonly string[] {
    return [...this.#groups]
      .filter(([name, {parents}]) => this.withParents(parents).has(name))
      .map(([name]) => name)
      .sort(compare);
  }

  /** How many groups contain each group at most, one inside the other; members of a cycle get 0. */
  depths(): ReadonlyMap<string, number> {
    const depths = new Map<string, number>(this.cycles().map(name => [name, 0]));
    const depthOf = (name: string): number => {
      const known = depths.get(name);
      if (known !== undefined) return known;
      const parents = [...(this.#groups.get(name)?.parents ?? [])];
      const depth = Math.max(-1, ...parents.map(depthOf)) + 1;
      depths.set(name, depth);
      return depth;
    };
    for (const name of this.#groups.keys()) depthOf(name);
    return depths;
  }

  #addHost(
    name: string,
    settings: HostSettings | null,
    {group, path}: {readonly group: string; readonly path: readonly PropertyKey[]},
  ): void {
    const node = this.hosts.get(name) ?? {
      source: {...this.#file, path},
      layers: [],
      groups: new Set(),
    };
    this.hosts.set(name, node);
    node.groups.add(group);
    node.layers.push(this.#layer(settings ?? {}, path));
  }

  #layer(settings: HostSettings, path: readonly PropertyKey[]): Layer {
    const source = {...this.#file, path};
    return {settings, source, isDamaged: isDamaged(this.#file.checked, path)};
  }
}
