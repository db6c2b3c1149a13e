import {CodedError} from '#shared/errors';
import {runGraph, type Task, type TaskContext} from '../engine/graph.ts';
import {emptyHostState, type HostState} from '../host-state/host-state.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {runScript} from '../phases/run-script.ts';
import {undoKubeadm} from '../phases/run-kubeadm.ts';
import type {HostSession} from '../phases/session.ts';
import {INIT_ACTION, JOIN_ACTION} from '../plan/action-plan.ts';
import {planHost, REMOVAL_PHASE} from '../plan/host-plan.ts';
import {applySteps} from '../plan/apply-script.ts';
import {parseProbe} from '../resources/probe.ts';
import {checkOwner} from '../preflight/check-host.ts';
import {throwProblems} from '../problems-error.ts';
import type {Environment} from './environment.ts';
import {interrupted, type Outcome, outcomeOf} from './outcome.ts';
import {openHosts, type OpenHost} from './open-hosts.ts';
import {remainsScript, stopPodsScript} from './reset-script.ts';
import {selectHosts} from './select-hosts.ts';

/** The sources file that the os role writes. */
const PACKAGE_SOURCES_PATH = '/etc/apt/sources.list.d/slipway.sources';
const REMOVE_TIMEOUT_MS = 10 * 60_000;

export interface ResetHooks {
  /**
   * Asked once before the first change, with the names of the hosts that have something of ours;
   * rejects where nothing is to be changed.
   */
  readonly confirm: (hosts: readonly string[]) => Promise<void>;
}

/**
 * Brings hosts back to what they were: the cluster's traces, then everything that state.json says
 * we made, the newest first, then state.json itself. Returns how every host ended.
 *
 * @throws CodedError or ProblemsError for what is found before the first change
 */
export async function reset(
  environment: Environment,
  {confirm}: ResetHooks,
): Promise<Omit<Outcome, 'proof'>> {
  const {cluster, options, signal, emit, clock} = environment;
  const selected = selectHosts(cluster, options.limit);
  await using open = await openHosts(environment, selected, {lock: true});
  if (signal.aborted) throw interrupted();
  const ours = open.hosts.filter(({record}) => hasTraces(record.state));
  throwProblems([
    ...open.errors,
    ...ours.flatMap(({host, record}) => checkOwner(cluster, {host, state: record.state})),
  ]);
  await refuseOrphans(environment, open.hosts);
  const nothing = {changes: 0, hosts: [], errors: []};
  if (ours.length === 0) return nothing;
  await confirm(ours.map(({host}) => host.name));
  // Workers first: the control plane outlives its nodes.
  const workers = ours.filter(({host}) => !host.isControlPlane);
  const tasks = ours.map((host): Task => ({
    phase: 'reset',
    host: host.host.name,
    after: host.host.isControlPlane ? workers.map(worker => `reset@${worker.host.name}`) : [],
    run: async context => await resetHost(host, context),
  }));
  const graph = {signal, emit, forks: options.forks, now: clock.monotonicMs};
  const results = await runGraph(tasks, graph);
  return outcomeOf(
    ours.map(({host}) => host.name),
    results,
  );
}

const hasTraces = ({resources, pending, actions}: OpenHost['record']['state']): boolean =>
  Object.keys(resources).length + pending.length + Object.keys(actions).length > 0;

/**
 * A control plane takes its cluster along. Workers that are left out would belong to none, and the
 * next one has another CA.
 *
 * @throws CodedError ERR_RESET_LEAVES_NODES
 */
async function refuseOrphans(
  environment: Environment,
  selected: readonly HostSession[],
): Promise<void> {
  const {cluster} = environment;
  const names = new Set(selected.map(({host}) => host.name));
  const goes = selected.filter(({record}) => INIT_ACTION in record.state.actions);
  const others = cluster.hosts.filter(({name}) => !names.has(name));
  if (goes.length === 0 || others.length === 0) return;
  await using open = await openHosts(environment, others, {lock: false});
  const stays = open.hosts.some(({record}) => INIT_ACTION in record.state.actions);
  if (stays) return;
  const joined = open.hosts.filter(({record}) => JOIN_ACTION in record.state.actions);
  // One that cannot be asked may be a node: it is named, and the operator knows.
  const orphans = [...joined.map(({host}) => host.name), ...open.failures.keys()].sort();
  if (orphans.length === 0) return;
  const [first = ''] = goes.map(({host}) => host.name);
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_RESET_LEAVES_NODES',
    `${first} is the cluster's only control plane, and ${orphans.join(', ')} would be left without one`,
    {
      hint: `run "provision reset" without --limit, or name them too; take a host that is gone out of the inventory`,
    },
  );
}

async function resetHost(host: HostSession, {signal, progress}: TaskContext): Promise<number> {
  const {record, connection} = host;
  const {state} = record;
  if (INIT_ACTION in state.actions || JOIN_ACTION in state.actions) {
    progress('undoing kubeadm');
    // From here on the host is no member, whatever happens: add-ons and settings went with it.
    await record.update(withPendingMembership, {signal});
    await undoKubeadm(host);
    await record.update(each => ({...each, actions: {}}), {signal});
  }
  signal.throwIfAborted();
  progress('removing what was made');
  const nothing = parseProbe('');
  const plan = planHost(host.host.name, [], {probe: nothing, state});
  const changes = plan.phases.find(({phase}) => phase === REMOVAL_PHASE)?.changes ?? [];
  const failure = {
    code: 'ERR_RESOURCE_FAILED' as const,
    tried: 'remove what we made',
    hint: `mend what it names on ${host.host.name}, then run "provision reset" again`,
  };
  const stop = stopPodsScript(state);
  const scripts = applySteps(changes, plan.input).map(({script}) => script);
  for (const script of [...(stop === '' ? [] : [stop]), ...scripts]) {
    await runScript(connection, script, {timeoutMs: REMOVE_TIMEOUT_MS, failure});
  }
  // Without our repository in its sources, apt drops the lists that it fetched from it.
  const listed =
    `file:${PACKAGE_SOURCES_PATH}` in state.resources ? 'apt-get -qq update || :\n' : '';
  const script = listed + remainsScript(state);
  await runScript(connection, script, {timeoutMs: REMOVE_TIMEOUT_MS, failure});
  await record.forget(emptyHostState(state.cluster));
  return changes.length;
}

const withPendingMembership = (state: HostState): HostState => ({
  ...state,
  actions: Object.fromEntries(
    Object.entries(state.actions)
      .filter(([name]) => name === INIT_ACTION || name === JOIN_ACTION)
      .map(([name, action]) => [name, {...action, status: 'pending' as const}]),
  ),
});
