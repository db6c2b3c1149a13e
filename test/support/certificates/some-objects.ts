import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import type {Issuer} from '#certificates/apis/issuer';

export const NAMESPACE = 'shop';

/** An issuer that is not ours: its requests are answered by the test. */
export const EXTERNAL = {
  issuerRef: {name: 'theirs', kind: 'Signer', group: 'pki.example.org'},
} as const;

/** A Certificate for `web.example.com` with an ECDSA key from the ClusterIssuer `ca`. */
export function aCertificate(name: string, spec: Partial<CertificateSpec> = {}): Certificate {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {namespace: NAMESPACE, name},
    spec: {
      secretName: `${name}-tls`,
      dnsNames: [`${name}.example.com`],
      privateKey: {algorithm: 'ECDSA'},
      issuerRef: {name: 'ca', kind: 'ClusterIssuer'},
      ...spec,
    },
  };
}

export function aClusterIssuer(name: string): Issuer {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'ClusterIssuer',
    metadata: {name},
    spec: {},
  };
}
