import type {DiffInput} from '../resources/kind.ts';
import {applyResource, removeResource} from '../resources/kinds.ts';
import {installPackages, removePackages} from '../resources/package.ts';
import {APPLY_PRELUDE} from '../resources/prelude.ts';
import {type ArtifactResource, type Resource, resourceId} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {PlannedChange} from './host-plan.ts';

/** One round trip: a script, and the program it reads from standard input if it has one. */
export interface ApplyStep {
  readonly script: string;
  readonly artifact?: ArtifactResource;
}

/**
 * The scripts that make the changes of a phase, in order: neighbours are merged into one round
 * trip, packages into one call of apt or dpkg, and every artifact is a step of its own.
 */
export function applySteps(
  changes: readonly PlannedChange[],
  input: DiffInput,
): readonly ApplyStep[] {
  const steps: ApplyStep[] = [];
  let lines: string[] = [];
  const flush = () => {
    if (lines.length > 0) steps.push({script: [APPLY_PRELUDE, ...lines].join('\n')});
    lines = [];
  };
  const missing = changes.flatMap(({change, resource}) =>
    resource?.kind === 'package' && change.action !== 'record' ? [resource.name] : [],
  );
  const unwanted = changes.filter(
    ({change, resource}) => resource === undefined && change.id.startsWith(PACKAGE),
  );
  let packagesDone = false;
  for (const {change, resource} of changes) {
    if (resource === undefined && change.id.startsWith(PACKAGE)) {
      if (change !== unwanted.at(-1)?.change) continue;
      lines.push(at(change.id), removePackages(unwanted.map(each => recordOf(each, input))));
      continue;
    }
    if (resource?.kind === 'artifact' && change.action !== 'record') {
      flush();
      const script = [APPLY_PRELUDE, at(change.id), applyResource(resource, input)].join('\n');
      steps.push({script, artifact: resource});
      continue;
    }
    if (resource?.kind === 'package') {
      if (packagesDone) continue;
      packagesDone = true;
      lines.push(at(change.id), installPackages(missing, input.state));
      continue;
    }
    if (change.action === 'record') continue; // nothing to do: it is there
    lines.push(at(change.id), scriptOf(change.id, resource, input));
  }
  flush();
  return steps;
}

const PACKAGE = 'package:';

const recordOf = ({change: {id}}: PlannedChange, {state}: DiffInput) => ({
  name: id.slice(PACKAGE.length),
  ...state.resources[id],
});

const at = (id: string): string => `at ${quote([id])}`;

function scriptOf(id: string, resource: Resource | undefined, input: DiffInput): string {
  if (resource !== undefined) return applyResource(resource, input);
  return removeResource(id, input.state.resources[id] ?? {digest: ''});
}

/** The packages that a run of `applySteps` reports as newly installed. */
export function parseInstalled(stdout: string): readonly string[] {
  return [...stdout.matchAll(/^installed\t(\S+)$/gm)].map(([, name = '']) => name);
}

/** The resource that a failed script was at. */
export function parseLastResource(stdout: string): string | undefined {
  return [...stdout.matchAll(/^at\t(.+)$/gm)].at(-1)?.[1];
}

/** Ids of what a phase makes or removes. */
export const changedIds = (changes: readonly PlannedChange[]): readonly string[] =>
  changes.map(({change, resource}) => (resource === undefined ? change.id : resourceId(resource)));
