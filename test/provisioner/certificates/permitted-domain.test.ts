import test from 'ava';
import type {NameConstraints} from '#certificates/x509/name-constraints';
import {permittedDomain} from '#provisioner/certificates/permitted-domain';
import {tryIssuers} from '#provisioner/certificates/try-issuers';
import type {KubernetesObject} from '#shared/kube/object';
import {aCa, aCaSecret} from '#test/certificates/issuing';
import {createFakeKubernetes} from '#test/fake-kubernetes';

const {signal} = new AbortController();

for (const [title, nameConstraints, domain] of [
  ['no constraints', undefined, undefined],
  ['a domain', {critical: true, permitted: {dnsDomains: ['corp.example']}}, 'corp.example'],
  ['what is below a domain', {permitted: {dnsDomains: ['.corp.example']}}, 'corp.example'],
  [
    'several, and other kinds before them',
    {permitted: {ipRanges: ['10.0.0.0/8'], dnsDomains: ['a.example', 'b.example']}},
    'a.example',
  ],
  ['any domain', {permitted: {dnsDomains: ['']}}, undefined],
  ['addresses alone', {permitted: {ipRanges: ['10.0.0.0/8']}}, undefined],
  ['what is excluded', {excluded: {dnsDomains: ['corp.example']}}, undefined],
] as const satisfies readonly (readonly [
  string,
  NameConstraints | undefined,
  string | undefined,
])[]) {
  test(`a CA that may issue below: ${title}`, async t => {
    const {certificate} = await aCa({nameConstraints});
    t.is(permittedDomain(certificate.pem), domain);
  });
}

test('the constraints of the CAs above count where a CA has none of its own', async t => {
  const root = await aCa({nameConstraints: {permitted: {dnsDomains: ['corp.example']}}});
  const free = await aCa({above: root});
  const bound = await aCa({above: root, nameConstraints: {permitted: {dnsDomains: ['it.corp.example']}}}); // prettier-ignore
  const pem = ({chain}: typeof root) => chain.map(each => each.pem).join('');
  t.is(permittedDomain(pem(free)), 'corp.example');
  t.is(permittedDomain(pem(bound)), 'it.corp.example');
});

test('a text that is no certificate permits anything', t => {
  const broken = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
  for (const text of ['', 'x', broken]) t.is(permittedDomain(text), undefined);
});

test('issuers are asked for names that their CA may issue: by cluster.yaml, or by their Secret', async t => {
  const bound = (domain: string) => aCa({nameConstraints: {permitted: {dnsDomains: [domain]}}});
  const [given, ofCluster, ofNamespace] = await Promise.all(
    ['given.example', 'cluster.example', 'namespace.example'].map(bound),
  );
  const issuer = (kind: string, name: string, namespace?: string): KubernetesObject => ({
    apiVersion: 'cert-manager.io/v1',
    kind,
    metadata: {name, ...(namespace !== undefined && {namespace})},
    spec: {ca: {secretName: 'ca'}},
  });
  const asked = new Map<string, unknown>();
  const fake = createFakeKubernetes({
    objects: [
      issuer('ClusterIssuer', 'read'),
      issuer('Issuer', 'read', 'web'),
      ...(ofCluster ? [aCaSecret(ofCluster, {namespace: 'cert-manager'})] : []),
      ...(ofNamespace ? [aCaSecret(ofNamespace, {namespace: 'web'})] : []),
    ],
    admit: object => {
      if (object.kind !== 'Certificate') return object;
      const {issuerRef, dnsNames} = object['spec'] as {
        readonly issuerRef: {readonly kind: string; readonly name: string};
        readonly dnsNames: readonly string[];
      };
      asked.set(`${issuerRef.kind} ${issuerRef.name}`, dnsNames[0]);
      return {...object, status: {lastFailureTime: '2026-01-01T00:00:00Z'}};
    },
  });
  const issuers = [
    {name: 'given', namespace: undefined, authority: given?.certificate.pem ?? ''},
    {name: 'read', namespace: undefined},
    {name: 'read', namespace: 'web'},
    {name: 'unknown', namespace: undefined},
  ];
  await tryIssuers(fake.api, issuers, {signal, now: () => new Date()});
  t.deepEqual(Object.fromEntries(asked), {
    'ClusterIssuer given': 'throw-away.given.example',
    'ClusterIssuer read': 'throw-away.cluster.example',
    'Issuer read': 'throw-away.namespace.example',
    'ClusterIssuer unknown': 'throw-away.provision.invalid',
  });
});
