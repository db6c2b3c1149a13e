import {randomBytes} from 'node:crypto';
import {CodedError, messageOf} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {
  type KubernetesObject,
  namespaceKind,
  type ObjectReference,
  referenceOf,
} from '#shared/kube/object';
import {mapLimited} from '#shared/map-limited';
import {explainCertificate, latestRequests} from './explain-certificate.ts';
import {issuerId} from './issuer-objects.ts';
import {
  CERTIFICATES_GROUP,
  certificateKind,
  certificateRequestKind,
  type CertificateObject,
  currentCondition,
  issuerKind,
  secretKind,
} from './kinds.ts';
import {trialName, type TriedIssuer} from './trial-name.ts';
import {verifyIssued, type Verdict} from './verify-issued.ts';

/** Marks a namespace and a certificate of a test; what a killed one left is found by it. */
export const TRIAL_LABEL = 'provision.dev/proof';
/** SelfSigned and CA answer within a second; an API that is busy with joins takes its time. */
const ISSUED_TIMEOUT_MS = 30_000;
const CLEANUP_TIMEOUT_MS = 10_000;
const ISSUERS_AT_ONCE_MAX = 8;

export type {TriedIssuer} from './trial-name.ts';

/** How one issuer did. */
export interface IssuerTrial {
  readonly id: string; // `ClusterIssuer/ca`
  readonly verdict: Verdict;
  readonly seconds: number;
}

export interface TrialOptions {
  readonly signal: AbortSignal;
  readonly now: () => Date;
  readonly onTried?: (trial: IssuerTrial) => void;
}

/**
 * Issues a throw-away certificate with every issuer, checks it with node:crypto, and deletes it.
 * Without an issuer, one that signs itself is made for the moment: it proves the controller.
 *
 * Certificates of ClusterIssuers lie in a namespace of their own, whose deletion the API has
 * accepted when this returns or rejects. A failure is a verdict, not an error.
 */
export async function tryIssuers(
  api: KubernetesApi,
  issuers: readonly TriedIssuer[],
  {signal, now, onTried = () => undefined}: TrialOptions,
): Promise<readonly IssuerTrial[]> {
  const place = `provision-proof-${randomBytes(4).toString('hex')}`;
  const own = {...namespaceKind, metadata: {name: place, labels: {[TRIAL_LABEL]: 'true'}}};
  const needsPlace = issuers.length === 0 || issuers.some(each => each.namespace === undefined);
  const others = issuers.flatMap(({namespace}) => (namespace === undefined ? [] : [namespace]));
  for (const namespace of new Set(others)) await removeLeftovers(api, namespace, signal);
  if (needsPlace) await api.apply(own, {signal});
  try {
    const alone = {name: 'self-signed', namespace: place};
    if (issuers.length === 0) await api.apply(selfSigned(alone), {signal});
    const tried = issuers.length === 0 ? [alone] : issuers;
    return await mapLimited(tried, ISSUERS_AT_ONCE_MAX, async (issuer, index) => {
      const name = {name: `${place}-${index}`, namespace: issuer.namespace ?? place};
      const id = issuer === alone ? 'a throw-away issuer' : issuerId(issuer);
      const startMs = performance.now();
      const verdict = await tryIssuer(api, issuer, {name, signal, now});
      const trial = {id, verdict, seconds: (performance.now() - startMs) / 1000};
      onTried(trial);
      return trial;
    });
  } finally {
    // Not with the caller's signal, which may be the reason why we are here.
    const limited = AbortSignal.timeout(CLEANUP_TIMEOUT_MS);
    if (needsPlace) await remove(api, referenceOf(own), limited);
  }
}

interface Name {
  readonly name: string;
  readonly namespace: string;
}

async function tryIssuer(
  api: KubernetesApi,
  issuer: TriedIssuer,
  {name, signal, now}: Omit<TrialOptions, 'onTried'> & {readonly name: Name},
): Promise<Verdict> {
  try {
    const dnsName = await trialName(api, issuer, {signal});
    await api.apply(trialCertificate(issuer, {...name, dnsName}), {signal});
    const failure = await waitUntilIssued(api, name, signal);
    if (failure !== undefined) return {ok: false, reason: failure};
    const secret = await api.get({...secretKind, ...name}, {signal});
    const decode = (key: string) => Buffer.from(secret?.data?.[key] ?? '', 'base64').toString();
    const {authority} = issuer;
    return verifyIssued(
      {certificate: decode('tls.crt'), privateKey: decode('tls.key'), authority: decode('ca.crt')},
      {dnsName, now: now(), ...(authority !== undefined && {authority})},
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CodedError)) throw error;
    return {ok: false, reason: messageOf(error)};
  } finally {
    const limited = AbortSignal.timeout(CLEANUP_TIMEOUT_MS);
    await remove(api, {...certificateKind, ...name}, limited);
    await remove(api, {...secretKind, ...name}, limited);
  }
}

function trialCertificate(
  {name, namespace}: TriedIssuer,
  {dnsName, ...own}: Name & {readonly dnsName: string},
): KubernetesObject {
  return {
    ...certificateKind,
    metadata: {...own, labels: {[TRIAL_LABEL]: 'true'}},
    spec: {
      secretName: own.name,
      dnsNames: [dnsName],
      duration: '1h',
      usages: ['digital signature', 'server auth'],
      // The kind that is made in no time.
      privateKey: {algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always'},
      issuerRef: {
        name,
        kind: namespace === undefined ? 'ClusterIssuer' : 'Issuer',
        group: CERTIFICATES_GROUP,
      },
    },
  };
}

function selfSigned({name, namespace}: {readonly name: string; readonly namespace: string}) {
  return {...issuerKind, metadata: {name, namespace}, spec: {selfSigned: {}}};
}

/** Returns why there is no certificate; undefined once there is one. */
async function waitUntilIssued(
  api: KubernetesApi,
  {name, namespace}: Name,
  signal: AbortSignal,
): Promise<string | undefined> {
  let last: CertificateObject | undefined;
  const decide = (all: readonly CertificateObject[]): 'issued' | 'failed' | undefined => {
    const found = all.find(({metadata}) => metadata.name === name);
    last = found;
    if (found === undefined) return undefined;
    if (currentCondition(found, 'Ready')?.status === 'True') return 'issued';
    return found.status?.lastFailureTime === undefined ? undefined : 'failed';
  };
  const description = `Certificate ${namespace}/${name} to be Ready`;
  const outcome = await api
    .waitFor(certificateKind, decide, {
      signal,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      timeoutMs: ISSUED_TIMEOUT_MS,
      description,
    })
    .catch((error: unknown) => {
      if (error instanceof CodedError && error.code === 'ERR_API_TIMEOUT') return 'late' as const;
      throw error;
    });
  if (outcome === 'issued') return undefined;
  const requests = await api.list(certificateRequestKind, {signal, namespace});
  const request = latestRequests(requests).get(`${namespace}/${name}`);
  const said = last === undefined ? ['it is gone'] : explainCertificate(last, request);
  const when = outcome === 'late' ? `after ${ISSUED_TIMEOUT_MS / 1000} s` : 'issued';
  return `no certificate ${when}: ${said.join('; ')}`;
}

/** Of a test that was killed in a namespace of somebody else. */
async function removeLeftovers(
  api: KubernetesApi,
  namespace: string,
  signal: AbortSignal,
): Promise<void> {
  const left = await api.list(certificateKind, {signal, namespace, labelSelector: TRIAL_LABEL});
  for (const {metadata, spec} of left) {
    await api.delete({...certificateKind, name: metadata.name, namespace}, {signal});
    await api.delete({...secretKind, name: spec.secretName, namespace}, {signal});
  }
}

/** What cannot be tidied up now is tidied up by the next test; the verdict tells more. */
async function remove(
  api: KubernetesApi,
  reference: ObjectReference,
  signal: AbortSignal,
): Promise<void> {
  await api.delete(reference, {signal}).catch(() => undefined);
}
