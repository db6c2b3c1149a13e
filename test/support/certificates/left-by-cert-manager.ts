import type {KeyObject} from 'node:crypto';
import type {KubernetesObject} from '#shared/kube/object';
import type {Certificate, CertificateStatus} from '#certificates/apis/certificate';
import * as kinds from '#certificates/apis/resources';
import type {SecretObject} from '#certificates/apis/resources';
import type {ControllerSite} from '#test/certificates/a-controller';
import {createCertificate} from '#certificates/x509/create-certificate';
import {createSigningRequest} from '#certificates/x509/certificate-request';
import {parseCertificate} from '#certificates/x509/certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import {encodePrivateKey, generatePrivateKey} from '#certificates/x509/keys';

/**
 * Objects as cert-manager 1.x leaves them in a cluster: its names (requests with generated ones,
 * as before the gate StableCertificateRequestName), annotations, field managers, and which fields
 * it leaves empty. Written from certificates.md §1.6 and §3; nothing of ours made them.
 */
export interface LeftBehind {
  readonly namespace: string;
  readonly certificate: Certificate;
  readonly caPem: string;
  readonly key: KeyObject;
  readonly chainPem: string;
  readonly request: string;
  /** `web-tls`, as the issuing controller applied it. */
  readonly applySecret: (key?: KeyObject, chainPem?: string) => Promise<void>;
  /** A CertificateRequest; `issued` also approves and signs it. */
  readonly createRequest: (options: RequestOptions) => Promise<string>;
  /** The Secret with the next private key, under a generated name. */
  readonly createKeySecret: (key: KeyObject) => Promise<string>;
  readonly writeStatus: (status: CertificateStatus) => Promise<void>;
}

export interface RequestOptions {
  readonly name: string;
  readonly revision: number;
  readonly keySecret: string;
  readonly request?: string;
  readonly answer?: 'issued' | 'approved' | 'failed';
  readonly failedAt?: string;
}

const API_VERSION = 'cert-manager.io/v1';
const DAY_MS = 86_400_000;

/** A CA issuer and a Certificate, its key and its certificate of ten days ago; no controller yet. */
export async function leftByCertManager(site: ControllerSite): Promise<LeftBehind> {
  const {client, signal} = site;
  const namespace = await site.namespace();
  const notBefore = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 10 * DAY_MS);
  const validity = {notBefore, notAfter: new Date(notBefore.getTime() + 90 * DAY_MS)};
  const caKey = await generatePrivateKey({kind: 'ECDSA', size: 256});
  const caPem = createCertificate({
    subject: subjectName({commonName: 'the ca'}),
    names: [],
    publicKey: caKey,
    ...validity,
    usages: ['cert sign'],
    isCa: true,
    issuer: {key: caKey},
  });
  const key = await generatePrivateKey({kind: 'RSA', size: 2048});
  const names = [{kind: 'dns', value: 'web.example.com'}] as const;
  const usages = ['digital signature', 'key encipherment'];
  const subject = subjectName({commonName: 'web.example.com'});
  const chainPem = createCertificate({
    subject,
    names,
    publicKey: key,
    ...validity,
    usages,
    isCa: false,
    issuer: {key: caKey, certificate: parseCertificate(caPem)},
  });
  const request = createSigningRequest({subject, names, usages, key});
  await client.create(
    kinds.secrets,
    tlsSecret({name: 'ca', namespace}, {key: caKey, chainPem: caPem}),
    {signal},
  );
  await site.apply({
    apiVersion: API_VERSION,
    kind: 'Issuer',
    metadata: {name: 'ca', namespace},
    spec: {ca: {secretName: 'ca'}},
  });
  const certificate = await client.create(kinds.certificates, certificateObject(namespace), {
    signal,
    fieldManager: 'kubectl-client-side-apply',
  });
  const parts = {site, namespace, certificate, caPem};
  return {
    namespace,
    certificate,
    caPem,
    key,
    chainPem,
    request,
    applySecret: (withKey = key, withChain = chainPem) =>
      applySecret(parts, {key: withKey, chainPem: withChain}),
    createRequest: options => createRequest(parts, {request, chainPem, ...options}),
    createKeySecret: nextKey => createKeySecret(parts, nextKey),
    writeStatus: async status => {
      const now = await site.object(kinds.certificates, {namespace, name: 'web'}, () => true);
      const options = {signal, fieldManager: 'cert-manager-certificates-readiness'};
      await client.updateStatus(kinds.certificates, {...now, status}, options);
    },
  };
}

/** The status of a Certificate that is Ready with a certificate of this PEM. */
export function readyStatus(chainPem: string, revision = 1): CertificateStatus {
  const {notBefore, notAfter} = parseCertificate(chainPem);
  const renewalTime = new Date(notAfter.getTime() - 30 * DAY_MS);
  return {
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'Ready',
        message: 'Certificate is up to date and has not expired',
        lastTransitionTime: seconds(notBefore),
        observedGeneration: 1,
      },
    ],
    notBefore: seconds(notBefore),
    notAfter: seconds(notAfter),
    renewalTime: seconds(renewalTime),
    revision,
  };
}

/** The condition with which an issuance is under way. */
export function issuingCondition(at: Date) {
  return {
    type: 'Issuing',
    status: 'True',
    reason: 'DoesNotExist',
    message: 'Issuing certificate as Secret does not exist',
    lastTransitionTime: seconds(at),
    observedGeneration: 1,
  } as const;
}

/** meta/v1 Time: no fractions. */
export function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+/, '');
}

interface Parts {
  readonly site: ControllerSite;
  readonly namespace: string;
  readonly certificate: Certificate;
  readonly caPem: string;
}

function certificateObject(namespace: string): Certificate {
  return {
    apiVersion: API_VERSION,
    kind: 'Certificate',
    metadata: {name: 'web', namespace, labels: {app: 'web'}},
    spec: {
      secretName: 'web-tls',
      commonName: 'web.example.com',
      dnsNames: ['web.example.com'],
      issuerRef: {name: 'ca'}, // kind and group are left to their defaults
      secretTemplate: {labels: {tier: 'front'}, annotations: {note: 'x'}},
    },
  };
}

async function applySecret(
  {site, namespace, certificate, caPem}: Parts,
  {key, chainPem}: {readonly key: KeyObject; readonly chainPem: string},
): Promise<void> {
  const secret = tlsSecret({name: 'web-tls', namespace}, {key, chainPem});
  const {client, signal} = site;
  await client.apply(
    kinds.secrets,
    {
      ...secret,
      metadata: {
        ...secret.metadata,
        labels: {tier: 'front', 'controller.cert-manager.io/fao': 'true'},
        annotations: {
          note: 'x',
          'cert-manager.io/alt-names': 'web.example.com',
          'cert-manager.io/common-name': 'web.example.com',
          'cert-manager.io/ip-sans': '',
          'cert-manager.io/uri-sans': '',
          'cert-manager.io/certificate-name': certificate.metadata.name,
          'cert-manager.io/issuer-name': 'ca',
          'cert-manager.io/issuer-kind': 'Issuer',
          'cert-manager.io/issuer-group': '', // as issuerRef has it
        },
      },
      data: {...secret.data, 'ca.crt': base64(caPem)},
    },
    {signal, fieldManager: 'cert-manager-certificates-issuing', force: true},
  );
}

async function createRequest(
  {site, namespace, certificate, caPem}: Parts,
  {name, revision, keySecret, request = '', answer, failedAt, chainPem}: RequestOptions & {readonly chainPem: string}, // prettier-ignore
): Promise<string> {
  const {client, signal} = site;
  const created = await client.create(
    kinds.certificateRequests,
    {
      apiVersion: API_VERSION,
      kind: 'CertificateRequest',
      metadata: {
        name,
        generateName: 'web-',
        namespace,
        labels: {app: 'web'},
        annotations: {
          'cert-manager.io/certificate-name': 'web',
          'cert-manager.io/certificate-revision': `${revision}`,
          'cert-manager.io/private-key-secret-name': keySecret,
        },
        ownerReferences: [ownerReference(certificate)],
      },
      spec: {request: base64(request), issuerRef: {name: 'ca'}},
    },
    {signal, fieldManager: 'cert-manager-certificates-request-manager'},
  );
  if (answer === undefined) return name;
  const at = failedAt ?? seconds(new Date());
  const approved = condition('Approved', {at, reason: 'cert-manager.io', message: 'Certificate request has been approved by cert-manager.io'}); // prettier-ignore
  const issued = {
    conditions: [
      approved,
      condition('Ready', {at, reason: 'Issued', message: 'Certificate fetched from issuer successfully'}), // prettier-ignore
    ],
    certificate: base64(chainPem),
    ca: base64(caPem),
  };
  const failed = {
    conditions: [
      approved,
      {
        ...condition('Ready', {at, reason: 'Failed', message: 'the signer said no'}),
        status: 'False',
      },
    ],
    failureTime: at,
  };
  const status = {issued, failed, approved: {conditions: [approved]}}[answer];
  await client.updateStatus(kinds.certificateRequests, {...created, status} as typeof created, {
    signal,
    fieldManager: 'cert-manager-certificaterequests-issuer-ca',
  });
  return name;
}

async function createKeySecret(
  {site: {client, signal}, namespace, certificate}: Parts,
  key: KeyObject,
): Promise<string> {
  const name = 'web-8zq4r';
  await client.create(
    kinds.secrets,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        generateName: 'web-',
        namespace,
        labels: {
          'cert-manager.io/next-private-key': 'true',
          'controller.cert-manager.io/fao': 'true',
        },
        ownerReferences: [ownerReference(certificate)],
      },
      type: 'Opaque',
      data: {'tls.key': base64(encodePrivateKey(key, 'PKCS8'))},
    },
    {signal, fieldManager: 'cert-manager-certificates-key-manager'},
  );
  return name;
}

function tlsSecret(
  metadata: KubernetesObject['metadata'],
  {key, chainPem}: {readonly key: KeyObject; readonly chainPem: string},
): SecretObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata,
    type: 'kubernetes.io/tls',
    data: {'tls.key': base64(encodePrivateKey(key, 'PKCS1')), 'tls.crt': base64(chainPem)},
  };
}

function condition(
  type: 'Approved' | 'Ready',
  {at, reason, message}: {readonly at: string; readonly reason: string; readonly message: string},
) {
  return {type, status: 'True', reason, message, lastTransitionTime: at} as const;
}

function ownerReference({metadata}: Certificate) {
  return {
    apiVersion: API_VERSION,
    kind: 'Certificate',
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
