import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {formatReference, type ObjectReference} from '#shared/kube/object';
import {mapLimited} from '#shared/map-limited';
import type {PlannedIssuer, RemovedIssuer} from '../certificates/certificate-plan.ts';
import {isIssued, isManaged, keyPairSecret} from '../certificates/issuer-objects.ts';
import {
  certificateKind,
  currentCondition,
  type IssuerObject,
  secretKind,
} from '../certificates/kinds.ts';
import {formatOwned} from '../certificates/owned-objects.ts';
import type {TaskContext} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {throwProblems} from '../problems-error.ts';
import {forgetActions, recordedAction} from './record-action.ts';
import type {ClusterSession} from './session.ts';

const READY_TIMEOUT_MS = 30_000;
const ISSUERS_AT_ONCE_MAX = 8;

export interface IssuersContext extends TaskContext {
  /** Default: half a minute. */
  readonly readyTimeoutMs?: number;
}

/**
 * Makes the issuers of cluster.yaml and waits until each says that it is Ready; those that it does
 * not name any more go first. What is wrong with several is told together.
 *
 * @throws CodedError ERR_ISSUER_NOT_READY with the issuer's own words, ERR_ISSUER_SECRET_FOREIGN,
 *   and those of the API
 */
export async function applyIssuers(
  session: Pick<ClusterSession, 'api' | 'first'>,
  {
    issuers,
    removed,
  }: {
    readonly issuers: readonly PlannedIssuer[];
    readonly removed: readonly RemovedIssuer[];
  },
  {signal, progress, readyTimeoutMs = READY_TIMEOUT_MS}: IssuersContext,
): Promise<number> {
  const api = await session.api({signal});
  const {record} = session.first;
  for (const {id, action, owned} of removed) {
    progress(`removing ${id}`);
    await deleteAll(api, owned, signal);
    await forgetActions(record, [action]);
  }
  progress(issuers.map(({id}) => id).join(', '));
  const failures = await mapLimited(issuers, ISSUERS_AT_ONCE_MAX, async issuer => {
    const {action, digest, owned, obsolete, keyPair} = issuer;
    const keys = formatOwned(owned);
    const keysBefore = formatOwned([...owned, ...obsolete]);
    try {
      // Before it is recorded as ours: what is recorded is deleted one day.
      if (keyPair !== undefined) await refuseForeignSecret(api, keyPair.secret, signal);
      const perform = async () => {
        await applyIssuer(api, issuer, {signal, readyTimeoutMs});
        await deleteAll(api, obsolete, signal);
      };
      await recordedAction(record, {action, entry: {digest, keys, keysBefore}}, {signal, perform});
      return [];
    } catch (error) {
      signal.throwIfAborted();
      return [error];
    }
  });
  throwProblems(failures.flat());
  return issuers.length + removed.length;
}

interface Waiting {
  readonly signal: AbortSignal;
  readonly readyTimeoutMs: number;
}

async function applyIssuer(
  api: KubernetesApi,
  {objects, keyPair, reference}: PlannedIssuer,
  {signal, readyTimeoutMs}: Waiting,
): Promise<void> {
  const [own, ...others] = objects.toReversed();
  if (own === undefined) throw new TypeError('an issuer without an object');
  for (const object of others.toReversed()) await api.apply(object, {signal});
  if (keyPair !== undefined) {
    if (keyPair.pair === undefined) throw new TypeError('the key pair was not loaded');
    await api.apply(keyPairSecret(keyPair.secret, keyPair.pair), {signal});
  }
  await api.apply(own, {signal});
  await waitUntilReady(api, reference, {signal, readyTimeoutMs});
}

/** A Secret of that name that we did not make may hold somebody's only key. */
async function refuseForeignSecret(
  api: KubernetesApi,
  {name, namespace = ''}: ObjectReference,
  signal: AbortSignal,
): Promise<void> {
  const found = await api.get({...secretKind, name, namespace}, {signal});
  if (found === undefined || isManaged(found)) return;
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_ISSUER_SECRET_FOREIGN',
    `Secret ${namespace}/${name} is there already and was not made by us: it is not overwritten`,
    {
      hint: `name it in cluster.yaml (ca: {secretName: ${name}}) to use what it holds, or delete it`,
    },
  );
}

async function waitUntilReady(
  api: KubernetesApi,
  reference: ObjectReference<IssuerObject>,
  {signal, readyTimeoutMs}: Waiting,
): Promise<void> {
  const {name, namespace, ...kind} = reference;
  let last = 'the certificate controller has not looked at it yet';
  try {
    await api.waitFor(
      kind,
      issuers => {
        const found = issuers.find(({metadata}) => metadata.name === name);
        const ready = found === undefined ? undefined : currentCondition(found, 'Ready');
        if (ready !== undefined) last = `${ready.reason ?? ''}: ${ready.message ?? ''}`;
        return ready?.status === 'True' ? true : undefined;
      },
      {
        signal,
        ...(namespace === undefined ? {} : {namespace}),
        fieldSelector: `metadata.name=${name}`,
        timeoutMs: readyTimeoutMs,
        description: `${formatReference(reference)} to be Ready`,
      },
    );
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'ERR_API_TIMEOUT') throw error;
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_ISSUER_NOT_READY',
      `${formatReference(reference)} is not Ready after ${readyTimeoutMs / 1000} s: ${last}`,
      {hint: 'correct what it names, then run the same command again', cause: error},
    );
  }
}

/** A Secret that is not ours, whatever was recorded of it, stays: it may hold somebody's only key. */
async function deleteAll(
  api: KubernetesApi,
  references: readonly ObjectReference[],
  signal: AbortSignal,
): Promise<void> {
  // Of a CA that we had generated, the Certificate is ours as well.
  const isOfOurs = ({name, namespace}: ObjectReference) =>
    references.some(
      other =>
        other.kind === certificateKind.kind && other.name === name && other.namespace === namespace,
    );
  for (const reference of references) {
    if (reference.kind === secretKind.kind) {
      const found = await api.get(reference, {signal});
      if (found === undefined || !(isManaged(found) || (isOfOurs(reference) && isIssued(found)))) {
        continue;
      }
    }
    await api.delete(reference, {signal});
  }
}
