import {injectionAnnotations} from '../apis/names.ts';

const OUR_PREFIXES = ['cert-manager.io/', 'controller.cert-manager.io/'] as const;

/** Whether a label or annotation is one of ours, and so nobody else's to set. */
export function hasOurPrefix(key: string): boolean {
  return OUR_PREFIXES.some(prefix => key.startsWith(prefix));
}

/** Whether `secretTemplate` may set this label or annotation (certificates.md §1.1). */
export function isTemplateKeyAllowed(key: string): boolean {
  return !hasOurPrefix(key) || key === injectionAnnotations.allowDirectInjection;
}
