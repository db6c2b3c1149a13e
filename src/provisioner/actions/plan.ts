import {CodedError} from '#shared/errors';
import {type Addon, planAddons} from '../addons/addon.ts';
import {tolerationsOf} from '../addons/tolerations.ts';
import {
  certificatePhases,
  type CertificatePlan,
  CONTROLLER_ACTION,
  NO_CERTIFICATE_CHANGES,
  planCertificates,
} from '../certificates/certificate-plan.ts';
import type {PlannedHost} from '../engine/events.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {
  addonAction,
  changedKeys,
  describeHostActions,
  isMember,
  type PlannedHostInput,
  electFirst,
  type HostActions,
  isPresent,
  planHostActions,
} from '../plan/action-plan.ts';
import {isOurs} from '../host-state/host-state.ts';
import type {HostPlan} from '../plan/host-plan.ts';
import {checkOwner} from '../preflight/check-host.ts';
import {isLoopback} from '../config/ipv4.ts';
import {checkHosts} from '../preflight/check-hosts.ts';
import {throwProblems} from '../problems-error.ts';
import {checkImages} from './check-images.ts';
import type {Artifacts, Environment} from './environment.ts';
import type {OpenHost, OpenHosts} from './open-hosts.ts';
import {planOneHost, resolveArtifacts} from './plan-hosts.ts';

/** Everything a run would do, and what it needs to do it. */
export interface ClusterPlan {
  readonly first: OpenHost;
  /** The hosts of this run that are changed; with `--limit`, those that it names. */
  readonly hosts: readonly OpenHost[];
  readonly hostPlans: ReadonlyMap<string, HostPlan>;
  readonly actions: ReadonlyMap<string, HostActions>;
  readonly addons: readonly Addon[];
  readonly certificates: CertificatePlan;
  /** Control planes that lack the certificate controller's image, by name. */
  readonly certificateHosts: readonly string[];
  readonly artifacts: Artifacts;
  /** What hosts have to find under each reference that they pull. */
  readonly imageDigests: ReadonlyMap<string, string>;
  /** The same as lines for people and machines. */
  readonly lines: readonly PlannedHost[];
  readonly changes: number;
}

/**
 * Plans a run: preflight of all hosts, then what differs. Changes nothing.
 *
 * @throws CodedError or ProblemsError: every problem of every host at once
 */
export async function planCluster(
  environment: Environment,
  open: OpenHosts,
  selected: ReadonlySet<string>,
): Promise<ClusterPlan> {
  const {cluster, signal, emit} = environment;
  const targets = open.hosts.filter(({host}) => selected.has(host.name));
  const {artifactsArch} = environment;
  const forwardsNames = hasUpstream(open.hosts);
  const inputs = targets.map(each => ({
    ...each,
    cluster,
    artifactsArch,
    forwardsNames,
    state: each.record.state,
  }));
  const all = open.hosts.map(each => ({...each, state: each.record.state}));
  // The cluster is changed through its control plane, whether or not --limit names it.
  const others = all.filter(({host}) => !selected.has(host.name));
  throwProblems([
    ...open.errors,
    ...checkHosts(inputs),
    ...others.flatMap(each => checkOwner(cluster, each)),
  ]);
  const first = electFirst(all);
  if (first === undefined) throw new TypeError('the configuration has no control plane');
  throwProblems(all.flatMap(each => changedKeys(cluster, each)));
  checkReach(first, selected);
  const artifacts = await environment.artifacts();
  const artifact = await resolveArtifacts(environment, artifacts);
  signal.throwIfAborted();
  const plans = await Promise.all(targets.map(host => planOneHost(environment, host, artifact)));
  const actions = inputs.map(host =>
    planHostActions(host, {
      images: {...artifacts.images, digestsOf: artifacts.lockedDigests},
      isFirst: host.host.name === first.host.name,
    }),
  );
  throwProblems(plans.flatMap(foreignFiles));
  const certificates = await planCertificatesOf(environment, first, artifacts);
  const certificateHosts = await hostsWithoutController({certificates, artifacts}, open.hosts);
  const needed = [
    ...new Set(actions.flatMap(each => [...each.images, ...each.addonImages])),
    ...(certificateHosts.length > 0 ? [artifacts.images.certificates] : []),
  ];
  const imageDigests = await checkImages(cluster, artifacts, needed);
  const addons = planAddons(cluster, {images: artifacts.images, upstream: forwardsNames}).filter(
    addon =>
      first.state.actions[addonAction(addon.name)]?.digest !== addon.digest ||
      first.state.actions[addonAction(addon.name)]?.status !== 'done',
  );
  if (!forwardsNames && addons.some(({name}) => name === 'cluster-dns')) {
    emit({type: 'message', text: NO_UPSTREAM});
  }
  const pulls = {hosts: certificateHosts, image: artifacts.images.certificates};
  const lines = describe({plans, actions, addons, certificates, pulls});
  return {
    first,
    hosts: targets,
    hostPlans: new Map(plans.map(plan => [plan.host, plan])),
    actions: new Map(actions.map(each => [each.host, each])),
    addons,
    certificates,
    certificateHosts,
    artifacts,
    imageDigests,
    lines,
    changes: lines.reduce((sum, line) => sum + line.changes.length, 0),
  };
}

const NO_UPSTREAM =
  'names outside the cluster are not resolved in pods: no control plane has a name server that is not loopback';

/** Of the control planes only: they are reached in every run, whatever --limit says. */
const hasUpstream = (hosts: readonly OpenHost[]): boolean =>
  hosts.some(
    ({host, facts}) => host.isControlPlane && facts.nameServers.some(each => !isLoopback(each)),
  );

async function planCertificatesOf(
  {cluster}: Environment,
  {record}: OpenHost,
  artifacts: Artifacts,
): Promise<CertificatePlan> {
  const {certificates: settings} = cluster;
  const {state} = record;
  if (!settings.enabled && !(CONTROLLER_ACTION in state.actions)) return NO_CERTIFICATE_CHANGES;
  const release = await artifacts.controllerRelease();
  const tolerations = tolerationsOf(cluster.hosts.filter(host => host.isControlPlane));
  const image = artifacts.images.certificates;
  return planCertificates({settings, state, release, image, tolerations});
}

/**
 * The controller runs on control planes, and they are reached in every run. A node that pulls it
 * itself would find nothing at a site without a registry.
 */
async function hostsWithoutController(
  {certificates, artifacts}: Pick<ClusterPlan, 'certificates' | 'artifacts'>,
  hosts: readonly OpenHost[],
): Promise<readonly string[]> {
  if (certificates.controller === undefined) return [];
  const image = artifacts.images.certificates;
  await artifacts.lockOwnImage(image);
  const digests = artifacts.lockedDigests(image);
  return hosts
    .filter(({host, facts}) => host.isControlPlane && !isPresent(image, facts, digests))
    .map(({host}) => host.name);
}

/** With `--limit` and no cluster yet, there is nothing that a worker could join. */
function checkReach(first: PlannedHostInput, selected: ReadonlySet<string>): void {
  const {name} = first.host;
  if (selected.has(name) || isMember(first.state)) return;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_CLUSTER_ABSENT',
    `${name}: no cluster was made here yet, and --limit leaves it out`,
    {hint: `add ${name} to --limit, or run without it`},
  );
}

/** A file that is there and is not ours is somebody's: it is not overwritten. */
function foreignFiles({host, phases, input}: HostPlan): readonly CodedError[] {
  const kinds = ['file', 'artifact', 'link'];
  const paths = phases
    .flatMap(({changes}) => changes)
    .filter(
      ({change, resource}) => change.action === 'update' && kinds.includes(resource?.kind ?? ''),
    )
    .map(({change}) => change.id)
    .filter(id => !isOurs(input.state, id))
    .map(id => id.slice(id.indexOf(':') + 1));
  if (paths.length === 0) return [];
  return [
    new CodedError<ProvisionerErrorCode>(
      'ERR_PREFLIGHT_FOREIGN_FILE',
      `${host}: [ForeignFile] files that we did not make are in the way: ${paths.join(', ')}`,
      {hint: `move them away on ${host}, then run the same command again`},
    ),
  ];
}

interface Described {
  readonly plans: readonly HostPlan[];
  readonly actions: readonly HostActions[];
  readonly addons: readonly Addon[];
  readonly certificates: CertificatePlan;
  readonly pulls: {readonly hosts: readonly string[]; readonly image: string};
}

function describe({
  plans,
  actions,
  addons,
  certificates,
  pulls,
}: Described): readonly PlannedHost[] {
  const own = new Map<string, PlannedHost['changes']>(
    plans.map((plan, index) => {
      const actionsOfHost = actions[index];
      const resources = plan.phases.flatMap(({phase, changes}) =>
        changes.map(({change}) => ({phase, ...change})),
      );
      const others = actionsOfHost === undefined ? [] : describeHostActions(actionsOfHost);
      return [plan.host, [...resources, ...others]];
    }),
  );
  const pull = {
    phase: certificatePhases.image,
    id: `image:${pulls.image}`,
    action: 'run' as const,
    summary: 'pull',
  };
  // With --limit, a control plane may have nothing else to do.
  for (const host of pulls.hosts) own.set(host, [...(own.get(host) ?? []), pull]);
  const cluster = {
    host: 'cluster',
    changes: [
      ...addons.map(addon => ({
        phase: 'network-addon',
        id: addonAction(addon.name),
        action: 'run' as const,
        summary: `apply ${addon.objects.length} objects`,
      })),
      ...certificates.lines,
    ],
  };
  const hosts = [...own].map(([host, changes]) => ({host, changes}));
  return [...hosts, cluster].filter(({changes}) => changes.length > 0);
}
