import test from 'ava';
import type {KeyObject} from 'node:crypto';
import {nameRefusal} from '#certificates/issuers/permitted-names';
import {readSigningInput, type RequestTerms} from '#certificates/issuers/signing-input';
import type {GeneralName} from '#certificates/x509/general-names';
import type {NameConstraints} from '#certificates/x509/name-constraints';
import {generatePrivateKey} from '#certificates/x509/keys';
import {aCa, aCsr, base64, unbase64} from '#test/certificates/issuing';

type Csr = Parameters<typeof aCsr>[1];

let key: KeyObject;
test.before(async () => {
  key = await generatePrivateKey({kind: 'ECDSA', size: 256});
});

const reads = test.macro((t, csr: Csr, terms: Partial<RequestTerms>, expected: object) => {
  t.like(readSigningInput({...DEFAULTS, request: aCsr(key, csr), ...terms}), expected);
});
const DEFAULTS = {durationMs: 3_600_000, isCa: false, usages: undefined};
const valid = (usages: readonly string[], isCa = false) => ({
  kind: 'valid',
  input: {usages, isCa, durationMs: 3_600_000},
});
const invalid = {kind: 'invalid'};

test(
  'a request without usages gets the default ones',
  reads,
  {},
  {},
  valid(['digital signature', 'key encipherment']),
);
test(
  'a CA may sign certificates whatever it asked for',
  reads,
  {},
  {isCa: true, usages: ['server auth']},
  valid(['server auth', 'cert sign'], true),
);
test(
  'usages of CSR and spec agree in any order, and by any of their words',
  reads,
  {usages: ['client auth', 'server auth', 'signing', 'email protection']},
  {usages: ['s/mime', 'server auth', 'digital signature', 'client auth']},
  {kind: 'valid'},
);
test(
  'a CSR with key usage alone leaves the extended ones to the spec',
  reads,
  {usages: ['digital signature']},
  {usages: ['digital signature', 'server auth']},
  {kind: 'valid'},
);
test(
  'a CSR that asks for another extended usage is invalid',
  reads,
  {usages: ['digital signature', 'client auth']},
  {usages: ['digital signature', 'server auth']},
  invalid,
);
test(
  'a CSR that asks for more key usages is invalid',
  reads,
  {usages: ['digital signature', 'cert sign']},
  {usages: ['digital signature']},
  invalid,
);
test(
  'a CSR that claims to be a CA is invalid where the spec does not',
  reads,
  {isCa: true},
  {},
  invalid,
);
test(
  'a CSR that is no CA is invalid where the spec wants one',
  reads,
  {isCa: false},
  {isCa: true},
  invalid,
);
test(
  'a CSR and a spec that both want a CA are valid',
  reads,
  {isCa: true},
  {isCa: true},
  {kind: 'valid'},
);
test('a usage that does not exist is invalid', reads, {}, {usages: ['flying']}, invalid);

const unreadable = test.macro((t, request: string) => {
  const read = readSigningInput({...DEFAULTS, request});
  t.like(read, invalid);
  t.true(read.kind === 'invalid' && read.message.startsWith('spec.request'));
});
test('an empty CSR is invalid', unreadable, '');
test('a CSR that is not PEM is invalid', unreadable, base64('hello'));
test(
  'a CSR that is not DER is invalid',
  unreadable,
  base64('-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'),
);
test('a certificate is no CSR', async t => {
  const {certificate} = await aCa();
  t.like(readSigningInput({...DEFAULTS, request: base64(certificate.pem)}), invalid);
});

test('a CSR whose signature is of another key is invalid', t => {
  const lines = unbase64(aCsr(key)).split('\n');
  const der = Buffer.from(lines.slice(1, -2).join(''), 'base64');
  const at = der.lastIndexOf(Buffer.from('www.example.com'));
  der.write('xxx', at); // another name under the same signature
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE REQUEST-----\n`;
  const read = readSigningInput({...DEFAULTS, request: base64(pem)});
  t.true(read.kind === 'invalid' && read.message.includes('signature'));
});

test('a message about usages is not as long as the CSR', t => {
  const usages = Array.from({length: 500}, (_, i) => `1.2.3.${String(i)}`);
  const read = readSigningInput({...DEFAULTS, request: aCsr(key, {usages})});
  t.true(read.kind === 'invalid' && read.message.length < 1_000);
});

const CONSTRAINTS: NameConstraints = {
  permitted: {
    dnsDomains: ['Example.com', '.only-below.test'],
    ipRanges: ['10.0.0.0/8', 'fd00::/8'],
    emailAddresses: ['one@mail.test', 'host.test', '.below.test'],
    uriDomains: ['uri.test', '.sub.test'],
  },
  excluded: {
    dnsDomains: ['secret.example.com'],
    ipRanges: ['10.1.0.0/16'],
    emailAddresses: ['bad.host.test'],
    uriDomains: ['no.uri.test'],
  },
};

const constrained = test.macro(async (t, names: readonly GeneralName[], isPermitted: boolean) => {
  const root = await aCa({nameConstraints: CONSTRAINTS});
  const low = await aCa({above: root});
  const refusal = nameRefusal(low.chain, names);
  t.is(refusal === undefined, isPermitted, refusal);
});
const dns = (value: string): readonly GeneralName[] => [{kind: 'dns', value}];
const email = (value: string): readonly GeneralName[] => [{kind: 'email', value}];
const uri = (value: string): readonly GeneralName[] => [{kind: 'uri', value}];
const ip = (value: string): readonly GeneralName[] => [{kind: 'ip', value}];

for (const [names, isPermitted] of [
  [dns('example.com'), true],
  [dns('www.EXAMPLE.com'), true],
  [dns('*.example.com'), false], // it would name secret.example.com
  [dns('*.www.example.com'), true],
  [dns('badexample.com'), false],
  [dns('example.com.evil.test'), false],
  [dns('only-below.test'), false],
  [dns('x.only-below.test'), true],
  [dns('secret.example.com'), false],
  [dns('deep.secret.example.com'), false],
  [[...dns('example.com'), ...dns('other.test')], false],
  [ip('10.2.3.4'), true],
  [ip('10.1.3.4'), false],
  [ip('192.0.2.1'), false],
  [ip('fd00::1'), true],
  [ip('2001:db8::1'), false],
  [email('one@MAIL.test'), true],
  [email('two@mail.test'), false],
  [email('any@host.test'), true],
  [email('any@sub.host.test'), true],
  [email('any@bad.host.test'), false],
  [email('any@x.below.test'), true],
  [uri('spiffe://uri.test/ns/a'), true],
  [uri('https://no.uri.test'), false],
  [uri('https://x.sub.test:8443/'), true],
  [uri('https://other.test'), false],
  [uri('urn:uuid:1'), false],
  [uri('https://10.0.0.1/'), false],
  [[{kind: 'other', oid: '1.2.3', value: 'free'}], true],
  [[], true],
] as const) {
  const shown = names.map(name => ('value' in name ? name.value : '')).join(' and ');
  const verb = isPermitted ? 'permit' : 'refuse';
  test(
    `name constraints ${verb} ${shown === '' ? 'no names' : `${names[0]?.kind ?? ''} ${shown}`}`,
    constrained,
    names,
    isPermitted,
  );
}

test('a range of IPv6 says nothing about IPv4', async t => {
  const root = await aCa({nameConstraints: {permitted: {ipRanges: ['::/0']}}});
  t.truthy(nameRefusal(root.chain, ip('0.0.0.0')));
});

test('a URI without a host is refused by any exclusion, as every verifier does', async t => {
  const root = await aCa({nameConstraints: {excluded: {uriDomains: ['uri.test']}}});
  t.truthy(nameRefusal(root.chain, uri('urn:uuid:1')));
});

test('a chain without name constraints permits everything', async t => {
  t.is(nameRefusal((await aCa()).chain, [...dns('any.test'), ...ip('192.0.2.1')]), undefined);
});
