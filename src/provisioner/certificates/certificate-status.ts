import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {explainCertificate, latestRequests} from './explain-certificate.ts';
import {
  type CertificateObject,
  certificateKind,
  type CertificateRequestObject,
  certificateRequestKind,
  currentCondition,
} from './kinds.ts';
import {withController} from './list-issuers.ts';

/** One Certificate as `provision certs status` shows it. Times are RFC 3339. */
export interface CertificateStatus {
  readonly namespace: string;
  readonly name: string;
  readonly secret: string;
  readonly issuer: {readonly kind: string; readonly name: string; readonly group: string};
  readonly ready: boolean;
  /** A new certificate is being asked for. */
  readonly issuing: boolean;
  readonly notAfter: string | undefined;
  readonly renewalTime: string | undefined;
  readonly revision: number | undefined;
  readonly lastFailure: {readonly at: string; readonly attempts: number} | undefined;
  /** From the certificate to its request; none when all is well. */
  readonly why: readonly string[];
}

/**
 * Every Certificate of a cluster or a namespace, what is wrong with it and why: two lists.
 *
 * @throws CodedError ERR_CERTIFICATES_ABSENT and those of the API
 */
export async function listCertificates(
  api: KubernetesApi,
  {signal, namespace}: {readonly signal: AbortSignal; readonly namespace: string | undefined},
): Promise<readonly CertificateStatus[]> {
  const options = {signal, ...(namespace === undefined ? {} : {namespace})};
  const [certificates, requests] = await withController(() =>
    Promise.all([api.list(certificateKind, options), api.list(certificateRequestKind, options)]),
  );
  return toCertificateStatus(certificates, requests);
}

/** By namespace and name. Pure. */
export function toCertificateStatus(
  certificates: readonly CertificateObject[],
  requests: readonly CertificateRequestObject[],
): readonly CertificateStatus[] {
  const latest = latestRequests(requests);
  const rows = certificates.map(certificate => {
    const {metadata, spec, status = {}} = certificate;
    const {name, namespace = ''} = metadata;
    const {kind = 'Issuer', group = 'cert-manager.io'} = spec.issuerRef;
    const {lastFailureTime, failedIssuanceAttempts = 1} = status;
    return {
      namespace,
      name,
      secret: spec.secretName,
      issuer: {kind, name: spec.issuerRef.name, group},
      ready: currentCondition(certificate, 'Ready')?.status === 'True',
      issuing: currentCondition(certificate, 'Issuing')?.status === 'True',
      notAfter: status.notAfter,
      renewalTime: status.renewalTime,
      revision: status.revision,
      lastFailure:
        lastFailureTime === undefined
          ? undefined
          : {at: lastFailureTime, attempts: failedIssuanceAttempts},
      why: explainCertificate(certificate, latest.get(`${namespace}/${name}`)),
    };
  });
  const key = ({namespace, name}: CertificateStatus) => `${namespace}/${name}`;
  return rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
