import type {CertificateSpec} from '../apis/certificate.ts';
import {injectionAnnotations} from '../apis/names.ts';

const OUR_PREFIXES = ['cert-manager.io/', 'controller.cert-manager.io/'] as const;

/** Whether a label or annotation is one of ours. */
export function hasOurPrefix(key: string): boolean {
  return OUR_PREFIXES.some(prefix => key.startsWith(prefix));
}

/** Whether `secretTemplate` may set this label. */
export function isTemplateLabel(key: string): boolean {
  return !hasOurPrefix(key);
}

/** Whether `secretTemplate` may set this annotation (certificates.md §1.1). */
export function isTemplateAnnotation(key: string): boolean {
  return !hasOurPrefix(key) || key === injectionAnnotations.allowDirectInjection;
}

type TextRecord = Readonly<Record<string, string>>;

/** What of `secretTemplate` gets into the Secret: keys that it may not set are passed over. */
export function templateMetadata({secretTemplate}: CertificateSpec): {
  readonly labels: TextRecord;
  readonly annotations: TextRecord;
} {
  return {
    labels: pick(secretTemplate?.labels, isTemplateLabel),
    annotations: pick(secretTemplate?.annotations, isTemplateAnnotation),
  };
}

function pick(record: TextRecord | undefined, isPicked: (key: string) => boolean): TextRecord {
  return Object.fromEntries(Object.entries(record ?? {}).filter(([key]) => isPicked(key)));
}
