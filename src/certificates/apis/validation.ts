import type {CertificateRequestSpec} from './certificate-request.ts';
import type {CertificateSpec} from './certificate.ts';
import type {IssuerSpec} from './issuer.ts';
import {parseGoDuration} from './duration.ts';
import {messageOf} from '#shared/errors';

/** What is wrong with a Certificate, one sentence each; empty when it can be issued. */
export function certificateProblems(spec: CertificateSpec): readonly string[] {
  const problems: string[] = [];
  for (const field of ['duration', 'renewBefore'] as const) {
    const value = spec[field];
    if (value === undefined) continue;
    try {
      parseGoDuration(value);
    } catch (error) {
      problems.push(`spec.${field}: ${messageOf(error)}`);
    }
  }
  return problems;
}

/** What is wrong with a CertificateRequest, one sentence each. */
export function certificateRequestProblems(spec: CertificateRequestSpec): readonly string[] {
  return spec.request === '' ? ['spec.request is empty: set it to a PEM certificate request'] : [];
}

/** What is wrong with an Issuer or ClusterIssuer, one sentence each. */
export function issuerProblems(spec: IssuerSpec): readonly string[] {
  const types = Object.keys(spec);
  return types.length === 1 ? [] : ['spec must have exactly one type of issuer'];
}
