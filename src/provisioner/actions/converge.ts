import {CodedError, isCoded} from '#shared/errors';
import type {HostOutcome} from '../engine/events.ts';
import {runGraph, type TaskKey, type TaskResult} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {createToken} from '../phases/bootstrap-token.ts';
import type {ClusterSession} from '../phases/session.ts';
import {throwProblems} from '../problems-error.ts';
import type {ProofResult} from '../proof/proof-result.ts';
import {readOnlyProof} from '../proof/read-only-proof.ts';
import {convergeTasks} from './converge-tasks.ts';
import type {Environment} from './environment.ts';
import {KubernetesSession} from './kubernetes-session.ts';
import {openHosts, type OpenHosts} from './open-hosts.ts';
import {type ClusterPlan, planCluster} from './plan.ts';
import {selectHosts} from './select-hosts.ts';

/** How a run ended for every host, beside what it threw. */
export interface Outcome {
  readonly changes: number;
  readonly hosts: readonly HostOutcome[];
  /** undefined when the run did not get as far. */
  readonly proof: ProofResult | undefined;
  readonly errors: readonly unknown[];
}

export interface ConvergeHooks {
  /** Asked once before the first change, with the plan; false ends the run without one. */
  readonly confirm: (plan: ClusterPlan) => Promise<boolean>;
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
  const plan = await planCluster(environment, open, new Set(selected.map(({name}) => name)));
  emit({type: 'plan', changes: plan.changes, hosts: plan.lines});
  await using kubernetes = new KubernetesSession(plan.first.connection, cluster.endpoint);
  if (plan.changes === 0) return await lookOnly(environment, kubernetes, plan);
  if (!(await hooks.confirm(plan))) {
    return {changes: 0, hosts: outcomes(plan, new Map()), proof: undefined, errors: []};
  }
  return await change(environment, {open, plan, kubernetes});
}

/** `--limit` may leave control planes out; the API is reached through them all the same. */
function withControlPlanes({cluster}: Environment, selected: readonly {readonly name: string}[]) {
  const names = new Set(selected.map(({name}) => name));
  return cluster.hosts.filter(host => host.isControlPlane || names.has(host.name));
}

async function lookOnly(
  {cluster, signal}: Environment,
  kubernetes: KubernetesSession,
  plan: ClusterPlan,
): Promise<Outcome> {
  const proof = await readOnlyProof(await kubernetes.api({signal}), cluster, {signal});
  const hosts = plan.hosts.map(({host}) => ({
    host: host.name,
    state: 'done' as const,
    changes: 0,
  }));
  return {changes: 0, hosts, proof, errors: []};
}

async function change(
  environment: Environment,
  {
    open,
    plan,
    kubernetes,
  }: {
    readonly open: OpenHosts;
    readonly plan: ClusterPlan;
    readonly kubernetes: KubernetesSession;
  },
): Promise<Outcome> {
  const {cluster, signal, emit, options, clock} = environment;
  const session: ClusterSession = {
    cluster,
    hosts: open.hosts,
    plans: plan.hostPlans,
    first: plan.first,
    artifact: plan.artifacts.artifact,
    token: createToken(),
    api: each => kubernetes.api(each),
  };
  let proof: ProofResult | undefined;
  const tasks = convergeTasks(session, plan, {
    now: clock.now,
    onProof: result => {
      proof = result;
    },
  });
  const graph = {signal, emit, forks: options.forks, now: clock.monotonicMs};
  const results = await runGraph(tasks, graph);
  const errors = [...results.values()].flatMap(result =>
    result.kind === 'failed' ? [result.error] : [],
  );
  const changes = [...results.values()].reduce(
    (sum, result) => sum + (result.kind === 'done' ? result.changes : 0),
    0,
  );
  return {changes, hosts: outcomes(plan, results), proof, errors};
}

/** How each host ended: a host is done when every task on it is. */
function outcomes(
  plan: ClusterPlan,
  results: ReadonlyMap<TaskKey, TaskResult>,
): readonly HostOutcome[] {
  return plan.hosts.map(({host}) => {
    const own = [...results].filter(([key]) => key.endsWith(`@${host.name}`));
    const changes = own.reduce((n, [, r]) => n + (r.kind === 'done' ? r.changes : 0), 0);
    const failed = own.find(([, result]) => result.kind === 'failed');
    const skipped = own.find(([, result]) => result.kind === 'skipped');
    const phaseOf = (key: TaskKey) => key.slice(0, key.indexOf('@'));
    if (failed !== undefined) {
      const [key, result] = failed;
      const code =
        result.kind === 'failed' && isCoded(result.error) ? result.error.code : 'ERR_DEFECT';
      return {host: host.name, state: 'failed', changes, phase: phaseOf(key), code};
    }
    if (skipped !== undefined || own.length === 0) {
      const phase = skipped === undefined ? {} : {phase: phaseOf(skipped[0])};
      return {host: host.name, state: 'not-finished', changes, ...phase};
    }
    return {host: host.name, state: 'done', changes};
  });
}

/**
 * Throws what a run should end with: the interruption, one host's failure, or ERR_HOSTS_FAILED
 * when the cluster is sound and some of its hosts are not.
 */
export function throwOutcome({errors, hosts}: Outcome, {signal}: {readonly signal: AbortSignal}) {
  if (errors.length > 0) {
    const done = hosts.filter(({state}) => state === 'done').length;
    const failed = hosts.filter(({state}) => state === 'failed');
    if (done > 0 && failed.length > 0 && errors.every(error => isCoded(error))) {
      const list = failed.map(({host, code = ''}) => `${host} (${code})`).join(', ');
      throw new CodedError<ProvisionerErrorCode>(
        'ERR_HOSTS_FAILED',
        `${failed.length} of ${hosts.length} hosts failed: ${list}`,
        {hint: 'the errors above say why; then run the same command again', cause: errors[0]},
      );
    }
    throwProblems(errors);
  }
  if (!signal.aborted) return;
  throw new CodedError<ProvisionerErrorCode>('ERR_INTERRUPTED', 'interrupted', {
    hint: 'run the same command again to finish',
  });
}
