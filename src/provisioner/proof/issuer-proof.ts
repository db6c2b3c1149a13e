import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {issuerId} from '../certificates/issuer-objects.ts';
import {clusterIssuerKind, currentCondition, type IssuerObject, issuerKind} from '../certificates/kinds.ts'; // prettier-ignore
import type {IssuerTrial, TriedIssuer} from '../certificates/try-issuers.ts';
import type {CertificateSettings, IssuerSettings} from '../role/cluster.ts';
import type {IssuerProof} from './proof-result.ts';

/** Whether every issuer of cluster.yaml says that it is Ready: two lists at most, nothing is awaited. */
export async function readIssuers(
  api: KubernetesApi,
  {issuers}: CertificateSettings,
  {signal}: {readonly signal: AbortSignal},
): Promise<readonly IssuerProof[]> {
  const isOfCluster = ({namespace}: IssuerSettings) => namespace === undefined;
  const [cluster, namespaced] = await Promise.all([
    issuers.some(isOfCluster) ? listOrNone(api, clusterIssuerKind, signal) : [],
    issuers.every(isOfCluster) ? [] : listOrNone(api, issuerKind, signal),
  ]);
  return judgeIssuers(issuers, [...cluster, ...namespaced]);
}

/** A cluster without the controller has no such kind: every issuer is missing then. */
async function listOrNone(
  api: KubernetesApi,
  kind: typeof issuerKind,
  signal: AbortSignal,
): Promise<readonly IssuerObject[]> {
  try {
    return await api.list(kind, {signal});
  } catch (error) {
    if (error instanceof ApiRefusedError && error.status === 404) return [];
    throw error;
  }
}

/** Judges issuers by their Ready condition. Pure. */
export function judgeIssuers(
  issuers: readonly IssuerSettings[],
  objects: readonly IssuerObject[],
): readonly IssuerProof[] {
  const byId = new Map(objects.map(({metadata, ...rest}) => [idOf(metadata), {metadata, ...rest}]));
  return issuers.map(issuer => {
    const id = issuerId(issuer);
    const found = byId.get(id);
    if (found === undefined) return {issuer: id, cells: {ready: failed('the API has no such issuer')}}; // prettier-ignore
    const ready = currentCondition(found, 'Ready');
    if (ready?.status === 'True') return {issuer: id, cells: {ready: ok('ok')}};
    const detail = ready?.message ?? ready?.reason ?? 'its controller has not looked at it yet';
    return {issuer: id, cells: {ready: failed(detail)}};
  });
}

const idOf = ({name, namespace}: {readonly name: string; readonly namespace?: string}): string =>
  issuerId({name, namespace});

/** What the settings say of issuers, as a trial wants it. */
export function triedIssuers({issuers}: CertificateSettings): readonly TriedIssuer[] {
  return issuers.map(({name, namespace, source}) => {
    const pair = source.kind === 'ca-key-pair' ? source.keyPair : undefined;
    return {name, namespace, ...(pair !== undefined && {authority: pair.certificate})};
  });
}

/** Adds what was tried to the rows of the same issuers; an issuer of its own has a row of its own. */
export function withTrials(
  proofs: readonly IssuerProof[],
  trials: readonly IssuerTrial[],
): readonly IssuerProof[] {
  const known = new Set(proofs.map(({issuer}) => issuer));
  const cellOf = ({verdict, seconds}: IssuerTrial) =>
    verdict.ok
      ? ok(`in ${seconds.toFixed(1)} s, signed by ${verdict.signedBy}`)
      : failed(verdict.reason);
  return [
    ...proofs.map(({issuer, cells}) => {
      const trial = trials.find(({id}) => id === issuer);
      const certificate = trial === undefined ? {} : {certificate: cellOf(trial)};
      return {issuer, cells: {...cells, ...certificate}};
    }),
    ...trials
      .filter(({id}) => !known.has(id))
      .map(trial => ({issuer: trial.id, cells: {certificate: cellOf(trial)}})),
  ];
}

function ok(detail: string) {
  return {state: 'ok' as const, detail};
}

function failed(detail: string) {
  return {state: 'failed' as const, detail};
}
