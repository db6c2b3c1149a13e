import {ApiRefusedError} from '#shared/kube/errors';
import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import type {ProvisionerErrorCode} from '../errors.ts';
import {issuerId} from './issuer-objects.ts';
import {
  certificateKind,
  type CertificateObject,
  clusterIssuerKind,
  currentCondition,
  type IssuerObject,
  issuerKind,
} from './kinds.ts';

/** One issuer of the cluster, whoever made it. */
export interface IssuerRow {
  readonly id: string; // `ClusterIssuer/ca`
  readonly kind: 'ClusterIssuer' | 'Issuer';
  readonly namespace: string | undefined;
  readonly name: string;
  /** The key of its spec that says what it is: `ca`, `selfSigned`, `acme` … */
  readonly type: string;
  readonly ready: boolean;
  /** What its Ready condition says. */
  readonly message: string;
  /** How many Certificates name it. */
  readonly certificates: number;
  /** Whether cluster.yaml names it. */
  readonly inClusterFile: boolean;
}

export interface ListIssuersOptions {
  readonly signal: AbortSignal;
  /** Only Issuers of this namespace, and ClusterIssuers. */
  readonly namespace: string | undefined;
  /** Of cluster.yaml. */
  readonly known: ReadonlySet<string>;
}

/**
 * Every ClusterIssuer and Issuer of a cluster, ClusterIssuers first.
 *
 * @throws CodedError ERR_CERTIFICATES_ABSENT and those of the API
 */
export async function listIssuers(
  api: KubernetesApi,
  {signal, namespace, known}: ListIssuersOptions,
): Promise<readonly IssuerRow[]> {
  const place = namespace === undefined ? {} : {namespace};
  const [cluster, namespaced, certificates] = await withController(() =>
    Promise.all([
      api.list(clusterIssuerKind, {signal}),
      api.list(issuerKind, {signal, ...place}),
      api.list(certificateKind, {signal}),
    ]),
  );
  const counts = countByIssuer(certificates);
  const rows = [...cluster, ...namespaced].map(object => toRow(object, counts, known));
  return rows.toSorted((a, b) => compare(a.kind, b.kind) || compare(a.id, b.id));
}

/**
 * Names the one thing that is missing where the API knows no certificates.
 *
 * @throws CodedError ERR_CERTIFICATES_ABSENT
 */
export async function withController<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof ApiRefusedError) || error.status !== 404) throw error;
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_CERTIFICATES_ABSENT',
      'the cluster has no certificate controller: its API does not know the kinds',
      {hint: 'set spec.certificates.enabled to true and run "provision" again', cause: error},
    );
  }
}

function toRow(
  object: IssuerObject,
  counts: ReadonlyMap<string, number>,
  known: ReadonlySet<string>,
): IssuerRow {
  const {name, namespace} = object.metadata;
  const id = issuerId({name, namespace});
  const ready = currentCondition(object, 'Ready');
  return {
    id,
    kind: namespace === undefined ? 'ClusterIssuer' : 'Issuer',
    namespace,
    name,
    type: Object.keys(object.spec ?? {})[0] ?? 'none',
    ready: ready?.status === 'True',
    message: ready?.message ?? ready?.reason ?? 'nobody has looked at it yet',
    certificates: counts.get(id) ?? 0,
    inClusterFile: known.has(id),
  };
}

function countByIssuer(certificates: readonly CertificateObject[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const {metadata, spec} of certificates) {
    const {name, kind = 'Issuer'} = spec.issuerRef;
    const namespace = kind === 'ClusterIssuer' ? undefined : metadata.namespace;
    const id = issuerId({name, namespace});
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
