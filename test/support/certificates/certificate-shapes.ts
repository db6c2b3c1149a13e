import type {CertificateSpec} from '#certificates/apis/certificate';

/** A shape of Certificate that every issuer of ours has to issue; its `issuerRef` is the test's. */
export interface CertificateShape {
  readonly title: string;
  readonly spec: Omit<CertificateSpec, 'issuerRef' | 'secretName'>;
}

/** As large as one label of a DNS name may be. */
const LONG_LABEL = 'a'.repeat(63);
const ecdsa = {algorithm: 'ECDSA'} as const;
const ed25519 = {algorithm: 'Ed25519'} as const;

/** The 22 shapes of cert-manager's conformance suite (`test/e2e/suite/conformance/certificates`). */
export const certificateShapes: readonly CertificateShape[] = [
  {title: 'the defaults, RSA', spec: {dnsNames: ['rsa.example.com']}},
  {title: 'a CA', spec: {isCA: true, commonName: 'a CA', privateKey: ecdsa}},
  {title: 'ECDSA', spec: {dnsNames: ['ecdsa.example.com'], privateKey: {...ecdsa, size: 384}}},
  {title: 'Ed25519', spec: {dnsNames: ['ed.example.com'], privateKey: ed25519}},
  {
    title: 'a common name, and an organization',
    spec: {commonName: 'cn.example.com', subject: {organizations: ['Example & Söhne']}},
  },
  {
    title: 'an other name and an e-mail address',
    spec: {
      emailAddresses: ['ops@example.com'],
      otherNames: [{oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'jürgen@example.com'}],
      privateKey: {...ecdsa, encoding: 'PKCS8'},
    },
  },
  {
    title: 'a literal subject', // attributes of one level in the order that DER gives them
    spec: {literalSubject: 'UID=7+CN=web\\, main,OU=infra,O=Example,DC=example,DC=com'},
  },
  {title: 'ECDSA with a common name', spec: {commonName: 'a ec name', privateKey: {...ecdsa, size: 521}}}, // prettier-ignore
  {title: 'Ed25519 with a common name', spec: {commonName: 'an ed name', privateKey: ed25519}},
  {title: 'an IP address', spec: {ipAddresses: ['192.0.2.1', '2001:DB8::1']}},
  {title: 'DNS and IP', spec: {dnsNames: ['ip.example.com'], ipAddresses: ['192.0.2.2']}},
  {
    title: 'a common name and IP',
    spec: {commonName: 'ip.example.com', ipAddresses: ['192.0.2.3'], privateKey: ecdsa},
  },
  {title: 'an e-mail address', spec: {emailAddresses: ['a@example.com'], privateKey: ecdsa}},
  {
    title: 'a common name and a URI',
    spec: {commonName: 'uri', uris: ['spiffe://cluster.local/ns/a/sa/b'], privateKey: ecdsa},
  },
  {
    title: 'several DNS names with the common name one of them',
    spec: {
      commonName: 'one.example.com',
      dnsNames: ['one.example.com', 'two.example.com', 'three.example.com'],
      privateKey: {algorithm: 'RSA', encoding: 'PKCS8', size: 3072},
    },
  },
  {
    title: 'a common name that is no DNS name of it',
    spec: {commonName: 'other.example.com', dnsNames: ['dns.example.com'], privateKey: ecdsa},
  },
  {
    title: 'a duration',
    spec: {dnsNames: ['short.example.com'], duration: '768h', privateKey: ecdsa},
  },
  {title: 'a wildcard', spec: {dnsNames: ['*.wild.example.com'], privateKey: ecdsa}},
  {title: 'a URI only', spec: {uris: ['https://example.com/a?b=c'], privateKey: ecdsa}},
  {
    title: 'key usages',
    spec: {
      dnsNames: ['usages.example.com'],
      usages: ['signing', 'data encipherment', 'server auth', 'client auth', 'code signing'],
      privateKey: ecdsa,
    },
  },
  {
    title: 'a label of 63 characters',
    spec: {dnsNames: [`${LONG_LABEL}.example.com`], privateKey: ecdsa},
  },
  {
    title: 'a wildcard and its apex',
    spec: {dnsNames: ['*.apex.example.com', 'apex.example.com'], privateKey: ecdsa},
  },
];
