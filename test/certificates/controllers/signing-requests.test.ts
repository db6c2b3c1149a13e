import test from 'ava';
import type {KeyObject} from 'node:crypto';
import type {Issuer} from '#certificates/apis/issuer';
import type {SigningRequestObject} from '#certificates/apis/signing-request';
import {
  decideSigningRequest,
  type SigningRequestStep,
} from '#certificates/controllers/signing-requests/decide';
import {signerIssuer} from '#certificates/controllers/signing-requests/signing-request-object';
import {createIssuerTypes} from '#certificates/issuers/registry';
import {generatePrivateKey} from '#certificates/x509/keys';
import {aCsr, anIssuer, base64, noSecrets} from '#test/certificates/issuing';

const issuerTypes = createIssuerTypes({secrets: noSecrets});
const SIGNERS = [
  'certificatesigningrequests-issuer-ca',
  'certificatesigningrequests-issuer-selfsigned',
];
const approved = {type: 'Approved', status: 'True'} as const;
const selfSigned = anIssuer({selfSigned: {}});

let key: KeyObject;
test.before(async () => {
  key = await generatePrivateKey({kind: 'ECDSA', size: 256});
});

const names = test.macro((t, signerName: string, expected: object | undefined) => {
  t.deepEqual(signerIssuer(signerName), expected as never);
});
test('a signer name means an Issuer', names, 'issuers.cert-manager.io/shop.my.issuer', {
  kind: 'Issuer',
  namespace: 'shop',
  name: 'my.issuer',
});
test('a signer name means a ClusterIssuer', names, 'clusterissuers.cert-manager.io/my.ca', {
  kind: 'ClusterIssuer',
  name: 'my.ca',
});
for (const name of [
  'kubernetes.io/kubelet-serving',
  'issuers.cert-manager.io/shop',
  'issuers.cert-manager.io/.x',
  'issuers.cert-manager.io/shop.',
  'clusterissuers.cert-manager.io/',
  'issuers.example.com/a.b',
  'cert-manager',
  '',
]) {
  test(`"${name}" is no signer of ours`, names, name, undefined);
}

interface KubernetesCase {
  readonly conditions?: readonly {readonly type: string; readonly status: 'True'}[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: Partial<SigningRequestObject['spec']>;
  readonly issuer?: Issuer | 'none';
  readonly certificate?: string;
  readonly mayReference?: boolean | undefined;
  readonly controllers?: readonly string[];
}

const decidesForKubernetes = test.macro((t, options: KubernetesCase, expected: object) => {
  const {conditions = [approved], certificate, annotations = {}, spec, issuer} = options;
  const step: SigningRequestStep = decideSigningRequest({
    request: {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: {name: 'web', annotations},
      spec: {
        request: aCsr(key),
        signerName: 'issuers.cert-manager.io/shop.issuer',
        usages: ['digital signature', 'key encipherment'],
        username: 'jane',
        ...spec,
      },
      status: {conditions, ...(certificate === undefined ? {} : {certificate})},
    },
    issuer: issuer === 'none' ? undefined : (issuer ?? selfSigned),
    issuerTypes,
    controllers: options.controllers ?? SIGNERS,
    clusterResourceNamespace: 'cert-manager',
    mayReference: 'mayReference' in options ? options.mayReference : true,
  });
  t.like(step, expected);
});

const annotation = (name: string, value: string) => ({
  [`experimental.cert-manager.io/${name}`]: value,
});
test(
  'a CertificateSigningRequest is signed',
  decidesForKubernetes,
  {},
  {kind: 'sign', input: {durationMs: 90 * 24 * 3_600_000, isCa: false}},
);
test(
  'a CertificateSigningRequest is never approved by us',
  decidesForKubernetes,
  {conditions: []},
  {kind: 'wait', reason: 'WaitingApproval'},
);
for (const type of ['Denied', 'Failed']) {
  test(
    `a CertificateSigningRequest that is ${type} is left alone`,
    decidesForKubernetes,
    {conditions: [approved, {type, status: 'True'}]},
    {kind: 'leave'},
  );
}
test(
  'a signed CertificateSigningRequest is left alone',
  decidesForKubernetes,
  {certificate: base64('c')},
  {kind: 'leave'},
);
test(
  'a CertificateSigningRequest to another signer is left alone',
  decidesForKubernetes,
  {spec: {signerName: 'kubernetes.io/kubelet-serving'}},
  {kind: 'leave'},
);
test(
  'a CertificateSigningRequest waits for its issuer',
  decidesForKubernetes,
  {issuer: 'none'},
  {kind: 'wait', reason: 'IssuerNotFound'},
);
test(
  'the right to reference is asked for before anything is said about an issuer in a namespace',
  decidesForKubernetes,
  {mayReference: undefined, issuer: anIssuer({selfSigned: {}}, {namespace: 'shop', ready: false})},
  {kind: 'ask-for-reference', namespace: 'shop', name: 'issuer'},
);
test(
  'who may not reference an issuer fails',
  decidesForKubernetes,
  {mayReference: false},
  {kind: 'fail', reason: 'DeniedReference'},
);
test(
  'a ClusterIssuer is for all, and has its Secrets in one namespace',
  decidesForKubernetes,
  {
    mayReference: undefined,
    issuer: anIssuer({selfSigned: {}}, {}),
    spec: {signerName: 'clusterissuers.cert-manager.io/issuer'},
    annotations: annotation('private-key-secret-name', 'k'),
  },
  {kind: 'sign', input: {privateKeySecret: {namespace: 'cert-manager', name: 'k'}}},
);
test(
  'a CertificateSigningRequest waits for an issuer that is not ready',
  decidesForKubernetes,
  {issuer: anIssuer({selfSigned: {}}, {namespace: 'shop', ready: false})},
  {kind: 'wait', reason: 'IssuerNotReady'},
);
test(
  'a CertificateSigningRequest of an unknown type waits',
  decidesForKubernetes,
  {issuer: anIssuer({})},
  {kind: 'wait', reason: 'IssuerTypeMissing'},
);
test(
  'a signer that is switched off signs nothing',
  decidesForKubernetes,
  {controllers: ['certificaterequests-issuer-selfsigned']},
  {kind: 'leave'},
);
test(
  'expirationSeconds is the duration',
  decidesForKubernetes,
  {spec: {expirationSeconds: 3_600}},
  {input: {durationMs: 3_600_000}},
);
test(
  'the annotation goes before expirationSeconds',
  decidesForKubernetes,
  {spec: {expirationSeconds: 3_600}, annotations: annotation('request-duration', '2h')},
  {input: {durationMs: 7_200_000}},
);
test(
  'a duration below ten minutes fails',
  decidesForKubernetes,
  {annotations: annotation('request-duration', '599s')},
  {kind: 'fail', reason: 'InvalidDuration'},
);
test(
  'a duration that cannot be read fails',
  decidesForKubernetes,
  {annotations: annotation('request-duration', 'long')},
  {kind: 'fail', reason: 'ErrorParseDuration'},
);
test(
  'a CA is asked for by annotation',
  decidesForKubernetes,
  {annotations: annotation('request-is-ca', 'true')},
  {input: {isCa: true, usages: ['digital signature', 'key encipherment', 'cert sign']}},
);
test(
  'a CSR that cannot be read fails',
  decidesForKubernetes,
  {spec: {request: base64('x')}},
  {kind: 'fail', reason: 'RequestParsingError'},
);
