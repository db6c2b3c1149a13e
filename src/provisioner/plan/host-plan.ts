import type {HostState} from '../host-state/host-state.ts';
import type {Change} from '../resources/change.ts';
import type {DiffInput} from '../resources/kind.ts';
import {diffResource, digestResource} from '../resources/kinds.ts';
import type {HostProbe} from '../resources/probe.ts';
import {type Resource, type ResourceId, resourceId, type UnitResource} from '../role/resource.ts';

/** The resources that one phase makes on one host. */
export interface PhaseResources {
  readonly phase: string;
  readonly resources: readonly Resource[];
}

export interface PlannedChange {
  readonly change: Change;
  /** undefined: the resource left its role and is removed. */
  readonly resource: Resource | undefined;
}

export interface PhasePlan {
  readonly phase: string;
  readonly changes: readonly PlannedChange[];
}

/** What differs on one host, by phase, in the order it will be changed. */
export interface HostPlan {
  readonly host: string;
  readonly phases: readonly PhasePlan[];
  /** Every unit of the host, by name. */
  readonly units: ReadonlyMap<string, UnitResource>;
  readonly input: DiffInput;
}

export const REMOVAL_PHASE = 'removal';

/** Compares what a host must have with what was found on it. */
export function planHost(
  host: string,
  desired: readonly PhaseResources[],
  {probe, state}: {readonly probe: HostProbe; readonly state: HostState},
): HostPlan {
  const all = desired.flatMap(({resources}) => resources);
  const digests = new Map(all.map(resource => [resourceId(resource), digestResource(resource)]));
  const without: DiffInput = {probe, state, digests, changing: new Set()};
  // Units come second: whether one restarts depends on what else changes.
  const changing = new Set(
    all
      .filter(resource => resource.kind !== 'unit' && diffResource(resource, without))
      .map(resourceId),
  );
  const input: DiffInput = {...without, changing};
  const phases = desired.map(({phase, resources}) => ({
    phase,
    changes: resources.flatMap((resource): readonly PlannedChange[] => {
      const change = diffResource(resource, input) ?? unconfirmed(resource, state);
      return change === undefined ? [] : [{change, resource}];
    }),
  }));
  const removals = planRemovals(state, new Set(digests.keys()));
  const units = new Map(
    all.flatMap(resource => (resource.kind === 'unit' ? [[resource.name, resource]] : [])),
  );
  return {host, phases: [...phases, {phase: REMOVAL_PHASE, changes: removals}], units, input};
}

/** What a run made that died before it could confirm it: nothing to do, but to record it. */
function unconfirmed(resource: Resource, state: HostState): Change | undefined {
  const id = resourceId(resource);
  if (!state.pending.includes(id)) return undefined;
  return {id, action: 'record', summary: 'made by a run that did not end'};
}

/** What we made once and no role asks for now: units first, directories when they are empty. */
function planRemovals(state: HostState, desired: ReadonlySet<ResourceId>) {
  const gone = [...Object.keys(state.resources), ...state.pending].filter(id => !desired.has(id));
  const rank = (id: ResourceId) =>
    id.startsWith('unit:') ? 0 : id.startsWith('directory:') ? 2 : 1;
  return [...new Set(gone)]
    .sort((a, b) => rank(a) - rank(b) || (a < b ? 1 : -1))
    .map(id => ({
      change: {id, action: 'remove' as const, summary: 'no role asks for it any more'},
      resource: undefined,
    }));
}

export const countChanges = (plan: HostPlan): number =>
  plan.phases.reduce((sum, {changes}) => sum + changes.length, 0);
