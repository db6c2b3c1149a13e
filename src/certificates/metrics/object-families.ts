import {formatFamily, type MetricFamily, type MetricSample} from '#shared/metrics/text-format';
import type {Certificate} from '../apis/certificate.ts';
import {type Condition, findCondition} from '../apis/conditions.ts';
import {issuerReference} from '../apis/issuer-reference.ts';
import {parseTime} from '../apis/time.ts';
import type {Views} from '../controllers/views.ts';

/** What is read of the cluster when somebody asks for the metrics. */
export type MetricViews = Pick<Views, 'certificates' | 'issuers' | 'clusterIssuers'>;

/**
 * cert-manager's metrics of Certificates and issuers, in pieces of the text format: 10,000
 * Certificates are 14 MB of text, which is never in memory as a whole.
 */
export function* objectText(views: MetricViews): Iterable<string> {
  yield* certificateText(views, {
    name: 'certmanager_certificate_ready_status',
    help: 'Whether a Certificate is Ready: 1 at the condition that it has.',
    samplesOf: readySamples,
  });
  for (const {name, help, field} of INSTANTS) {
    const samplesOf = (certificate: Certificate): readonly MetricSample[] => [
      {labels: labelsOf(certificate), value: unixSeconds(certificate.status?.[field])},
    ];
    yield* certificateText(views, {name, help, samplesOf});
  }
  yield formatFamily(issuerFamily('issuer', views.issuers.values()));
  yield formatFamily(issuerFamily('clusterissuer', views.clusterIssuers.values()));
}

const INSTANTS = [
  {
    name: 'certmanager_certificate_not_after_timestamp_seconds',
    help: 'When the certificate ends, Unix time; 0 while there is none.',
    field: 'notAfter',
  },
  {
    name: 'certmanager_certificate_not_before_timestamp_seconds',
    help: 'When the certificate begins, Unix time; 0 while there is none.',
    field: 'notBefore',
  },
  {
    name: 'certmanager_certificate_expiration_timestamp_seconds',
    help: 'When the certificate ends, Unix time; 0 while there is none.',
    field: 'notAfter',
  },
  {
    name: 'certmanager_certificate_renewal_timestamp_seconds',
    help: 'When the certificate is renewed, Unix time; 0 while there is no such time.',
    field: 'renewalTime',
  },
] as const;

const STATUSES = ['True', 'False', 'Unknown'] as const;

/** Objects per piece of text: about 100 KB. */
const PIECE_SIZE = 200;

interface CertificateMetric {
  readonly name: string;
  readonly help: string;
  readonly samplesOf: (certificate: Certificate) => readonly MetricSample[];
}

function* certificateText(
  {certificates}: MetricViews,
  {name, help, samplesOf}: CertificateMetric,
): Iterable<string> {
  if (certificates.size === 0) return;
  const family = (samples: readonly MetricSample[]): MetricFamily => ({name, help, type: 'gauge', samples}); // prettier-ignore
  let first = true;
  let samples: MetricSample[] = [];
  const flush = (): string => {
    const text = formatFamily(family(samples), {header: first});
    first = false;
    samples = [];
    return text;
  };
  for (const {object} of certificates.values()) {
    samples.push(...samplesOf(object));
    if (samples.length >= PIECE_SIZE) yield flush();
  }
  if (samples.length > 0) yield flush();
}

function readySamples(certificate: Certificate): readonly MetricSample[] {
  const labels = labelsOf(certificate);
  const ready = readyStatus(certificate.status?.conditions);
  return STATUSES.map(condition => ({
    labels: {condition, ...labels},
    value: condition === ready ? 1 : 0,
  }));
}

function issuerFamily(
  kind: 'issuer' | 'clusterissuer',
  items: ReturnType<MetricViews['issuers']['values']>,
): MetricFamily {
  const samples = [...items].flatMap(({object: {metadata, status}}) => {
    const {name, namespace} = metadata;
    const ready = readyStatus(status?.conditions);
    return STATUSES.map(condition => ({
      labels: {condition, name, ...(kind === 'issuer' ? {namespace: namespace ?? ''} : {})},
      value: condition === ready ? 1 : 0,
    }));
  });
  const help = 'Whether an issuer is Ready: 1 at the condition that it has.';
  return {name: `certmanager_${kind}_ready_status`, help, type: 'gauge', samples};
}

function labelsOf({metadata, spec}: Certificate): Readonly<Record<string, string>> {
  const {name, kind, group} = issuerReference(spec.issuerRef);
  return {
    issuer_group: group,
    issuer_kind: kind,
    issuer_name: name,
    name: metadata.name,
    namespace: metadata.namespace ?? '',
  };
}

/** No condition yet is as unknown as one that says so. */
function readyStatus(conditions: readonly Condition[] | undefined): Condition['status'] {
  return findCondition(conditions, 'Ready')?.status ?? 'Unknown';
}

function unixSeconds(text: string | undefined): number {
  const instant = parseTime(text);
  return instant === undefined ? 0 : Math.floor(instant.getTime() / 1000);
}
