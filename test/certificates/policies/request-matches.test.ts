import {generateKeyPairSync} from 'node:crypto';
import test from 'ava';
import type {CertificateSpec} from '#certificates/apis/certificate';
import type {CertificateRequestSpec} from '#certificates/apis/certificate-request';
import {signingRequestFor} from '#certificates/controllers/certificates/signing-request';
import {certificateDifferences} from '#certificates/policies/certificate-matches';
import {requestDifferences} from '#certificates/policies/request-matches';
import {parseSigningRequest} from '#certificates/x509/certificate-request';
import {subjectName} from '#certificates/x509/distinguished-name';

const {privateKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});

type Part = Partial<CertificateSpec>;
const issuerRef = {name: 'ca'};
const base: CertificateSpec = {secretName: 's', issuerRef, dnsNames: ['a.example.com']};

/** What differs between a specification and the request for another one. */
function differences(wanted: Part, asked: Part, request: Partial<CertificateRequestSpec> = {}) {
  const spec = {...base, ...asked};
  const signing = parseSigningRequest(signingRequestFor(spec, privateKey));
  const {duration, isCA, usages} = spec;
  const object = {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name: 'r'},
    spec: {
      request: '',
      issuerRef: spec.issuerRef,
      ...(duration === undefined ? {} : {duration}),
      ...(isCA === undefined ? {} : {isCA}),
      ...(usages === undefined ? {} : {usages}),
      ...request,
    },
  };
  return requestDifferences({...base, ...wanted}, {object, signing});
}

const same: readonly (readonly [string, Part, Part])[] = [
  ['DNS names in another order', {dnsNames: ['a.x', 'b.x']}, {dnsNames: ['b.x', 'a.x']}],
  ['a DNS name twice', {dnsNames: ['a.x', 'a.x']}, {dnsNames: ['a.x']}],
  ['IPv6 spelt otherwise', {ipAddresses: ['2001:DB8:0:0::1']}, {ipAddresses: ['2001:db8::1']}],
  ['IPv4 as IPv6', {ipAddresses: ['::ffff:10.0.0.1']}, {ipAddresses: ['10.0.0.1']}],
  ['several organizations in another order', {subject: {organizations: ['a', 'b']}}, {subject: {organizations: ['b', 'a']}}], // prettier-ignore
  ['usages in another order', {usages: ['server auth', 'client auth']}, {usages: ['client auth', 'server auth']}], // prettier-ignore
  ['default usages', {usages: ['digital signature', 'key encipherment']}, {}],
  ['signing is digital signature', {usages: ['signing', 'key encipherment']}, {}],
  ['no usages at all', {usages: []}, {}],
  ['the default duration', {duration: '2160h'}, {}],
  ['a duration spelt otherwise', {duration: '90m'}, {duration: '1h30m0s'}],
  ['isCA false', {isCA: false}, {}],
  ['issuer defaults', {issuerRef: {name: 'ca', kind: 'Issuer', group: 'cert-manager.io'}}, {}],
  ['empty texts', {commonName: '', literalSubject: ''}, {}],
  ['constraints that say that they are not critical', {isCA: true, nameConstraints: {critical: false, permitted: {dnsDomains: ['x']}}}, {isCA: true, nameConstraints: {permitted: {dnsDomains: ['x']}}}], // prettier-ignore
  ['critical constraints', {isCA: true, nameConstraints: {critical: true, excluded: {dnsDomains: ['x']}}}, {isCA: true, nameConstraints: {critical: true, excluded: {dnsDomains: ['x']}}}], // prettier-ignore
  ['a range with bits that do not count', {isCA: true, nameConstraints: {permitted: {ipRanges: ['10.1.2.3/8']}}}, {isCA: true, nameConstraints: {permitted: {ipRanges: ['10.0.0.0/8']}}}], // prettier-ignore
  ['renewBefore', {renewBefore: '1h'}, {}],
  ['the Secret', {secretName: 'other'}, {}],
  ['usages outside the signing request', {encodeUsagesInRequest: false}, {}],
  ['other names', {otherNames: [{oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'u@x'}]}, {otherNames: [{oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'u@x'}]}], // prettier-ignore
  ['a literal subject', {literalSubject: 'CN=a,O=b'}, {literalSubject: 'CN=a, O=b'}],
];
for (const [title, wanted, asked] of same) {
  test(`a request still matches: ${title}`, t => {
    t.deepEqual(differences(wanted, asked), []);
  });
}

const different: readonly (readonly [string, Part, Part, readonly string[]])[] = [
  ['a DNS name more', {dnsNames: ['a.x', 'b.x']}, {dnsNames: ['a.x']}, ['spec.dnsNames']],
  ['a DNS name less', {dnsNames: ['a.x']}, {dnsNames: ['a.x', 'b.x']}, ['spec.dnsNames']],
  ['an IP address', {ipAddresses: ['10.0.0.1']}, {}, ['spec.ipAddresses']],
  ['a URI', {uris: ['spiffe://a/b']}, {}, ['spec.uris']],
  ['an e-mail address', {emailAddresses: ['a@x.org']}, {}, ['spec.emailAddresses']],
  ['another name', {otherNames: [{oid: '1.2.3.4', utf8Value: 'u'}]}, {}, ['spec.otherNames']],
  ['its value', {otherNames: [{oid: '1.2.3.4', utf8Value: 'u'}]}, {otherNames: [{oid: '1.2.3.4', utf8Value: 'v'}]}, ['spec.otherNames']], // prettier-ignore
  ['the common name', {commonName: 'a'}, {}, ['spec.commonName']],
  ['no common name', {}, {commonName: 'a'}, ['spec.commonName']],
  ['the organization', {subject: {organizations: ['a']}}, {}, ['spec.subject']],
  ['the serial number', {subject: {serialNumber: '1'}}, {subject: {serialNumber: '2'}}, ['spec.subject']], // prettier-ignore
  ['a literal subject in another order', {literalSubject: 'CN=a,O=b'}, {literalSubject: 'O=b,CN=a'}, ['spec.literalSubject']], // prettier-ignore
  ['usages', {usages: ['server auth']}, {}, ['spec.usages']],
  ['the duration', {duration: '1h'}, {}, ['spec.duration']],
  ['isCA', {isCA: true}, {}, ['spec.isCA']],
  ['the issuer', {issuerRef: {name: 'other'}}, {}, ['spec.issuerRef']],
  ['the kind of issuer', {issuerRef: {name: 'ca', kind: 'ClusterIssuer'}}, {}, ['spec.issuerRef']],
  ['the group of the issuer', {issuerRef: {name: 'ca', group: 'x.org'}}, {}, ['spec.issuerRef']],
  ['name constraints', {isCA: true, nameConstraints: {permitted: {dnsDomains: ['x']}}}, {isCA: true}, ['spec.nameConstraints']], // prettier-ignore
  ['critical constraints', {isCA: true, nameConstraints: {critical: true, permitted: {dnsDomains: ['x']}}}, {isCA: true, nameConstraints: {permitted: {dnsDomains: ['x']}}}, ['spec.nameConstraints']], // prettier-ignore
  ['excluded instead of permitted', {isCA: true, nameConstraints: {excluded: {dnsDomains: ['x']}}}, {isCA: true, nameConstraints: {permitted: {dnsDomains: ['x']}}}, ['spec.nameConstraints']], // prettier-ignore
  ['several fields', {commonName: 'a', duration: '1h'}, {}, ['spec.commonName', 'spec.duration']],
];
for (const [title, wanted, asked, fields] of different) {
  test(`a request no longer matches: ${title}`, t => {
    t.deepEqual(differences(wanted, asked), fields);
  });
}

test('a request that cannot be read matches nothing', t => {
  const object = {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {name: 'r'},
    spec: {request: '', issuerRef},
  };
  t.deepEqual(requestDifferences(base, {object}), ['spec.request']);
});

test('a specification that cannot be encoded is matched by nothing', t => {
  t.deepEqual(differences({literalSubject: '=,='}, {}), ['spec']);
});

const dns = (value: string) => ({kind: 'dns', value}) as const;
const found: readonly (readonly [
  string,
  Part,
  string | undefined,
  readonly string[],
  readonly string[],
])[] = [
  ['all the same', {commonName: 'a.x', dnsNames: ['a.x']}, 'a.x', ['a.x'], []],
  ['the common name became a DNS name', {commonName: 'a.x', dnsNames: []}, undefined, ['a.x'], []],
  ['a DNS name became the common name', {dnsNames: ['a.x']}, 'a.x', [], []],
  ['a DNS name is both', {dnsNames: ['a.x', 'b.x']}, 'a.x', ['a.x', 'b.x'], []],
  ['a DNS name is missing', {dnsNames: ['a.x', 'b.x']}, undefined, ['a.x'], ['spec.dnsNames']],
  ['a DNS name too many', {dnsNames: ['a.x']}, undefined, ['a.x', 'c.x'], ['spec.dnsNames']],
  ['the common name is nowhere', {commonName: 'z.x', dnsNames: ['a.x']}, undefined, ['a.x'], ['spec.commonName']], // prettier-ignore
];
for (const [title, wanted, commonName, names, fields] of found) {
  test(`a certificate without its request: ${title}`, t => {
    const subject = subjectName(commonName === undefined ? {} : {commonName});
    t.deepEqual(
      certificateDifferences({...base, ...wanted}, {subject, names: names.map(dns)}),
      fields,
    );
  });
}
