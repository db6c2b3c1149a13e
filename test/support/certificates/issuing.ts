import type {KeyObject} from 'node:crypto';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import type {Issuer, IssuerSpec} from '#certificates/apis/issuer';
import type {SecretObject} from '#certificates/apis/resources';
import type {SecretReader} from '#certificates/controllers/secret-reader';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {
  createSigningRequest,
  type SigningRequestFields,
} from '#certificates/x509/certificate-request';
import {createCertificate, type CertificateFields} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import {encodePrivateKey, generatePrivateKey} from '#certificates/x509/keys';

/** A CA: its key, its certificate, and the certificates above it. */
export interface ACa {
  readonly key: KeyObject;
  readonly certificate: ParsedCertificate;
  /** Own certificate first. */
  readonly chain: readonly ParsedCertificate[];
}

export type ACaOptions = Partial<Omit<CertificateFields, 'subject' | 'issuer'>> & {
  readonly name?: string;
  readonly above?: ACa;
};

const YEAR_MS = 365 * 24 * 3_600_000;

/** A CA that is valid from an hour ago for a year, unless told otherwise. */
export async function aCa({name = 'Test CA', above, ...fields}: ACaOptions = {}): Promise<ACa> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  const pem = createCertificate({
    subject: subjectName({commonName: name}),
    names: [],
    publicKey: key,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + YEAR_MS),
    usages: ['cert sign', 'crl sign'],
    isCa: true,
    issuer: above === undefined ? {key} : {key: above.key, certificate: above.certificate},
    ...fields,
  });
  const certificate = parseCertificate(pem);
  return {key, certificate, chain: [certificate, ...(above?.chain ?? [])]};
}

/** The Secret of a CA issuer. */
export function aCaSecret(
  {key, chain}: ACa,
  {namespace = 'shop', name = 'ca', data = {}}: Partial<ASecret> = {},
): SecretObject {
  const pem = chain.map(certificate => certificate.pem).join('');
  return aSecret({
    namespace,
    name,
    data: {'tls.crt': pem, 'tls.key': encodePrivateKey(key, 'PKCS8'), ...data},
  });
}

export interface ASecret {
  readonly namespace: string;
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}

export function aSecret({namespace, name, data}: ASecret): SecretObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {name, namespace},
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])),
  };
}

/** A ready issuer; without a namespace a ClusterIssuer. */
export function anIssuer(
  spec: IssuerSpec,
  {
    namespace,
    name = 'issuer',
    ready = true,
  }: {
    readonly namespace?: string;
    readonly name?: string;
    readonly ready?: boolean;
  } = {namespace: 'shop'},
): Issuer {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: namespace === undefined ? 'ClusterIssuer' : 'Issuer',
    metadata: {name, generation: 1, ...(namespace === undefined ? {} : {namespace})},
    spec,
    ...(ready
      ? {
          status: {
            conditions: [{type: 'Ready', status: 'True', reason: 'IsReady', observedGeneration: 1}],
          },
        }
      : {}),
  };
}

/** A CSR, as a request carries it: base64 of PEM. */
export function aCsr(key: KeyObject, fields: Partial<SigningRequestFields> = {}): string {
  return base64(
    createSigningRequest({
      subject: subjectName({commonName: 'www.example.com'}),
      names: [{kind: 'dns', value: 'www.example.com'}],
      key,
      ...fields,
    }),
  );
}

export interface ARequest {
  readonly spec: Partial<CertificateRequest['spec']> & {readonly request: string};
  readonly annotations?: Readonly<Record<string, string>>;
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: 'True' | 'False';
    readonly reason?: string;
    readonly message?: string;
  }[];
}

export function aRequest({spec, annotations = {}, conditions}: ARequest): CertificateRequest {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name: 'www', namespace: 'shop', uid: 'u1', generation: 1, annotations},
    spec: {issuerRef: {name: 'issuer'}, ...spec},
    ...(conditions === undefined ? {} : {status: {conditions}}),
  };
}

export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

export function unbase64(text: string | undefined): string {
  return Buffer.from(text ?? '', 'base64').toString('utf8');
}

/** A cluster without Secrets. */
export const noSecrets: SecretReader = {
  facts: () => Promise.resolve(undefined),
  read: () => Promise.resolve(undefined),
  version: () => undefined,
};
