import {currentCondition, type CertificateObject, type CertificateRequestObject} from './kinds.ts';

/** Tells to which Certificate a request belongs. */
const NAME_ANNOTATION = 'cert-manager.io/certificate-name';
const REVISION_ANNOTATION = 'cert-manager.io/certificate-revision';

/** The newest request of every Certificate, by `namespace/name`. */
export function latestRequests(
  requests: readonly CertificateRequestObject[],
): ReadonlyMap<string, CertificateRequestObject> {
  const latest = new Map<string, CertificateRequestObject>();
  for (const request of requests) {
    const name = request.metadata.annotations?.[NAME_ANNOTATION];
    if (name === undefined) continue;
    const key = `${request.metadata.namespace ?? ''}/${name}`;
    const other = latest.get(key);
    if (other === undefined || revisionOf(other) < revisionOf(request)) latest.set(key, request);
  }
  return latest;
}

/**
 * Why a certificate is not as it should be, from the certificate to the request: one sentence for
 * each that has something to say, none when all is well. Pure.
 */
export function explainCertificate(
  certificate: CertificateObject,
  request: CertificateRequestObject | undefined,
): readonly string[] {
  const ready = currentCondition(certificate, 'Ready');
  const issuing = currentCondition(certificate, 'Issuing');
  const isIssuing = issuing?.status === 'True';
  const hasFailed = certificate.status?.lastFailureTime !== undefined;
  if (ready?.status === 'True' && !isIssuing && !hasFailed) return [];
  const said = [
    ready === undefined ? 'nobody has looked at it yet' : undefined,
    ready?.status === 'True' ? undefined : ready?.message,
    isIssuing || hasFailed ? issuing?.message : undefined,
    ...explainRequest(request, isIssuing || hasFailed),
  ];
  return [...new Set(said.filter(text => text !== undefined && text !== ''))] as readonly string[];
}

function explainRequest(
  request: CertificateRequestObject | undefined,
  matters: boolean,
): readonly (string | undefined)[] {
  if (request === undefined || !matters) return [];
  const conditions = ['Denied', 'InvalidRequest', 'Ready'].map(type =>
    request.status?.conditions?.find(condition => condition.type === type),
  );
  return conditions
    .filter(condition => condition !== undefined)
    .filter(({type, status}) => (type === 'Ready' ? status !== 'True' : status === 'True'))
    .map(({message}) =>
      message === undefined ? undefined : `${request.metadata.name}: ${message}`,
    );
}

const revisionOf = ({metadata}: CertificateRequestObject): number =>
  Number(metadata.annotations?.[REVISION_ANNOTATION] ?? 0);
