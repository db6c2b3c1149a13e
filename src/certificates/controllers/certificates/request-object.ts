import {createHash} from 'node:crypto';
import type {Certificate} from '../../apis/certificate.ts';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {API_VERSION, requestAnnotations} from '../../apis/names.ts';
import {RETRY_NOW_ANNOTATION, retryWish} from '../../policies/back-off.ts';
import {ownerReferenceTo} from './secret-contents.ts';

export interface RequestParts {
  readonly revision: number;
  /** PEM. */
  readonly signingRequest: string;
  /** The Secret that holds its private key. */
  readonly keySecretName: string;
  /** Which annotations of the Certificate come along. */
  readonly copiedAnnotationPrefixes: readonly string[];
}

/** The request for the next revision of a Certificate. */
export function requestObject(
  certificate: Certificate,
  {revision, signingRequest, keySecretName, copiedAnnotationPrefixes}: RequestParts,
): CertificateRequest {
  const {metadata, spec} = certificate;
  const {name, namespace, labels, annotations = {}} = metadata;
  const wish = retryWish(certificate);
  return {
    apiVersion: API_VERSION,
    kind: 'CertificateRequest',
    metadata: {
      name: requestName(name, revision),
      ...(namespace === undefined ? {} : {namespace}),
      ...(labels === undefined ? {} : {labels}),
      annotations: {
        ...copiedAnnotations(annotations, copiedAnnotationPrefixes),
        ...(wish === undefined ? {} : {[RETRY_NOW_ANNOTATION]: wish}),
        [requestAnnotations.certificateName]: name,
        [requestAnnotations.certificateRevision]: `${revision}`,
        [requestAnnotations.privateKeySecretName]: keySecretName,
      },
      ownerReferences: [ownerReferenceTo(certificate)],
    },
    spec: {
      request: Buffer.from(signingRequest).toString('base64'),
      issuerRef: spec.issuerRef,
      ...(spec.duration === undefined ? {} : {duration: spec.duration}),
      ...(spec.isCA === undefined ? {} : {isCA: spec.isCA}),
      ...(spec.usages === undefined ? {} : {usages: spec.usages}),
    },
  };
}

/**
 * `<certificate>-<revision>`; a long name of a Certificate becomes a part of it and its sha256, so
 * that the name stays one per Certificate and revision (cert-manager, StableCertificateRequestName).
 */
export function requestName(certificate: string, revision: number): string {
  if (certificate.length <= WHOLE_NAME_LENGTH_MAX) return `${certificate}-${revision}`;
  const part = certificate.slice(0, PART_LENGTH_MAX).replace(/[^a-z0-9]+$/, '');
  const hash = createHash('sha256').update(certificate).digest('hex');
  return `${part}-${hash}-${revision}`;
}

const WHOLE_NAME_LENGTH_MAX = 233;
const PART_LENGTH_MAX = 168;

/** `*` takes all, `prefix` takes those that begin so, `-prefix` leaves those out. */
export function copiedAnnotations(
  annotations: Readonly<Record<string, string>>,
  prefixes: readonly string[],
): Readonly<Record<string, string>> {
  const excluded = prefixes.filter(prefix => prefix.startsWith('-')).map(prefix => prefix.slice(1));
  const included = prefixes.filter(prefix => !prefix.startsWith('-'));
  return Object.fromEntries(
    Object.entries(annotations).filter(
      ([key]) =>
        included.some(prefix => prefix === '*' || key.startsWith(prefix)) &&
        !excluded.some(prefix => key.startsWith(prefix)),
    ),
  );
}
