/** A run of the main path over hosts and an API that only note what they are asked. */
import {convergeTasks} from '#provisioner/actions/converge-tasks';
import {openHosts} from '#provisioner/actions/open-hosts';
import {outcomeOf} from '#provisioner/actions/outcome';
import {planCluster} from '#provisioner/actions/plan';
import {selectHosts} from '#provisioner/actions/select-hosts';
import {runGraph, type Task, taskKey} from '#provisioner/engine/graph';
import type {ClusterSession} from '#provisioner/phases/session';
import {INIT_ACTION, JOIN_ACTION} from '#provisioner/plan/action-plan';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import type {NodeObject} from '#shared/kube/object';
import {Secret} from '#shared/secret';
import {aCluster, aHost} from '#test/a-cluster';
import {aSite, type Site, type SiteOptions} from '#test/a-site';

export const TOKEN = 'abcdef.0123456789abcdef';
const ADMIN_CONF = 'clusters: [{cluster: {certificate-authority-data: Q0EK}}]\n';
const member = (action: string) => ({
  actions: {[action]: {status: 'done' as const, digest: 'x'}},
});

export interface Converged {
  readonly site: Site;
  /** What was asked of the Kubernetes API, e.g. `apply Secret bootstrap-token-abcdef`. */
  readonly calls: readonly string[];
  readonly session: ClusterSession;
  /** What the API has, by name. */
  readonly nodes: Map<string, NodeObject>;
  readonly plan: Awaited<ReturnType<typeof planCluster>>;
  readonly tasks: readonly Task[];
}

export async function prepare(options: SiteOptions = {}, limit: readonly string[] = []) {
  const site = aSite({
    ...options,
    respond: async (run, host) => {
      const answer = await options.respond?.(run, host);
      if (answer !== undefined) return answer;
      return run.script.includes('admin.conf') && run.script.startsWith('cat')
        ? ADMIN_CONF
        : undefined;
    },
  });
  const {environment} = site;
  const names = new Set(selectHosts(environment.cluster, limit).map(({name}) => name));
  const reached = environment.cluster.hosts.filter(
    host => host.isControlPlane || names.has(host.name),
  );
  const open = await openHosts(environment, reached, {lock: true});
  const plan = await planCluster(environment, open, names);
  const calls: string[] = [];
  const nodes = new Map<string, NodeObject>();
  const session: ClusterSession = {
    cluster: environment.cluster,
    hosts: open.hosts,
    plans: plan.hostPlans,
    first: plan.first,
    artifact: plan.artifacts.artifact,
    token: new Secret(TOKEN),
    now: () => new Date(0),
    api: () => Promise.resolve(anApi(calls, nodes)),
  };
  const tasks = convergeTasks(session, plan, {onProof: () => undefined}).map(task =>
    task.phase === 'verify' ? {...task, run: () => Promise.resolve(0)} : task,
  );
  return {site, calls, session, plan, tasks, nodes} satisfies Converged;
}

/** Takes everything, and keeps only what it was asked. */
function anApi(calls: string[], nodes: ReadonlyMap<string, NodeObject>): KubernetesApi {
  const note =
    (verb: string) => (object: {kind: string; name?: string; metadata?: {name: string}}) => {
      calls.push(`${verb} ${object.kind} ${object.name ?? object.metadata?.name ?? ''}`);
      return Promise.resolve({change: 'created', metadata: {}, before: undefined, after: object});
    };
  const get = ({name}: {name: string}) => Promise.resolve(nodes.get(name));
  const api = {get, apply: note('apply'), delete: note('delete'), patch: note('patch'), waitFor: note('wait for')}; // prettier-ignore
  return api as unknown as KubernetesApi;
}

export async function run({site, tasks, plan}: Converged, signal = new AbortController().signal) {
  const {emit} = site.environment;
  const results = await runGraph(tasks, {signal, emit, forks: 50, now: () => 0});
  return {results, outcome: outcomeOf(plan.hosts.map(({host}) => host.name), results)}; // prettier-ignore
}

export const scriptsOf = ({connections}: Site, host: string): readonly string[] =>
  (connections.get(host)?.runs ?? []).map(({script}) => script);
export const ran = (site: Site, host: string, what: string): boolean =>
  scriptsOf(site, host).some(script => script.includes(what));

/** Every task that is not idle, in the order in which a graph without failures runs them. */
export async function orderOf(tasks: readonly Task[]): Promise<readonly string[]> {
  const order: string[] = [];
  const recorded = tasks.map(task => ({
    ...task,
    run: () => {
      order.push(taskKey(task));
      return Promise.resolve(0);
    },
  }));
  const {signal} = new AbortController();
  await runGraph(recorded, {signal, emit: () => undefined, forks: 50, now: () => 0});
  return order;
}

export const single = aCluster({hosts: [aHost('h1', {isControlPlane: true})]});
export const made = {h1: member(INIT_ACTION), h2: member(JOIN_ACTION), h3: member(JOIN_ACTION)};
