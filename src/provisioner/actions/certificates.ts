import {CodedError} from '#shared/errors';
import {type CertificateStatus, listCertificates} from '../certificates/certificate-status.ts';
import {issuerId} from '../certificates/issuer-objects.ts';
import {type IssuerRow, listIssuers} from '../certificates/list-issuers.ts';
import {type IssuerTrial, type TriedIssuer, tryIssuers} from '../certificates/try-issuers.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import type {Environment} from './environment.ts';
import {openControlPlanes, openKubernetes} from './verify.ts';

interface Selection {
  /** undefined: all namespaces. */
  readonly namespace: string | undefined;
}

/** Every issuer of the cluster; changes nothing. */
export async function issuers(
  environment: Environment,
  {namespace}: Selection,
): Promise<readonly IssuerRow[]> {
  const {signal} = environment;
  return await withApi(environment, {lock: false}, api =>
    listIssuers(api, {signal, namespace, known: knownIssuers(environment)}),
  );
}

/** Every Certificate of the cluster, or of a namespace; changes nothing. */
export async function certificates(
  environment: Environment,
  {namespace}: Selection,
): Promise<readonly CertificateStatus[]> {
  const {signal} = environment;
  return await withApi(environment, {lock: false}, api =>
    listCertificates(api, {signal, namespace}),
  );
}

/**
 * Issues a throw-away certificate with one issuer or with all, and deletes it. Locked like a
 * change: a run and a test at the same time would remove each other's namespace.
 *
 * @param name of an issuer, wherever it is; undefined: all
 * @throws CodedError ERR_ISSUER_UNKNOWN
 */
export async function testIssuers(
  environment: Environment,
  {
    namespace,
    name,
    onTried,
  }: Selection & {
    readonly name: string | undefined;
    readonly onTried: (trial: IssuerTrial) => void;
  },
): Promise<readonly IssuerTrial[]> {
  const {signal, clock} = environment;
  return await withApi(environment, {lock: true}, async api => {
    const known = knownIssuers(environment);
    const rows = await listIssuers(api, {signal, namespace, known});
    const chosen = chooseIssuers(rows, {namespace, name});
    return await tryIssuers(api, chosen, {signal, now: clock.now, onTried});
  });
}

/**
 * The issuers that a user means: with a namespace, its own ones only, and ClusterIssuers where a
 * name is given that it does not have. Pure.
 *
 * @throws CodedError ERR_ISSUER_UNKNOWN
 */
export function chooseIssuers(
  rows: readonly Pick<IssuerRow, 'id' | 'name' | 'namespace'>[],
  {namespace, name}: Selection & {readonly name: string | undefined},
): readonly TriedIssuer[] {
  const inPlace = namespace === undefined ? rows : rows.filter(row => row.namespace === namespace);
  const named = (list: typeof rows) => list.filter(row => row.name === name || row.id === name);
  const ofCluster = rows.filter(row => row.namespace === undefined);
  const found =
    name === undefined ? inPlace : [inPlace, ofCluster].map(named).find(list => list.length > 0);
  if (found !== undefined && found.length > 0) {
    return found.map(each => ({name: each.name, namespace: each.namespace}));
  }
  const wanted = name === undefined ? 'issuer' : `issuer "${name}"`;
  const where = namespace === undefined ? 'the cluster' : `namespace ${namespace}`;
  const list = rows.map(({id}) => id).join(', ');
  throw new CodedError<ProvisionerErrorCode>('ERR_ISSUER_UNKNOWN', `${where} has no ${wanted}`, {
    hint: list === '' ? 'name issuers in spec.certificates.issuers' : `choose among ${list}`,
  });
}

const knownIssuers = ({cluster}: Environment): ReadonlySet<string> =>
  new Set(cluster.certificates.issuers.map(issuerId));

async function withApi<T>(
  environment: Environment,
  {lock}: {readonly lock: boolean},
  call: (api: KubernetesApi) => Promise<T>,
): Promise<T> {
  await using open = await openControlPlanes(environment, {lock});
  await using kubernetes = openKubernetes(environment, open);
  return await call(await kubernetes.api({signal: environment.signal}));
}
