import test from 'ava';
import {explainCertificate, latestRequests} from '#provisioner/certificates/explain-certificate';
import {toCertificateStatus} from '#provisioner/certificates/certificate-status';
import {chooseIssuers} from '#provisioner/actions/certificates';
import {formatCertificates} from '#provisioner/cli/certs-command';
import type {CertificateObject, CertificateRequestObject} from '#provisioner/certificates/kinds';
import {verifyIssued, type IssuedSecret} from '#provisioner/certificates/verify-issued';
import {aKeyPair, type KeyPairPem} from '#test/a-ca';

const root = aKeyPair({commonName: 'root'});
const middle = aKeyPair({commonName: 'middle', issuer: root});
const leafOf = (issuer?: KeyPairPem, options = {}) =>
  aKeyPair({commonName: 'leaf', isCa: false, dnsName: 'a.test', ...options, ...(issuer && {issuer})}); // prettier-ignore
const leaf = leafOf(middle);
const now = new Date();
const issued = (changes: Partial<IssuedSecret> = {}): IssuedSecret => ({
  certificate: leaf.certificate + middle.certificate,
  privateKey: leaf.privateKey,
  authority: root.certificate,
  ...changes,
});
const verdict = (secret: IssuedSecret, changes = {}) =>
  verifyIssued(secret, {dnsName: 'a.test', now, ...changes});
const reasonOf = (secret: IssuedSecret, changes = {}): string => {
  const found = verdict(secret, changes);
  return found.ok ? '' : found.reason;
};

test('a chain of three is sound, and so is a certificate that signs itself', t => {
  t.deepEqual(verdict(issued()), {ok: true, signedBy: 'CN=middle'});
  const {certificate, privateKey} = leafOf();
  t.deepEqual(verdict({certificate, privateKey, authority: certificate}), {ok: true, signedBy: 'itself'}); // prettier-ignore
});

test('a known CA has to be in the chain, also where the issuer does not send it', t => {
  t.true(verdict(issued({authority: ''}), {authority: root.certificate}).ok);
  t.true(verdict(issued(), {authority: middle.certificate + root.certificate}).ok);
  t.regex(reasonOf(issued(), {authority: aKeyPair().certificate}), /expected CN=test CA/);
});

const past = {notBefore: new Date(0), notAfter: new Date(86_400_000)};
const notCa = aKeyPair({commonName: 'no CA', isCa: false, issuer: root});
for (const [what, secret, reason] of [
  ['nothing', issued({certificate: ''}), /no certificates/],
  ['a text that only looks like PEM', issued({certificate: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----'}), /no certificates/],
  ['no key', issued({privateKey: 'x'}), /no private key/],
  ['the key of another', issued({privateKey: root.privateKey}), /not the key/],
  ['another name', issued({certificate: leafOf(middle, {dnsName: 'b.test'}).certificate}), /not the key|not for a\.test/],
  ['a gap below the root', issued({certificate: leaf.certificate}), /CN=middle signed it, and neither/],
  ['a stranger in the chain', issued({certificate: leaf.certificate + middle.certificate + notCa.certificate}), /CN=no CA does not belong/],
] as const) {
  test(`a Secret with ${what} is refused`, t => {
    t.regex(reasonOf(secret), reason);
  });
} // prettier-ignore

test('another name, another time and a signer that is no CA are refused', t => {
  const elsewhere = leafOf(middle, {dnsName: 'b.test'});
  t.regex(
    reasonOf(issued({...elsewhere, certificate: elsewhere.certificate + middle.certificate})),
    /not for a\.test/,
  );
  const old = leafOf(middle, past);
  t.regex(reasonOf(issued({...old, certificate: old.certificate + middle.certificate})), /valid from 1970/); // prettier-ignore
  const bad = leafOf(notCa);
  t.regex(reasonOf(issued({...bad, certificate: bad.certificate + notCa.certificate})), /is no CA|CN=no CA does not belong/); // prettier-ignore
});

test('no verdict repeats anything of a key', t => {
  const body = root.privateKey.split('\n')[1] ?? '';
  for (const privateKey of [root.privateKey, root.privateKey.slice(0, 80), `x${body}`]) {
    t.false(reasonOf(issued({privateKey})).includes(body.slice(0, 20)));
  }
});

function aCertificate(status: CertificateObject['status'], name = 'web'): CertificateObject {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace: 'web', generation: 2},
    spec: {secretName: 'tls', issuerRef: {name: 'ca'}},
    ...(status && {status}),
  };
}

function aRequest(revision: number, message: string): CertificateRequestObject {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {
      name: `web-${revision}`,
      namespace: 'web',
      annotations: {
        'cert-manager.io/certificate-name': 'web',
        'cert-manager.io/certificate-revision': `${revision}`,
      },
    },
    status: {conditions: [{type: 'Ready', status: 'False', reason: 'Failed', message}]},
  };
}

const ready = {type: 'Ready', status: 'True', observedGeneration: 2} as const;

test('a certificate that is well needs no words', t => {
  t.deepEqual(explainCertificate(aCertificate({conditions: [ready]}), aRequest(1, 'old')), []);
});

test('a certificate that is not there says why, down to its newest request', t => {
  const requests = latestRequests([aRequest(1, 'old'), aRequest(10, 'the CA has expired'), aRequest(9, 'old')]); // prettier-ignore
  const failed = aCertificate({
    lastFailureTime: '2026-01-01T00:00:00Z',
    failedIssuanceAttempts: 3,
    conditions: [
      {type: 'Ready', status: 'False', message: 'the Secret does not exist', observedGeneration: 2},
      {type: 'Issuing', status: 'False', reason: 'Failed', message: 'refused'},
    ],
  });
  const why = explainCertificate(failed, requests.get('web/web'));
  t.deepEqual(why, ['the Secret does not exist', 'refused', 'web-10: the CA has expired']);
  const [row] = toCertificateStatus([failed], [...requests.values()]);
  t.like(row, {ready: false, lastFailure: {attempts: 3}, issuer: {kind: 'Issuer', name: 'ca'}});
});

test('a condition of an earlier generation says nothing', t => {
  const stale = {...ready, observedGeneration: 1};
  t.deepEqual(explainCertificate(aCertificate({conditions: [stale]}), undefined), ['nobody has looked at it yet']); // prettier-ignore
  t.deepEqual(explainCertificate(aCertificate(undefined), undefined), ['nobody has looked at it yet']); // prettier-ignore
});

test('certs status is a table with times, and words below it', t => {
  const at = new Date('2026-11-22T10:00:00Z');
  const well = aCertificate({
    conditions: [ready],
    notAfter: '2027-02-20T10:00:00Z',
    renewalTime: '2026-11-22T11:30:00Z',
  });
  const text = formatCertificates(toCertificateStatus([well, aCertificate(undefined, 'new')], []), at); // prettier-ignore
  t.deepEqual(text.split('\n').map(line => line.replaceAll(/ {2,}/g, ' | ')), [
    'NAMESPACE | NAME | READY | ISSUER | EXPIRES | RENEWAL | LAST FAILURE',
    'web | new | NO | Issuer/ca | - | - | -',
    'web | web | yes | Issuer/ca | 2027-02-20 (in 90 d) | 2026-11-22 11:30:00Z (in 90 min) | -',
    '',
    'web/new: nobody has looked at it yet',
  ]); // prettier-ignore
  t.is(formatCertificates([], at), 'no certificates');
});

test('an issuer is chosen by name, by namespace, or all are', t => {
  const rows = [
    {id: 'ClusterIssuer/ca', name: 'ca', namespace: undefined},
    {id: 'Issuer/web/ca', name: 'ca', namespace: 'web'},
    {id: 'Issuer/db/own', name: 'own', namespace: 'db'},
  ];
  const chosen = (namespace?: string, name?: string) =>
    chooseIssuers(rows, {namespace, name}).map(each => `${each.namespace ?? ''}/${each.name}`);
  t.deepEqual(chosen(), ['/ca', 'web/ca', 'db/own']);
  t.deepEqual(chosen(undefined, 'ca'), ['/ca', 'web/ca']);
  t.deepEqual(chosen(undefined, 'Issuer/web/ca'), ['web/ca']);
  t.deepEqual(chosen('web'), ['web/ca']);
  t.deepEqual(chosen('web', 'ca'), ['web/ca']);
  t.deepEqual(chosen('db', 'ca'), ['/ca'], 'every namespace has ClusterIssuers');
  t.throws(() => chosen(undefined, 'x'), {code: 'ERR_ISSUER_UNKNOWN'});
  t.throws(() => chosen('nowhere'), {code: 'ERR_ISSUER_UNKNOWN'});
});
