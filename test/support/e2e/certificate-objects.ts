import {imageCatalogue} from '#artifacts/images/image-catalogue';

const LAB_CA = {name: 'lab-ca', kind: 'ClusterIssuer'};

/** Entries of `spec.certificates.issuers`: a CA of the company's, and one of a namespace's own. */
export const ownIssuers: readonly object[] = [
  {
    name: 'company',
    ca: {certificate: {fromFile: 'company.crt'}, privateKey: {fromEnv: 'E2E_CA_KEY'}},
  },
  {name: 'own', namespace: 'certificates', ca: {generate: {}}},
];

/** A Certificate for `NAME.NAMESPACE.svc` in a Secret of its name. */
export function tlsCertificate(
  namespace: string,
  name: string,
  issuerRef: {readonly name: string; readonly kind: string} = LAB_CA,
  spec: Readonly<Record<string, unknown>> = {},
): object {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace},
    spec: {
      secretName: name,
      dnsNames: [`${name}.${namespace}.svc`],
      privateKey: {algorithm: 'ECDSA', size: 256},
      issuerRef,
      ...spec,
    },
  };
}

/** A pod that has a certificate mounted which is due again half a minute after it was issued. */
export function servingPod(namespace: string): readonly object[] {
  return [
    tlsCertificate(namespace, 'web', LAB_CA, {duration: '1h', renewBefore: '59m30s'}),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {name: 'web', namespace},
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'web',
            image: imageCatalogue.proof.reference,
            command: ['sh', '-c', 'while :; do sleep 3600 & wait; done'],
            volumeMounts: [{name: 'tls', mountPath: '/tls', readOnly: true}],
          },
        ],
        volumes: [{name: 'tls', secret: {secretName: 'web'}}],
      },
    },
  ];
}
