import {CodedError} from '#shared/errors';
import {certificatePhases as phases} from '../certificates/certificate-plan.ts';
import {type IssuerTrial, tryIssuers} from '../certificates/try-issuers.ts';
import type {Task} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {applyIssuers} from '../phases/apply-issuers.ts';
import {applyCertificateApis} from '../phases/certificate-apis.ts';
import {
  removeCertificateController,
  runCertificateController,
} from '../phases/certificate-controller.ts';
import type {ClusterSession} from '../phases/session.ts';
import {triedIssuers} from '../proof/issuer-proof.ts';
import {imagesTask} from './images-task.ts';
import type {ClusterPlan} from './plan.ts';

/** What this run has tried so far; the proof need not try it again. */
export interface Trials {
  readonly latest: () => readonly IssuerTrial[] | undefined;
}

/**
 * Everything about certificates, beside the joins of workers:
 *
 * ```
 * addon-images@control-plane ─ certificate-image ┐
 * init ┬ certificate-apis ───────────────────────┴ certificate-controller ─ issuers ─ certificate-test
 *      └ network-addon ──────────────────────────┘
 * ```
 */
export function certificateTasks(
  session: ClusterSession,
  plan: ClusterPlan,
): {readonly tasks: readonly Task[]; readonly trials: Trials} {
  const {certificates} = plan;
  const {apis, controller, controllerRemoval, issuers, removedIssuers: removed} = certificates;
  let latest: readonly IssuerTrial[] | undefined;
  const images = imageTasks(session, plan);
  const init = `init@${plan.first.host.name}`;
  const tasks: Task[] = [
    ...images,
    {
      phase: phases.apis,
      after: [init],
      idle: apis === undefined,
      run: async context =>
        apis === undefined ? 0 : await applyCertificateApis(session, apis, context),
    },
    {
      phase: phases.controller,
      // Its pod needs the network; without its image, a kubelet would try for a while and wait.
      after: [
        phases.apis,
        'network-addon',
        ...images.map(({host = ''}) => `${phases.image}@${host}`),
      ],
      idle: controller === undefined,
      run: async context =>
        controller === undefined ? 0 : await runCertificateController(session, controller, context),
    },
    {
      phase: phases.issuers,
      after: [phases.controller],
      idle: issuers.length + removed.length === 0 && controllerRemoval === undefined,
      run: async context => {
        const changes = await applyIssuers(session, {issuers, removed}, context);
        if (controllerRemoval === undefined) return changes;
        return changes + (await removeCertificateController(session, controllerRemoval, context));
      },
    },
    {
      phase: phases.test,
      after: [phases.issuers],
      idle: !certificates.test,
      run: async ({signal, progress}) => {
        const api = await session.api({signal});
        const tried = triedIssuers(session.cluster.certificates);
        const onTried = ({id}: IssuerTrial) => {
          progress(id);
        };
        latest = await tryIssuers(api, tried, {signal, now: session.now, onTried});
        requireIssued(latest);
        return 1;
      },
    },
  ];
  return {tasks, trials: {latest: () => latest}};
}

/** The controller's image, to the hosts that it may run on. */
function imageTasks(session: ClusterSession, plan: ClusterPlan): readonly Task[] {
  return session.hosts
    .filter(({host}) => host.isControlPlane)
    .map(host => {
      const {name} = host.host;
      const isMissing = plan.certificateHosts.includes(name);
      return imagesTask(session, plan, {
        host,
        phase: phases.image,
        references: isMissing ? [plan.artifacts.images.certificates] : [],
        after: [`addon-images@${name}`],
      });
    });
}

/**
 * @throws CodedError ERR_CERTIFICATES_TEST_FAILED with what every issuer that failed said
 */
export function requireIssued(trials: readonly IssuerTrial[]): void {
  const failures = trials.flatMap(({id, verdict}) =>
    verdict.ok ? [] : [`${id}: ${verdict.reason}`],
  );
  if (failures.length === 0) return;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_CERTIFICATES_TEST_FAILED',
    `a throw-away certificate could not be issued: ${failures.join('; ')}`,
    {hint: 'correct what is named, then run "provision issuers test"'},
  );
}
