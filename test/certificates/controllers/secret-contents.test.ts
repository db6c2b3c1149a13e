import {createPrivateKey, X509Certificate} from 'node:crypto';
import test from 'ava';
import {Secret} from '#shared/secret';
import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import {repairOf, secretToApply} from '#certificates/controllers/certificates/secret-contents';
import {secretFacts} from '#certificates/controllers/certificates/secret-facts';
import {temporaryCertificate} from '#certificates/controllers/certificates/temporary-certificate';
import {createSigningRequest} from '#certificates/x509/certificate-request';
import {parseCertificate} from '#certificates/x509/certificate';
import {subjectName} from '#certificates/x509/distinguished-name';
import {formatName} from '#certificates/x509/literal-subject';
import {aChain, type AChain} from '#test/certificates/a-chain';
import {applied} from '#test/certificates/a-target-secret';

test('secretToApply() writes a TLS Secret with pair, CA, our label and all annotations', async t => {
  const chain = await aChain({
    subject: {
      commonName: 'www.example.com',
      organizations: ['Example, Inc.', 'Other'],
      organizationalUnits: ['Web'],
      countries: ['DE'],
      provinces: ['Berlin'],
      localities: ['Mitte'],
      streetAddresses: ['Street 1'],
      postalCodes: ['10115'],
      serialNumber: '42',
    },
    names: [
      {kind: 'dns', value: 'www.example.com'},
      {kind: 'dns', value: '*.example.com'},
      {kind: 'ip', value: '192.0.2.1'},
      {kind: 'ip', value: '2001:db8::1'},
      {kind: 'uri', value: 'spiffe://example.com/web'},
      {kind: 'email', value: 'web@example.com'},
    ],
  });
  const object = secretToApply({...input(chain), certificate: aCertificate()});
  t.deepEqual(object.metadata, {
    name: 'web-tls',
    namespace: 'shop',
    labels: {'controller.cert-manager.io/fao': 'true'},
    annotations: {
      'cert-manager.io/common-name': 'www.example.com',
      'cert-manager.io/alt-names': 'www.example.com,*.example.com',
      'cert-manager.io/ip-sans': '192.0.2.1,2001:db8::1',
      'cert-manager.io/uri-sans': 'spiffe://example.com/web',
      'cert-manager.io/email-sans': 'web@example.com',
      'cert-manager.io/subject-organizations': 'Other,"Example, Inc."', // one set: DER's order
      'cert-manager.io/subject-organizationalunits': 'Web',
      'cert-manager.io/subject-countries': 'DE',
      'cert-manager.io/subject-provinces': 'Berlin',
      'cert-manager.io/subject-localities': 'Mitte',
      'cert-manager.io/subject-streetaddresses': 'Street 1',
      'cert-manager.io/subject-postalcodes': '10115',
      'cert-manager.io/subject-serialnumber': '42',
      'cert-manager.io/certificate-name': 'web',
      'cert-manager.io/issuer-name': 'ca',
      'cert-manager.io/issuer-kind': 'Issuer',
      'cert-manager.io/issuer-group': 'cert-manager.io',
    },
  });
  t.is(object.type, 'kubernetes.io/tls');
  t.deepEqual(Object.keys(object.data ?? {}), ['tls.crt', 'tls.key', 'ca.crt']);
  t.is(text(object, 'tls.crt'), chain.chainPem);
  t.is(text(object, 'ca.crt'), chain.caPem);
});

test('secretToApply() writes the four lists of names even when they are empty, and no others', async t => {
  const chain = await aChain({
    subject: {},
    names: [{kind: 'uri', value: 'spiffe://example.com/x'}],
  });
  const {annotations} = secretToApply({...input(chain), certificate: aCertificate()}).metadata;
  t.deepEqual(
    Object.keys(annotations ?? {})
      .filter(key => !/issuer|certificate-name/u.test(key))
      .toSorted(),
    ['alt-names', 'common-name', 'ip-sans', 'uri-sans'].map(key => `cert-manager.io/${key}`),
  );
});

test('secretToApply() leaves ca.crt out where the issuer tells none', async t => {
  const chain = await aChain();
  for (const caPem of [undefined, '']) {
    const object = secretToApply({...input(chain), caPem, certificate: aCertificate()});
    t.false(Object.hasOwn(object.data ?? {}, 'ca.crt'));
  }
});

test('secretToApply() encodes the key as asked, PKCS1 by default', async t => {
  const label = async (spec: Partial<CertificateSpec>, kind: 'RSA' | 'ECDSA' | 'Ed25519') => {
    const algorithm = kind === 'RSA' ? {kind, size: 2048} as const : kind === 'ECDSA' ? {kind, size: 256} as const : {kind} as const; // prettier-ignore
    const chain = await aChain({algorithm});
    const object = secretToApply({...input(chain), certificate: aCertificate(spec)});
    const pem = text(object, 'tls.key');
    t.true(createPrivateKey(pem).equals(chain.key));
    return /BEGIN (.*)-----/u.exec(pem)?.[1];
  };
  t.is(await label({}, 'RSA'), 'RSA PRIVATE KEY');
  t.is(await label({privateKey: {encoding: 'PKCS8'}}, 'RSA'), 'PRIVATE KEY');
  t.is(await label({privateKey: {encoding: 'PKCS1'}}, 'ECDSA'), 'EC PRIVATE KEY');
  t.is(await label({privateKey: {encoding: 'PKCS1'}}, 'Ed25519'), 'PRIVATE KEY');
});

test('secretToApply() adds the formats that are asked for, of the key as it is encoded', async t => {
  const chain = await aChain({algorithm: {kind: 'RSA', size: 2048}});
  const formats = (['DER', 'CombinedPEM'] as const).map(type => ({type}));
  const object = secretToApply({
    ...input(chain),
    certificate: aCertificate({additionalOutputFormats: formats}),
  });
  const der = chain.key.export({format: 'der', type: 'pkcs1'});
  t.deepEqual(Buffer.from(object.data?.['key.der'] ?? '', 'base64'), der);
  const combined = text(object, 'tls-combined.pem');
  t.is(combined, `${text(object, 'tls.key')}\n${text(object, 'tls.crt')}`);
  t.deepEqual(secretFacts(object).formats, {DER: 'right', CombinedPEM: 'right'});
});

test('secretToApply() keeps the type of a Secret that is there', async t => {
  const chain = await aChain();
  const typeFor = (existingType: string | undefined) =>
    secretToApply({...input(chain), existingType, certificate: aCertificate()}).type;
  t.is(typeFor('Opaque'), 'Opaque');
  t.is(typeFor('kubernetes.io/tls'), 'kubernetes.io/tls');
  t.is(typeFor(undefined), 'kubernetes.io/tls');
  t.is(typeFor(''), 'kubernetes.io/tls');
});

test('secretToApply() sets the owner only where it is switched on', async t => {
  const chain = await aChain();
  const certificate = aCertificate();
  const without = secretToApply({...input(chain), certificate});
  t.false(Object.hasOwn(without.metadata, 'ownerReferences'));
  const {metadata} = secretToApply({...input(chain), certificate, ownerReference: true});
  t.deepEqual(metadata['ownerReferences'], [
    {
      apiVersion: 'cert-manager.io/v1',
      kind: 'Certificate',
      name: 'web',
      uid: 'certificate-uid',
      controller: true,
      blockOwnerDeletion: true,
    },
  ]);
});

test('secretToApply() copies the template, but nothing under our prefixes except direct injection', async t => {
  const chain = await aChain();
  const certificate = aCertificate({
    secretTemplate: {
      labels: {app: 'web', 'controller.cert-manager.io/fao': 'false', 'cert-manager.io/next-private-key': 'true'}, // prettier-ignore
      annotations: {
        'example.com/a': '1',
        'cert-manager.io/allow-direct-injection': 'true',
        'cert-manager.io/common-name': 'lie.example.com',
        'cert-manager.io/anything': 'x',
      },
    },
  });
  const {labels, annotations} = secretToApply({...input(chain), certificate}).metadata;
  t.deepEqual(labels, {app: 'web', 'controller.cert-manager.io/fao': 'true'});
  t.is(annotations?.['example.com/a'], '1');
  t.is(annotations?.['cert-manager.io/allow-direct-injection'], 'true');
  t.is(annotations?.['cert-manager.io/common-name'], 'www.example.com');
  t.is(annotations?.['cert-manager.io/anything'], undefined);
});

test('secretToApply() adds keystores, and truststores where there is a CA', async t => {
  const chain = await aChain();
  const certificate = aCertificate({
    keystores: {jks: {create: true, alias: 'web'}, pkcs12: {create: true, profile: 'Modern2023'}},
  });
  const keystorePasswords = {jks: new Secret('changeit'), pkcs12: new Secret('changeit')};
  const all = secretToApply({...input(chain), certificate, keystorePasswords});
  const stores = ['keystore.p12', 'truststore.p12', 'keystore.jks', 'truststore.jks'];
  t.true(stores.every(key => Object.hasOwn(all.data ?? {}, key)));
  const withoutCa = secretToApply({
    ...input(chain),
    certificate,
    keystorePasswords,
    caPem: undefined,
  });
  t.deepEqual(
    stores.filter(key => Object.hasOwn(withoutCa.data ?? {}, key)),
    ['keystore.p12', 'keystore.jks'],
  );
  const off = aCertificate({keystores: {jks: {create: false}, pkcs12: {create: false}}});
  const none = secretToApply({...input(chain), certificate: off});
  t.false(stores.some(key => Object.hasOwn(none.data ?? {}, key)));
});

test('secretToApply() refuses a keystore without its password, naming the field', async t => {
  const chain = await aChain();
  const certificate = aCertificate({keystores: {jks: {create: true}}});
  const error = t.throws(() => secretToApply({...input(chain), certificate}), {code: 'ERR_SECRET_MISSING'}); // prettier-ignore
  t.regex(error.message, /spec\.keystores\.jks/u);
});

test('secretToApply() refuses a chain or a CA that is none', async t => {
  const chain = await aChain();
  const certificate = aCertificate({keystores: {jks: {create: true}}});
  const refused = {code: 'ERR_CHAIN_INVALID'};
  t.throws(() => secretToApply({...input(chain), certificate, chainPem: 'x'}), refused);
  const keystorePasswords = {jks: new Secret('changeit')};
  t.throws(() => secretToApply({...input(chain), certificate, keystorePasswords, caPem: 'x'}), refused); // prettier-ignore
});

test('a repair keeps what the Secret says of its issuance, and its uid', async t => {
  const chain = await aChain();
  const before = secretToApply({...input(chain), certificate: aCertificate()});
  const repair = repairOf(secretFacts(applied(before)));
  const certificate = aCertificate({issuerRef: {name: 'other', kind: 'ClusterIssuer'}});
  const {metadata} = secretToApply({...input(chain), certificate, repair});
  t.is(metadata.uid, 'secret-uid');
  t.deepEqual(metadata.annotations, before.metadata.annotations);
});

test('temporaryCertificate() has the names of the request, and is of a CA that nobody knows', async t => {
  const {key} = await aChain({algorithm: {kind: 'RSA', size: 2048}});
  const requestPem = createSigningRequest({
    subject: subjectName({commonName: 'www.example.com', organizations: ['Example']}),
    names: [{kind: 'dns', value: 'www.example.com'}],
    usages: ['digital signature', 'server auth'],
    key,
  });
  const now = new Date('2026-11-22T10:00:00Z');
  const pem = await temporaryCertificate({requestPem, now, durationMs: 3_600_000});
  const leaf = parseCertificate(pem);
  t.is(pem.match(/BEGIN CERTIFICATE/gu)?.length, 1);
  t.deepEqual(leaf.names, [{kind: 'dns', value: 'www.example.com'}]);
  t.is(formatName(leaf.subject), 'SERIALNUMBER=1234567890,CN=www.example.com,O=Example');
  t.is(formatName(leaf.issuer), 'CN=cert-manager.local');
  t.deepEqual([leaf.notBefore, leaf.notAfter], [now, new Date('2026-11-22T11:00:00Z')]);
  t.deepEqual(leaf.usages, ['digital signature', 'server auth']);
  t.false(leaf.isSelfSigned);
  t.true(new X509Certificate(pem).checkPrivateKey(key));
});

test('temporaryCertificate() of a request for a CA is none that could sign with a lasting name', async t => {
  const {key} = await aChain();
  const subject = subjectName({commonName: 'sub', serialNumber: '7'});
  const requestPem = createSigningRequest({subject, names: [], isCa: true, key});
  const leaf = parseCertificate(
    await temporaryCertificate({requestPem, now: new Date('2026-11-22T10:00:00Z'), durationMs: 3_600_000}), // prettier-ignore
  );
  t.is(formatName(leaf.subject), 'SERIALNUMBER=1234567890,CN=sub', 'its number replaces the other');
});

function input({key, chainPem, caPem}: AChain) {
  return {key, chainPem, caPem, keystorePasswords: {}, ownerReference: false} as const;
}

function aCertificate(spec: Partial<CertificateSpec> = {}): Certificate {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name: 'web', namespace: 'shop', uid: 'certificate-uid'},
    spec: {secretName: 'web-tls', issuerRef: {name: 'ca'}, ...spec},
  };
}

function text({data}: ReturnType<typeof secretToApply>, key: string): string {
  return Buffer.from(data?.[key] ?? '', 'base64').toString();
}
