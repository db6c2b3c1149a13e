import {generateKeyPairSync, type KeyObject} from 'node:crypto';
import test from 'ava';
import type {CertificateRequestSpec} from '#certificates/apis/certificate-request';
import {issuerProblems} from '#certificates/apis/issuer-validation';
import {certificateRequestProblems} from '#certificates/apis/request-validation';
import {certificateProblems} from '#certificates/apis/validation';
import {createSigningRequest} from '#certificates/x509/certificate-request';
import {acceptedCertificates, refusedCertificates} from './judged-certificates.ts';
import {acceptedIssuers, refusedIssuers} from './judged-issuers.ts';

for (const {title, spec} of acceptedCertificates) {
  test(`certificateProblems() finds nothing wrong with ${title}`, t => {
    t.deepEqual(certificateProblems(spec), []);
  });
}

for (const {title, spec} of refusedCertificates) {
  test(`certificateProblems() finds what is wrong with ${title}`, t => {
    t.is(certificateProblems(spec).length, 1);
  });
}

for (const {title, spec} of acceptedIssuers) {
  test(`issuerProblems() finds nothing wrong with ${title}`, t => {
    t.deepEqual(issuerProblems(spec), []);
  });
}

for (const {title, spec} of refusedIssuers) {
  test(`issuerProblems() finds what is wrong with ${title}`, t => {
    t.is(issuerProblems(spec).length, 1);
  });
}

test('certificateProblems() tells every problem, and of a long list only a few', t => {
  const [first] = refusedCertificates;
  const dnsNames = Array.from({length: 50}, (_, i) => `ü${i}`);
  const spec = {...first?.spec, issuerRef: {name: ''}, secretName: '', dnsNames};
  const problems = certificateProblems(spec);
  t.is(problems.filter(problem => problem.startsWith('spec.dnsNames')).length, 3);
  t.is(problems.length, 5);
});

const {privateKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
const spec: CertificateRequestSpec = {request: requestOf({}), issuerRef: {name: 'ca'}};

const requests: readonly {
  readonly title: string;
  readonly spec: CertificateRequestSpec;
  readonly problems: number;
}[] = [
  {title: 'a request without usages', spec, problems: 0},
  {
    title: 'the default usages',
    spec: {...spec, request: requestOf({usages: ['signing', 'key encipherment']})},
    problems: 0,
  },
  {
    title: 'usages that agree',
    spec: {
      ...spec,
      request: requestOf({usages: ['server auth']}),
      usages: ['server auth', 'key agreement'],
    },
    problems: 0,
  },
  {
    title: 'other purposes than the specification has',
    spec: {...spec, request: requestOf({usages: ['client auth']}), usages: ['server auth']},
    problems: 1,
  },
  {
    title: 'other usages than the default',
    spec: {...spec, request: requestOf({usages: ['key agreement']})},
    problems: 1,
  },
  {
    title: 'a CA that the specification knows',
    spec: {...spec, request: requestOf({isCa: true}), isCA: true},
    problems: 0,
  },
  {
    title: 'a CA that the specification does not know',
    spec: {...spec, request: requestOf({isCa: true})},
    problems: 1,
  },
  {title: 'no request', spec: {...spec, request: ''}, problems: 1},
  {title: 'a request that is not base64', spec: {...spec, request: '%%%'}, problems: 1},
  {title: 'a request that is no PEM', spec: {...spec, request: base64('hello')}, problems: 1},
  {
    title: 'a request whose signature is of another key',
    spec: {...spec, request: forged()},
    problems: 1,
  },
  {title: 'a negative duration', spec: {...spec, duration: '-1h'}, problems: 1},
  {title: 'an issuer without name', spec: {...spec, issuerRef: {name: ''}}, problems: 1},
];

for (const {title, spec, problems} of requests) {
  test(`certificateRequestProblems() finds ${problems} problems with ${title}`, t => {
    t.is(certificateRequestProblems(spec).length, problems);
  });
}

function requestOf({
  usages,
  isCa,
  key = privateKey,
}: {
  readonly usages?: readonly string[];
  readonly isCa?: boolean;
  readonly key?: KeyObject;
}): string {
  const pem = createSigningRequest({
    subject: [],
    names: [{kind: 'dns', value: 'example.com'}],
    key,
    ...(usages && {usages}),
    ...(isCa !== undefined && {isCa}),
  });
  return base64(pem);
}

/** The last byte of the signature is another one. */
function forged(): string {
  const pem = Buffer.from(requestOf({}), 'base64').toString();
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  const label = 'CERTIFICATE REQUEST';
  return base64(`-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
