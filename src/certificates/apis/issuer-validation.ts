import {acmeProblems} from './acme-validation.ts';
import {ISSUER_TYPES} from './issuer-rules.ts';
import type {IssuerSpec} from './issuer.ts';
import {each, when} from './problems.ts';
import {vaultProblems} from './vault-validation.ts';

/**
 * What is wrong with an Issuer or ClusterIssuer, one sentence each, with what to do; empty when
 * there is nothing. Says again what the API server refuses (issuer-rules.ts, issuer-policy.ts).
 */
export function issuerProblems(spec: IssuerSpec): readonly string[] {
  const {acme, ca, selfSigned, vault, venafi} = spec;
  const types = ISSUER_TYPES.filter(type => spec[type] !== undefined);
  return [
    ...when(
      types.length !== 1,
      `spec has ${types.length === 0 ? 'no type' : types.join(' and ')}: set exactly one of ${ISSUER_TYPES.join(', ')}`,
    ),
    ...(ca === undefined ? [] : caProblems(ca)),
    ...(selfSigned === undefined ? [] : urlProblems('selfSigned', selfSigned)),
    ...(acme === undefined ? [] : acmeProblems(acme)),
    ...(vault === undefined ? [] : vaultProblems(vault)),
    ...when(
      venafi !== undefined &&
        [venafi.tpp, venafi.cloud, venafi.ngts].filter(kind => kind !== undefined).length !== 1,
      'spec.venafi: set exactly one of tpp, cloud, ngts',
    ),
  ];
}

function caProblems(ca: NonNullable<IssuerSpec['ca']>): readonly string[] {
  return [
    ...when(
      ca.secretName === '',
      'spec.ca.secretName is empty: name the Secret with the certificate and the key of the CA',
    ),
    ...urlProblems('ca', ca),
  ];
}

function urlProblems(type: 'ca' | 'selfSigned', issuer: UrlLists): readonly string[] {
  return (['crlDistributionPoints', 'ocspServers', 'issuingCertificateURLs'] as const).flatMap(
    field =>
      each(`spec.${type}.${field}`, issuer[field], {
        holds: url => /^[!-~]+$/.test(url),
        expected: 'a URL, e.g. http://crl.example.com/ca.crl',
      }),
  );
}

interface UrlLists {
  readonly crlDistributionPoints?: readonly string[];
  readonly ocspServers?: readonly string[];
  readonly issuingCertificateURLs?: readonly string[];
}
