import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {deploymentKind, podKind, type ObjectReference} from '#shared/kube/object';
import {
  APIS_ACTION,
  CONTROLLER_ACTION,
  type ControllerPlan,
} from '../certificates/certificate-plan.ts';
import type {ControllerRelease} from '../certificates/controller-release.ts';
import {leaseKind} from '../certificates/kinds.ts';
import type {Deadline} from '#shared/wait-for';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {judgeDeployments} from '../proof/cluster-state.ts';
import {describePod} from '../proof/proof-pods.ts';
import {forgetActions, recordedAction} from './record-action.ts';
import type {ClusterSession} from './session.ts';

/** The node becomes Ready, the pod starts; where nobody sent the image, it is pulled. */
const AVAILABLE_TIMEOUT_MS = 180_000;
/** A predecessor that died holds the lease for a minute. */
const LEASE_TIMEOUT_MS = 90_000;

export interface ControllerContext extends TaskContext {
  readonly timeoutMs?: {readonly available: number; readonly lease: number};
}

/**
 * Applies the certificate controller and waits until its pod is available and one of its processes
 * holds the lease, that is: works.
 *
 * @throws CodedError ERR_CERTIFICATES_NOT_RUNNING with what its pods say, and those of the API
 */
export async function runCertificateController(
  session: Pick<ClusterSession, 'api' | 'first'>,
  {digest, objects, release}: ControllerPlan,
  {
    signal,
    progress,
    timeoutMs = {available: AVAILABLE_TIMEOUT_MS, lease: LEASE_TIMEOUT_MS},
  }: ControllerContext,
): Promise<number> {
  const api = await session.api({signal});
  await recordedAction(
    session.first.record,
    {action: CONTROLLER_ACTION, entry: {digest}},
    {
      signal,
      perform: async () => {
        progress('applying');
        for (const object of objects) await api.apply(object, {signal});
        progress('waiting for its pod');
        await waitForDeployment(api, release, {signal, timeoutMs: timeoutMs.available});
        progress('waiting for its lease');
        await waitForLease(api, release, {signal, timeoutMs: timeoutMs.lease});
      },
    },
  );
  return 1;
}

/** Takes the controller out of the cluster. Its kinds stay, and so does every certificate. */
export async function removeCertificateController(
  session: Pick<ClusterSession, 'api' | 'first'>,
  objects: readonly ObjectReference[],
  {signal}: TaskContext,
): Promise<number> {
  const api = await session.api({signal});
  for (const object of objects) await api.delete(object, {signal});
  await forgetActions(session.first.record, [APIS_ACTION, CONTROLLER_ACTION]);
  return 1;
}

async function waitForDeployment(
  api: KubernetesApi,
  {namespace, deployment}: ControllerRelease,
  {signal, timeoutMs}: Deadline,
): Promise<void> {
  const wait = api.waitFor(
    deploymentKind,
    deployments => {
      const [row] = judgeDeployments(deployments, {namespaces: new Set([namespace])});
      return row?.cell.state === 'ok' ? true : undefined;
    },
    {
      signal,
      namespace,
      fieldSelector: `metadata.name=${deployment}`,
      timeoutMs,
      description: `Deployment ${namespace}/${deployment} to be available`,
    },
  );
  await orNotRunning(wait, async () => {
    const pods = await api.list(podKind, {signal, namespace});
    const said = pods.map(pod => `${pod.metadata.name}: ${describePod(pod)}`);
    const found = said.length === 0 ? 'it has no pod' : said.join('; ');
    return {
      message: `the certificate controller is not available after ${timeoutMs / 1000} s: ${found}`,
      hint: `read its log: "provision kubectl logs -n ${namespace} deployment/${deployment}"`,
    };
  });
}

async function waitForLease(
  api: KubernetesApi,
  {namespace, deployment, lease}: ControllerRelease,
  {signal, timeoutMs}: Deadline,
): Promise<void> {
  const wait = api.waitFor(
    leaseKind,
    leases => {
      const found = leases.find(({metadata}) => metadata.name === lease.name);
      return (found?.spec?.holderIdentity ?? '') === '' ? undefined : true;
    },
    {
      signal,
      namespace: lease.namespace,
      fieldSelector: `metadata.name=${lease.name}`,
      timeoutMs,
      description: `Lease ${lease.namespace}/${lease.name} to be held`,
    },
  );
  await orNotRunning(wait, () =>
    Promise.resolve({
      message: `nobody holds the lease ${lease.namespace}/${lease.name} after ${timeoutMs / 1000} s: the certificate controller does not work`,
      hint: `read its log: "provision kubectl logs -n ${namespace} deployment/${deployment}"`,
    }),
  );
}

/** Names a wait that ran out of time for what it is. */
async function orNotRunning(
  wait: Promise<unknown>,
  describe: () => Promise<{readonly message: string; readonly hint: string}>,
): Promise<void> {
  try {
    await wait;
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'ERR_API_TIMEOUT') throw error;
    const {message, hint} = await describe();
    throw new CodedError<ProvisionerErrorCode>('ERR_CERTIFICATES_NOT_RUNNING', message, {
      hint,
      cause: error,
    });
  }
}
