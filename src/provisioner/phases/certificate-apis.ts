import {CodedError} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {mapLimited} from '#shared/map-limited';
import {isTimeout, waitFor} from '#shared/wait-for';
import {APIS_ACTION, type Manifests} from '../certificates/certificate-plan.ts';
import {
  certificateKind,
  clusterIssuerKind,
  currentCondition,
  definitionKind,
  issuerKind,
} from '../certificates/kinds.ts';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {recordedAction} from './record-action.ts';
import type {ClusterSession} from './session.ts';

const ESTABLISHED_TIMEOUT_MS = 60_000;
const SERVED_INTERVAL_MS = 100;
/** The API server works on one definition for a while; more at once would only queue there. */
const APPLIES_AT_ONCE_MAX = 3;

/**
 * Applies the kinds of the certificate controller and what guards them, and waits until the API
 * serves them.
 *
 * @throws CodedError ERR_CERTIFICATES_NOT_RUNNING and those of the API
 */
export async function applyCertificateApis(
  session: Pick<ClusterSession, 'api' | 'first'>,
  {digest, definitions, policies}: Manifests,
  {signal, progress}: TaskContext,
): Promise<number> {
  const api = await session.api({signal});
  await recordedAction(
    session.first.record,
    {action: APIS_ACTION, entry: {digest}},
    {
      signal,
      perform: async () => {
        progress(`applying ${definitions.length} kinds`);
        await mapLimited(definitions, APPLIES_AT_ONCE_MAX, object => api.apply(object, {signal}));
        for (const policy of policies) await api.apply(policy, {signal});
        progress('waiting until they are served');
        await waitUntilServed(
          api,
          definitions.map(({metadata}) => metadata.name),
          signal,
        );
      },
    },
  );
  return 1;
}

async function waitUntilServed(
  api: KubernetesApi,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  let last: readonly string[] = names;
  try {
    await api.waitFor(
      definitionKind,
      definitions => {
        const established = new Set(
          definitions
            .filter(each => currentCondition(each, 'Established')?.status === 'True')
            .map(({metadata}) => metadata.name),
        );
        last = names.filter(name => !established.has(name));
        return last.length === 0 ? true : undefined;
      },
      {signal, timeoutMs: ESTABLISHED_TIMEOUT_MS, description: 'the kinds of the certificate API'},
    );
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'ERR_API_TIMEOUT') throw error;
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_CERTIFICATES_NOT_RUNNING',
      `the API did not establish ${last.join(', ')} within ${ESTABLISHED_TIMEOUT_MS / 1000} s`,
      {
        hint: `read the conditions: "provision kubectl describe crd ${last[0] ?? ''}"`,
        cause: error,
      },
    );
  }
  // Established comes a moment before discovery has it.
  try {
    await waitFor(async limited => await isServed(api, limited), {
      signal,
      timeoutMs: ESTABLISHED_TIMEOUT_MS,
      intervalMs: SERVED_INTERVAL_MS,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!isTimeout(error)) throw error;
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_CERTIFICATES_NOT_RUNNING',
      `the API does not serve the kinds of certificates ${ESTABLISHED_TIMEOUT_MS / 1000} s after it established them`,
      {hint: 'look at the log of kube-apiserver, then run the same command again', cause: error},
    );
  }
}

async function isServed(api: KubernetesApi, signal: AbortSignal): Promise<true | undefined> {
  try {
    for (const kind of [clusterIssuerKind, issuerKind, certificateKind]) {
      await api.list(kind, {signal, fieldSelector: 'metadata.name=none'});
    }
    return true;
  } catch (error) {
    if (error instanceof ApiRefusedError && error.status === 404) return undefined;
    throw error;
  }
}
