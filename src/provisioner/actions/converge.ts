import {runGraph} from '../engine/graph.ts';
import {createToken} from '../phases/bootstrap-token.ts';
import type {ClusterSession} from '../phases/session.ts';
import type {ProofResult} from '../proof/proof-result.ts';
import {readOnlyProof} from '../proof/read-only-proof.ts';
import {convergeTasks} from './converge-tasks.ts';
import type {Environment} from './environment.ts';
import {KubernetesSession} from './kubernetes-session.ts';
import {membersOf, namesOf} from './members.ts';
import {openHosts, type OpenHosts} from './open-hosts.ts';
import {interrupted, type Outcome, outcomeOf} from './outcome.ts';
import {type ClusterPlan, planCluster} from './plan.ts';
import {selectHosts} from './select-hosts.ts';

export interface ConvergeHooks {
  /** Asked once before the first change, with the plan; rejects where nothing is to be changed. */
  readonly confirm: (plan: ClusterPlan) => Promise<void>;
}

/**
 * The main path: hosts → plan → confirmation → changes → proof. A second run finds nothing to
 * change and looks only; a run that was stopped anywhere is finished by running it again.
 *
 * @throws CodedError or ProblemsError for what is found before the first change
 */
export async function converge(environment: Environment, hooks: ConvergeHooks): Promise<Outcome> {
  const {cluster, emit, options} = environment;
  const selected = selectHosts(cluster, options.limit);
  await using open = await openHosts(environment, withControlPlanes(environment, selected), {
    lock: true,
  });
  if (environment.signal.aborted) throw interrupted();
  const plan = await planCluster(environment, open, new Set(selected.map(({name}) => name)));
  emit({type: 'plan', changes: plan.changes, hosts: plan.lines});
  await using kubernetes = new KubernetesSession(plan.first.connection, cluster.endpoint);
  if (plan.changes === 0) return await lookOnly(environment, {open, plan, kubernetes});
  await hooks.confirm(plan);
  return await change(environment, {open, plan, kubernetes});
}

/** `--limit` may leave control planes out; the API is reached through them all the same. */
function withControlPlanes({cluster}: Environment, selected: readonly {readonly name: string}[]) {
  const names = new Set(selected.map(({name}) => name));
  return cluster.hosts.filter(host => host.isControlPlane || names.has(host.name));
}

interface Opened {
  readonly open: OpenHosts;
  readonly plan: ClusterPlan;
  readonly kubernetes: KubernetesSession;
}

const plannedNames = ({hosts}: ClusterPlan) => hosts.map(({host}) => host.name);

async function lookOnly(
  {cluster, signal}: Environment,
  {open, plan, kubernetes}: Opened,
): Promise<Outcome> {
  const api = await kubernetes.api({signal});
  const proof = await readOnlyProof(api, membersOf(cluster, open.hosts), {
    signal,
    inventory: namesOf(cluster),
  });
  const hosts = plannedNames(plan).map(host => ({host, state: 'done' as const, changes: 0}));
  return {changes: 0, hosts, proof, errors: []};
}

async function change(
  environment: Environment,
  {open, plan, kubernetes}: Opened,
): Promise<Outcome> {
  const {cluster, signal, emit, options, clock} = environment;
  const session: ClusterSession = {
    cluster,
    hosts: open.hosts,
    plans: plan.hostPlans,
    first: plan.first,
    artifact: plan.artifacts.artifact,
    token: createToken(),
    now: clock.now,
    api: each => kubernetes.api(each),
  };
  let proof: ProofResult | undefined;
  const tasks = convergeTasks(session, plan, {
    onProof: result => {
      proof = result;
    },
  });
  const graph = {signal, emit, forks: options.forks, now: clock.monotonicMs};
  const results = await runGraph(tasks, graph);
  return {...outcomeOf(plannedNames(plan), results), ...(proof && {proof})};
}
