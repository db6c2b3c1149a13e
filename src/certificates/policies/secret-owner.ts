import type {Certificate} from '../apis/certificate.ts';
import {secretAnnotations} from '../apis/names.ts';
import type {CertificateState} from './certificate-state.ts';

/**
 * Which Certificate may write a Secret that several name: the one it was issued for, else the one
 * that was created first, else the first by name.
 *
 * @returns the name of the other Certificate, or nothing when the Secret is this one's
 */
export function otherSecretOwner({
  certificate,
  secret,
  rivals,
}: Pick<CertificateState, 'certificate' | 'secret' | 'rivals'>): string | undefined {
  const candidates = [certificate, ...rivals.filter(rival => !isLeaving(rival))];
  const issuedFor = secret?.annotations[secretAnnotations.certificateName];
  const owner =
    candidates.find(({metadata}) => metadata.name === issuedFor) ??
    candidates.toSorted(byAge)[0] ??
    certificate;
  return owner === certificate ? undefined : owner.metadata.name;
}

/** One that is being deleted claims nothing any more. */
function isLeaving({metadata}: Certificate): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function byAge(a: Certificate, b: Certificate): number {
  return (
    compareText(a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '') ||
    compareText(a.metadata.name, b.metadata.name)
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
