import {certificatePhases} from '../certificates/certificate-plan.ts';
import type {Task, TaskContext} from '../engine/graph.ts';
import {applyAddon} from '../phases/apply-addon.ts';
import {applyResources} from '../phases/apply-resources.ts';
import {allowToken, revokeToken} from '../phases/bootstrap-token.ts';
import {checkPrograms, smokeTest} from '../phases/check-runtime.ts';
import {kubeadmInit} from '../phases/kubeadm-init.ts';
import {kubeadmJoin} from '../phases/kubeadm-join.ts';
import {applyNodeSettings} from '../phases/node-settings.ts';
import type {ClusterSession, HostSession} from '../phases/session.ts';
import {REMOVAL_PHASE} from '../plan/host-plan.ts';
import type {ProofResult} from '../proof/proof-result.ts';
import {prove} from '../proof/prove.ts';
import {certificateTasks, type Trials} from './certificate-tasks.ts';
import {imagesTask} from './images-task.ts';
import {membersOf, namesOf} from './members.ts';
import type {ClusterPlan} from './plan.ts';

interface TaskHooks {
  readonly onProof: (result: ProofResult) => void;
}

/**
 * The table of contents of an installation: which phase waits for which, on its own host or on
 * another. Workers prepare while the control plane initialises.
 *
 * ```
 * os ───────────────┐
 * runtime-artifacts ┴ programs ─ runtime ─ images ─ smoke ┬ init (first) ─ network-addon ┐
 *        └─ kubernetes-artifacts ─ kubelet ───────────────┴────┴─ join (workers) ────────┴ verify
 * ```
 *
 * Certificates are a branch of their own beside the joins: see `certificate-tasks.ts`.
 */
export function convergeTasks(
  session: ClusterSession,
  plan: ClusterPlan,
  hooks: TaskHooks,
): readonly Task[] {
  const perHost = plan.hosts.flatMap(host => [
    ...preparation(session, plan, host),
    ...membership(session, plan, host),
  ]);
  const {tasks, trials} = certificateTasks(session, plan);
  return withoutDangling([...perHost, ...tasks, ...ofCluster(session, plan, {...hooks, trials})]);
}

/** What is made on a host before it is a node. */
function preparation(session: ClusterSession, plan: ClusterPlan, host: HostSession): Task[] {
  const {name} = host.host;
  const actions = plan.actions.get(name);
  const resources = (phase: string, after: readonly string[]): Task => {
    const changes = plan.hostPlans.get(name)?.phases.find(each => each.phase === phase);
    return {
      phase,
      host: name,
      after: after.map(other => `${other}@${name}`),
      idle: (changes?.changes.length ?? 0) === 0,
      run: async context =>
        changes === undefined ? 0 : await applyResources(session, host, changes, context),
    };
  };
  const images = (phase: string, references: readonly string[], after: readonly string[]) =>
    imagesTask(session, plan, {
      host,
      phase,
      references,
      after: after.map(other => `${other}@${name}`),
    });
  const changes = (phase: string) =>
    plan.hostPlans.get(name)?.phases.find(each => each.phase === phase)?.changes.length ?? 0;
  const image = plan.artifacts.images.proof;
  return [
    resources('os', []),
    resources('runtime-artifacts', []),
    {
      phase: 'programs',
      host: name,
      after: [`os@${name}`, `runtime-artifacts@${name}`],
      idle: host.host.runtime !== 'slipway' || changes('runtime-artifacts') === 0,
      run: async () => await checkPrograms(host),
    },
    resources('runtime', ['programs']),
    images('images', actions?.images ?? [], ['runtime']),
    {
      phase: 'smoke',
      host: name,
      after: [`images@${name}`],
      idle: actions?.smoke !== true,
      run: async context => await smokeTest(host, {image}, context),
    },
    images('addon-images', actions?.addonImages ?? [], ['smoke']),
    resources('kubernetes-artifacts', ['runtime-artifacts']),
    resources('kubelet', ['os', 'runtime', 'kubernetes-artifacts']),
    resources(REMOVAL_PHASE, ['kubelet']),
  ];
}

/** How a prepared host becomes a node. */
function membership(session: ClusterSession, plan: ClusterPlan, host: HostSession): Task[] {
  const {name} = host.host;
  const actions = plan.actions.get(name);
  const isFirst = name === plan.first.host.name;
  const task = (
    phase: string,
    after: readonly string[],
    idle: boolean,
    run: (context: TaskContext) => Promise<number>,
  ): Task => ({phase, host: name, after, idle, run});
  const prepared = [`kubelet@${name}`, `smoke@${name}`];
  const member = isFirst
    ? task('init', prepared, actions?.init !== true, each => kubeadmInit(session, host, each))
    : task('join', [...prepared, 'join-token'], actions?.join !== true, each =>
        kubeadmJoin(session, host, each),
      );
  return [
    member,
    task('node-settings', [`${member.phase}@${name}`], actions?.nodeSettings !== true, each =>
      applyNodeSettings(session, host, each),
    ),
  ];
}

function ofCluster(
  session: ClusterSession,
  plan: ClusterPlan,
  {onProof, trials}: TaskHooks & {readonly trials: Trials},
): Task[] {
  const {first} = plan;
  const {now} = session;
  const init = `init@${first.host.name}`;
  const joining = plan.hosts.filter(({host}) => plan.actions.get(host.name)?.join === true);
  const settled = plan.hosts.flatMap(({host}) =>
    ['join', 'init', 'node-settings', 'kubelet', 'addon-images', REMOVAL_PHASE].map(
      phase => `${phase}@${host.name}`,
    ),
  );
  return [
    {
      phase: 'join-token',
      after: [init],
      idle: joining.length === 0,
      run: async ({signal}) => {
        await allowToken(await session.api({signal}), session.token, {signal, now: now()});
        return 0;
      },
    },
    {
      phase: 'network-addon',
      after: [init],
      idle: plan.addons.length === 0,
      run: async context => {
        let changes = 0;
        for (const addon of plan.addons) {
          context.signal.throwIfAborted();
          context.progress(`applying ${addon.name}`);
          changes += await applyAddon(session, addon, context);
        }
        return changes;
      },
    },
    {
      phase: 'revoke-token',
      after: [init],
      afterSettled: ['join-token', ...joining.map(({host}) => `join@${host.name}`)],
      idle: joining.length === 0 && plan.actions.get(first.host.name)?.init !== true,
      // A token that outlives an interrupted run ends by itself after half an hour.
      run: async ({signal}) => {
        await revokeToken(await session.api({signal}), session.token, {signal});
        return 0;
      },
    },
    {
      phase: 'verify',
      after: ['network-addon', init],
      afterSettled: [...settled, ...Object.values(certificatePhases)],
      run: async ({signal, progress}) => {
        const cluster = membersOf(session.cluster, session.hosts);
        const inventory = namesOf(session.cluster);
        const image = plan.artifacts.images.proof;
        const onEvent = (event: {readonly kind: string}) => {
          progress(event.kind.replaceAll('-', ' '));
        };
        const api = await session.api({signal});
        // A test that was to run and did not get as far is a failure of its own.
        const tried = trials.latest() ?? (plan.certificates.test ? [] : undefined);
        onProof(await prove(api, cluster, {signal, inventory, image, onEvent, now, trials: tried}));
        return 0;
      },
    },
  ];
}

/** With `--limit`, the control plane may not be part of the run: what waits for it need not. */
function withoutDangling(tasks: readonly Task[]): readonly Task[] {
  const keys = new Set(
    tasks.map(({phase, host}) => (host === undefined ? phase : `${phase}@${host}`)),
  );
  const known = (others: readonly string[]) => others.filter(key => keys.has(key));
  return tasks.map(task => ({
    ...task,
    after: known(task.after),
    afterSettled: known(task.afterSettled ?? []),
  }));
}
