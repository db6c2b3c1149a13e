import {GROUP} from '../../apis/names.ts';

export type {SigningRequestObject} from '../../apis/signing-request.ts';

/** One of our issuers, as a signer name means it. */
export interface SignerIssuer {
  readonly kind: 'Issuer' | 'ClusterIssuer';
  /** Undefined for a ClusterIssuer. */
  readonly namespace?: string;
  readonly name: string;
}

/**
 * The issuer that a signer name means: `issuers.cert-manager.io/<namespace>.<name>` or
 * `clusterissuers.cert-manager.io/<name>`; undefined for signers that are not ours. A namespace
 * has no dots, so the first one divides; names may have more of them.
 */
export function signerIssuer(signerName: string): SignerIssuer | undefined {
  const slash = signerName.indexOf('/');
  const resource = signerName.slice(0, slash);
  const path = signerName.slice(slash + 1);
  if (resource === `clusterissuers.${GROUP}`) {
    return path === '' ? undefined : {kind: 'ClusterIssuer', name: path};
  }
  const dot = path.indexOf('.');
  const namespace = path.slice(0, dot);
  const name = path.slice(dot + 1);
  if (resource !== `issuers.${GROUP}` || dot < 1 || name === '') return undefined;
  return {kind: 'Issuer', namespace, name};
}
