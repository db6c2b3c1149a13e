import {CodedError} from '#shared/errors';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {CERTIFICATES_NAMESPACE, clusterIssuerKind, issuerKind, secretKind} from './kinds.ts';
import {permittedDomain} from './permitted-domain.ts';

/** An issuer to try. */
export interface TriedIssuer {
  readonly name: string;
  /** Of an Issuer; undefined for a ClusterIssuer. */
  readonly namespace: string | undefined;
  /** PEM of the CA that has to be in the chain, where it is known. */
  readonly authority?: string;
}

const HOST = 'throw-away';
/** RFC 6761: nobody has names below it. */
const DOMAIN = 'provision.invalid';

/** A DNS name that an issuer can be asked for: its CA may be bound to the domains of a company. */
export async function trialName(
  api: KubernetesApi,
  issuer: TriedIssuer,
  {signal}: {readonly signal: AbortSignal},
): Promise<string> {
  const authority = issuer.authority ?? (await readAuthority(api, issuer, signal)) ?? '';
  return `${HOST}.${permittedDomain(authority) ?? DOMAIN}`;
}

/** PEM of the CA that an issuer signs with, where the issuer has one that we may see. */
async function readAuthority(
  api: KubernetesApi,
  {name, namespace}: TriedIssuer,
  signal: AbortSignal,
): Promise<string | undefined> {
  const where = namespace === undefined ? {name} : {name, namespace};
  const kind = namespace === undefined ? clusterIssuerKind : issuerKind;
  try {
    const ca = (await api.get({...kind, ...where}, {signal}))?.spec?.['ca'];
    const secretName = (ca as {readonly secretName?: string} | undefined)?.secretName;
    if (secretName === undefined) return undefined;
    const inNamespace = {name: secretName, namespace: namespace ?? CERTIFICATES_NAMESPACE};
    const secret = await api.get({...secretKind, ...inNamespace}, {signal});
    return Buffer.from(secret?.data?.['tls.crt'] ?? '', 'base64').toString();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CodedError) return undefined; // the trial itself tells what does not work
    throw error;
  }
}
