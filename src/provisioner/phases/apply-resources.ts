import {createReadStream} from 'node:fs';
import type {ArtifactName} from '#artifacts/artifact';
import {CodedError} from '#shared/errors';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {HostState} from '../host-state/host-state.ts';
import {
  applySteps,
  type ApplyStep,
  changedIds,
  parseInstalled,
  parseLastResource,
} from '../plan/apply-script.ts';
import type {HostPlan, PhasePlan, PlannedChange} from '../plan/host-plan.ts';
import {CHECKSUM_EXIT_CODE} from '../resources/artifact.ts';
import type {DiffInput} from '../resources/kind.ts';
import {diffResource, recordBefore, recordResource} from '../resources/kinds.ts';
import {type HostProbe, parseProbe, probeScript} from '../resources/probe.ts';
import {type PackageResource, type Resource, resourceId} from '../role/resource.ts';
import {startDigest} from '../resources/unit.ts';
import {runScript, scriptError, type ScriptFailure} from './run-script.ts';
import type {ClusterSession, HostSession} from './session.ts';

const APPLY_TIMEOUT_MS = 15 * 60_000; // a slow package mirror is the slowest of them

/**
 * Makes what a phase planned on one host: intent first (state.json names what will be made), then
 * the deed, then a second look, then the confirmation. Returns the number of changes.
 *
 * @throws CodedError ERR_RESOURCE_FAILED, ERR_RESOURCE_NOT_APPLIED, ERR_DISK_FULL,
 *   ERR_ARTIFACT_CHECKSUM_ON_HOST and those of the connection
 */
export async function applyResources(
  session: Pick<ClusterSession, 'artifact' | 'plans'>,
  host: HostSession,
  phase: PhasePlan,
  {signal, progress}: TaskContext,
): Promise<number> {
  const {changes} = phase;
  const plan = session.plans.get(host.host.name);
  if (changes.length === 0 || plan === undefined) return 0;
  await host.record.update(
    state => withIntent(state, changes, {plan, occupied: host.facts.existing.occupied}),
    {signal},
  );
  const installed: string[] = [];
  for (const step of applySteps(changes, plan.input)) {
    signal.throwIfAborted();
    if (step.artifact) progress(`pushing ${step.artifact.artifact} ${step.artifact.version}`);
    const stdout = await applyStep(session, host, step);
    installed.push(...parseInstalled(stdout));
  }
  const made = changes.flatMap(({resource}) => (resource === undefined ? [] : [resource]));
  const probe = await readBack(host, made, plan.input);
  const confirm = {input: plan.input, probe, installed, bootId: host.facts.bootId};
  await host.record.update(state => withConfirmation(state, changes, confirm));
  return changes.length;
}

async function applyStep(
  {artifact}: Pick<ClusterSession, 'artifact'>,
  {host, connection}: HostSession,
  step: ApplyStep,
): Promise<string> {
  const failure: ScriptFailure = {
    code: 'ERR_RESOURCE_FAILED',
    tried: 'apply a change',
    hint: `read the message, mend ${host.name}, then run the same command again`,
  };
  const signal = new AbortController().signal; // what has begun is finished: see runScript
  const options = {signal, timeoutMs: APPLY_TIMEOUT_MS};
  if (step.artifact === undefined) {
    const result = await connection.run(step.script, options);
    if (result.exitCode === 0) return result.stdout;
    const tried = `make ${parseLastResource(result.stdout) ?? 'a change'}`;
    throw scriptError(host.name, result, {...failure, tried});
  }
  const {artifact: name, path: target} = step.artifact;
  // The lock file made the resource, so its name is one of the catalogue.
  const {path, sizeBytes} = await artifact(name as ArtifactName);
  const payload = {sizeBytes, open: () => createReadStream(path, {highWaterMark: 1 << 18})};
  const result = await connection.run(step.script, {...options, payload});
  if (result.exitCode === CHECKSUM_EXIT_CODE) {
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_ARTIFACT_CHECKSUM_ON_HOST',
      `${host.name}: ${target} arrived with another sha256 than ${step.artifact.sha256}`,
      {
        hint: 'run the same command again; if it happens twice, check the memory and disk of the host',
      },
    );
  }
  if (result.exitCode !== 0) {
    throw scriptError(host.name, result, {...failure, tried: `push ${name} to ${target}`});
  }
  return result.stdout;
}

/** A command that exits 0 has not always done it (`sysctl -w` in a container, for one). */
async function readBack(
  {host, connection, record, facts}: HostSession,
  made: readonly Resource[],
  input: DiffInput,
): Promise<HostProbe> {
  const script = probeScript(made, {state: record.state, bootId: facts.bootId, deep: false});
  const {stdout} = await runScript(connection, script, {
    failure: {
      code: 'ERR_RESOURCE_FAILED',
      tried: 'read back what was changed',
      hint: `run "provision plan" to see the state of ${host.name}`,
    },
  });
  const probe = parseProbe(stdout);
  const startedWith = Object.fromEntries(
    made.flatMap(resource =>
      resource.kind === 'unit' ? [[resource.name, startDigest(resource, input.digests)]] : [],
    ),
  );
  const state = {...record.state, startedWith};
  const now: DiffInput = {probe, state, digests: input.digests, changing: new Set()};
  for (const resource of made) {
    const remaining = diffResource(resource, now);
    if (remaining === undefined) continue;
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_RESOURCE_NOT_APPLIED',
      `${host.name}: ${remaining.id} was changed without an error, yet it is not so: ${remaining.summary}`,
      {hint: `look for what changes it back on ${host.name}, or what forbids the change`},
    );
  }
  return probe;
}

/**
 * Names what will be made, with what is there before us. Units that will restart lose their digest:
 * a run that dies now restarts them next time.
 */
function withIntent(
  state: HostState,
  changes: readonly PlannedChange[],
  {plan: {input, units}, occupied}: {readonly plan: HostPlan; readonly occupied: readonly string[]},
): HostState {
  const ids = new Set(changedIds(changes));
  const restarting = [...units.values()].filter(
    unit => ids.has(resourceId(unit)) || unit.restartOn.some(id => ids.has(id)),
  );
  const restartingNames = restarting.map(({name}) => name);
  const startedWith = without(state.startedWith, restartingNames);
  const resources = {...state.resources};
  for (const {change, resource} of changes) {
    const known = resource === undefined ? {} : recordBefore(resource, input);
    if (Object.keys(known).length === 0) continue;
    resources[change.id] = {digest: '', ...resources[change.id], ...known};
  }
  const pending = [...new Set([...state.pending, ...ids])].sort();
  return {...state, before: state.before ?? [...occupied], resources, pending, startedWith};
}

function without<T>(
  record: Readonly<Record<string, T>>,
  names: readonly string[],
): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}

interface Confirmation {
  readonly input: DiffInput;
  readonly probe: HostProbe;
  readonly installed: readonly string[];
  readonly bootId: string;
}

function withConfirmation(
  state: HostState,
  changes: readonly PlannedChange[],
  {input, probe, installed, bootId}: Confirmation,
): HostState {
  const removed = changes.flatMap(({change, resource}) => (resource ? [] : [change.id]));
  const removedUnits = removed.flatMap(id => (id.startsWith('unit:') ? [id.slice(5)] : []));
  const resources = without(state.resources, removed);
  const startedWith = without(state.startedWith, removedUnits);
  const done = new Set(changedIds(changes));
  for (const {resource} of changes) {
    if (resource === undefined) continue;
    const id = resourceId(resource);
    const stat = resource.kind === 'artifact' ? probe.paths.get(resource.path)?.stat : undefined;
    resources[id] = {
      ...recordResource(resource, input),
      ...(stat === undefined ? {} : {stat}),
      ...(resource.kind === 'package' ? {installed: ownPackages(resource, installed, input)} : {}),
    };
    if (resource.kind === 'unit' && probe.units.get(resource.name)?.active === true) {
      startedWith[resource.name] = startDigest(resource, input.digests);
    }
  }
  const pending = state.pending.filter(id => !done.has(id));
  return {...state, bootId, resources, startedWith, pending};
}

/** The package and what came along; what is a resource itself has its own record. */
function ownPackages(
  {name}: PackageResource,
  installed: readonly string[],
  {digests}: DiffInput,
): string[] {
  return [name, ...installed.filter(other => !digests.has(`package:${other}`))];
}
