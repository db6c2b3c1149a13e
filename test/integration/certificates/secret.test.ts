import {X509Certificate} from 'node:crypto';
import test from 'ava';
import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import {secrets, type SecretObject} from '#certificates/apis/resources';
import type {Controller} from '#certificates/controller';
import {isReady, openControllerSite, type ControllerSite} from '#test/certificates/a-controller';
import {
  anIssuedCertificate,
  issuerAndCertificate,
  pem,
  type IssuedCertificate,
} from '#test/certificates/an-issued-certificate';
import {hasKeytool, listKeystore, openPkcs12} from '#test/certificates/keystore-tools';

const signal = AbortSignal.timeout(600_000);
let site: ControllerSite;
let controller: Controller;

test.before(async t => {
  t.timeout(120_000);
  site = await openControllerSite({signal});
  controller = await site.start();
});
test.after.always(async () => {
  await controller[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

test.serial('secretTemplate: labels and annotations are in the Secret from the start', async t => {
  const {secret} = await issued({secretTemplate: template({app: 'web'}, {note: 'a'})});
  t.true(has({app: 'web'}, {note: 'a'})(await secret(() => true)));
});

test.serial('secretTemplate: what is added to it later is added to the Secret', async t => {
  const {change, secret, unchanged} = await issued({});
  await change({secretTemplate: template({app: 'web'}, {note: 'a'})});
  await secret(has({app: 'web'}, {note: 'a'}));
  await unchanged(t);
});

test.serial('secretTemplate: a value that changes changes in the Secret', async t => {
  const {change, secret, unchanged} = await issued({
    secretTemplate: template({app: 'web'}, {note: 'a'}),
  });
  await change({secretTemplate: template({app: 'shop'}, {note: 'b'})});
  await secret(has({app: 'shop'}, {note: 'b'}));
  await unchanged(t);
});

test.serial('secretTemplate: a key that leaves it leaves the Secret', async t => {
  const both = template({app: 'web', tier: 'front'}, {note: 'a', other: 'b'});
  const {change, secret, unchanged} = await issued({secretTemplate: both});
  await change({secretTemplate: template({app: 'web'}, {other: 'b'})});
  await secret(has({app: 'web', tier: undefined}, {note: undefined, other: 'b'}));
  await unchanged(t);
});

test.serial('secretTemplate: all its keys leave the Secret when it is removed', async t => {
  const {change, secret, unchanged} = await issued({
    secretTemplate: template({app: 'web'}, {note: 'a'}),
  });
  await change({});
  await secret(has({app: undefined}, {note: undefined}));
  await unchanged(t);
});

test.serial('secretTemplate: labels and annotations of others stay', async t => {
  const {edit, change, secret, unchanged} = await issued({
    secretTemplate: template({app: 'web'}, {note: 'a'}),
  });
  await edit({labels: {team: 'x'}, annotations: {'example.com/y': 'z'}});
  await change({secretTemplate: {labels: {app: 'shop'}}});
  await secret(has({app: 'shop', team: 'x'}, {note: undefined, 'example.com/y': 'z'}));
  await unchanged(t);
});

test.serial('secretTemplate: a value that somebody edits or removes comes back', async t => {
  const {edit, secret, unchanged} = await issued({
    secretTemplate: template({app: 'web', b: 'c'}, {note: 'a'}),
  });
  await edit({labels: {app: 'mine'}, annotations: {note: 'mine'}});
  await secret(has({app: 'web'}, {note: 'a'}));
  await edit({labels: {app: null, b: null}, annotations: {note: null}});
  await secret(has({app: 'web', b: 'c'}, {note: 'a'}));
  await unchanged(t);
});

test.serial(
  'additional formats: DER and CombinedPEM are written and agree with the pair',
  async t => {
    const {name} = await issued({additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}]});
    const data = await site.secretData(name);
    t.deepEqual(
      data['tls-combined.pem']?.toString(),
      `${pem(data, 'tls.key')}\n${pem(data, 'tls.crt')}`,
    );
    t.true(pem(data, 'tls.key').includes(data['key.der']?.toString('base64').slice(0, 64) ?? '-'));
  },
);

test.serial(
  'additional formats: one that is added later is written without an issuance',
  async t => {
    const {change, secret, unchanged} = await issued({});
    await change({additionalOutputFormats: [{type: 'DER'}]});
    await secret(({data}) => Object.hasOwn(data ?? {}, 'key.der'));
    await change({additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}]});
    await secret(({data}) => Object.hasOwn(data ?? {}, 'tls-combined.pem'));
    await unchanged(t);
  },
);

test.serial('additional formats: one that is not asked for any more is removed', async t => {
  const {change, secret, unchanged} = await issued({
    additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}],
  });
  await change({additionalOutputFormats: [{type: 'CombinedPEM'}]});
  await secret(({data = {}}) => !Object.hasOwn(data, 'key.der') && Object.hasOwn(data, 'tls-combined.pem')); // prettier-ignore
  await change({});
  await secret(({data = {}}) => !Object.hasOwn(data, 'tls-combined.pem'));
  await unchanged(t);
});

test.serial('additional formats: one that somebody edits or removes comes back', async t => {
  const {edit, secret, unchanged} = await issued({
    additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}],
  });
  const before = (await secret(() => true)).data;
  await edit({data: {'key.der': 'eA==', 'tls-combined.pem': null}});
  const {data} = await secret(
    now =>
      now.data?.['key.der'] === before?.['key.der'] && now.data?.['tls-combined.pem'] !== undefined,
  );
  t.deepEqual(data, before);
  await unchanged(t);
});

test.serial('additional formats: they follow the pair when it is renewed', async t => {
  const {name, change, namespaced} = await issued({
    additionalOutputFormats: [{type: 'CombinedPEM'}],
  });
  await change({additionalOutputFormats: [{type: 'CombinedPEM'}], dnsNames: ['other.example.com']});
  await site.certificate(namespaced('web'), now => isReady(now) && now.status?.revision === 2);
  const data = await site.secretData(name);
  t.deepEqual(
    data['tls-combined.pem']?.toString(),
    `${pem(data, 'tls.key')}\n${pem(data, 'tls.crt')}`,
  );
});

test.serial(
  'a temporary certificate fills the Secret until the issuer answers, and is never Ready',
  async t => {
    const namespace = await site.namespace();
    const [issuer, certificate] = issuerAndCertificate(namespace, {commonName: 'web.example.com'});
    const annotations = {'cert-manager.io/issue-temporary-certificate': 'true'};
    await site.apply({...certificate, metadata: {...certificate.metadata, annotations}});
    const name = {namespace, name: 'web-tls'};
    const temporary = await site.object(secrets, name, () => true);
    t.is(temporary.metadata.annotations?.['cert-manager.io/issuer-name'], undefined);
    const before = new X509Certificate(pem(await site.secretData(name), 'tls.crt'));
    t.is(before.issuer, 'CN=cert-manager.local');
    t.regex(before.subject, /serialNumber=1234567890/u);
    t.false(Object.hasOwn(temporary.data ?? {}, 'ca.crt'));
    t.false(isReady(await site.certificate({namespace, name: 'web'}, () => true)));
    await site.apply(issuer);
    t.is((await site.ready({namespace, name: 'web'})).status?.revision, 1);
    const data = await site.secretData(name);
    const after = new X509Certificate(pem(data, 'tls.crt'));
    t.not(after.issuer, before.issuer);
    t.true(before.publicKey.equals(after.publicKey), 'the key of the issuance, both times');
    t.true(Object.hasOwn(data, 'ca.crt'));
  },
);

test.serial(
  `keystores open with the passwords that their Secret and the specification have${hasKeytool ? '' : " (the JKS not opened: it needs Java's keytool)"}`,
  async t => {
    const namespace = await site.namespace();
    await site.apply(password(namespace, 'from-secret'));
    const passwordSecretRef = {name: 'store-password', key: 'password'};
    const {name} = await issued(
      {
        commonName: 'web.example.com', // Java takes no certificate without a subject
        keystores: {
          pkcs12: {create: true, profile: 'Modern2023', passwordSecretRef},
          jks: {create: true, password: 'from-spec'},
        },
      },
      {namespace},
    );
    const data = await site.secretData(name);
    const opened = await openPkcs12(data['keystore.p12'] ?? Buffer.of(), 'from-secret');
    t.is(opened.status, 0, opened.stderr);
    t.is((await openPkcs12(data['truststore.p12'] ?? Buffer.of(), 'from-secret')).status, 0);
    if (!hasKeytool) return;
    const listed = await listKeystore(data['keystore.jks'] ?? Buffer.of(), 'from-spec');
    t.is(listed.status, 0, listed.stdout);
    t.is((await listKeystore(data['truststore.jks'] ?? Buffer.of(), 'from-spec')).status, 0);
  },
);

test.serial('keystores: one that is added or dropped later needs no issuance', async t => {
  const {change, secret, unchanged} = await issued({});
  await change({keystores: {jks: {create: true, password: 'changeit'}}});
  await secret(({data = {}}) => Object.hasOwn(data, 'keystore.jks') && Object.hasOwn(data, 'truststore.jks')); // prettier-ignore
  await change({});
  await secret(({data = {}}) => !Object.hasOwn(data, 'keystore.jks') && !Object.hasOwn(data, 'truststore.jks')); // prettier-ignore
  await unchanged(t);
});

test.serial(
  'keystores: a Certificate whose password is missing says so, and is issued when it comes',
  async t => {
    const namespace = await site.namespace();
    const passwordSecretRef = {name: 'store-password', key: 'password'};
    await site.apply(
      ...issuerAndCertificate(namespace, {keystores: {jks: {create: true, passwordSecretRef}}}),
    );
    const waiting = await site.certificate({namespace, name: 'web'}, says('store-password'));
    t.false(isReady(waiting));
    await site.apply(password(namespace, 'changeit'));
    await site.ready({namespace, name: 'web'});
    const data = await site.secretData({namespace, name: 'web-tls'});
    t.is(data['keystore.jks']?.readUInt32BE(0), 0xfeedfeed);
  },
);

test.serial('a Secret that is deleted is issued again, with a new key', async t => {
  const {name, namespaced} = await issued({});
  const before = await site.secretData(name);
  await site.client.delete(secrets, name, {signal});
  await site.certificate(namespaced('web'), now => isReady(now) && now.status?.revision === 2);
  const after = await site.secretData(name);
  t.not(pem(after, 'tls.key'), pem(before, 'tls.key'));
});

test.serial(
  'a Secret whose certificate is spoilt is issued again; with rotationPolicy Never by the same key',
  async t => {
    const privateKey = {algorithm: 'ECDSA', size: 256, rotationPolicy: 'Never'} as const;
    const {name, namespaced, edit} = await issued({privateKey});
    const before = await site.secretData(name);
    await edit({data: {'tls.crt': Buffer.from('spoilt').toString('base64')}});
    await site.certificate(namespaced('web'), now => isReady(now) && now.status?.revision === 2);
    const after = await site.secretData(name);
    t.is(pem(after, 'tls.key'), pem(before, 'tls.key'));
    t.not(pem(after, 'tls.crt'), pem(before, 'tls.crt'));
  },
);

test.serial(
  'a Secret whose key is spoilt is issued again with a new one, whatever the policy',
  async t => {
    const privateKey = {algorithm: 'ECDSA', size: 256, rotationPolicy: 'Never'} as const;
    const {name, namespaced, edit} = await issued({privateKey});
    await edit({data: {'tls.key': Buffer.from('spoilt').toString('base64')}});
    await site.certificate(namespaced('web'), now => isReady(now) && now.status?.revision === 2);
    const after = await site.secretData(name);
    t.true(new X509Certificate(pem(after, 'tls.crt')).publicKey.type === 'public');
  },
);

test.serial(
  'our labels and annotations come back without an issuance, the filter label too',
  async t => {
    const {edit, secret, unchanged} = await issued({});
    await edit({labels: {'controller.cert-manager.io/fao': null}});
    await secret(has({'controller.cert-manager.io/fao': 'true'}, {}));
    await edit({
      annotations: {'cert-manager.io/alt-names': 'lie', 'cert-manager.io/common-name': null},
    });
    await secret(has({}, {'cert-manager.io/alt-names': 'web.example.com', 'cert-manager.io/common-name': ''})); // prettier-ignore
    await unchanged(t);
  },
);

test.serial('an Opaque Secret keeps its type, its keys and its labels', async t => {
  const namespace = await site.namespace();
  await site.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {name: 'web-tls', namespace, labels: {theirs: 'x'}, annotations: {theirs: 'y'}},
    type: 'Opaque',
    data: {theirs: 'eA=='},
  });
  const {secret, change, unchanged} = await issued({}, {namespace});
  const written = await secret(has({theirs: 'x'}, {theirs: 'y'}));
  t.is(written.type, 'Opaque');
  t.is(written.data?.['theirs'], 'eA==');
  await change({secretTemplate: {labels: {app: 'web'}}});
  const repaired = await secret(has({app: 'web', theirs: 'x'}, {theirs: 'y'}));
  t.is(repaired.data?.['theirs'], 'eA==');
  await unchanged(t);
});

test.serial(
  'an immutable Secret that would have to change: the Certificate says so, and stays Ready',
  async t => {
    const {name, namespaced, change} = await issued({});
    const now = await site.object(secrets, name, () => true);
    await site.client.update(secrets, {...now, immutable: true}, {signal, fieldManager: 'kubectl'});
    await change({additionalOutputFormats: [{type: 'DER'}]});
    const {status} = await site.certificate(namespaced('web'), says('immutable'));
    t.is(status?.revision, 1);
    t.is(status?.conditions?.find(({type}) => type === 'Ready')?.status, 'True');
  },
);

test.serial(
  'two Certificates with one Secret: the younger is refused and says why, the elder goes on',
  async t => {
    const {namespaced, secret, change, unchanged} = await issued({});
    const before = await secret(() => true);
    const [, elder] = issuerAndCertificate(namespaced('').namespace, {});
    const younger = {...elder, metadata: {...elder.metadata, name: 'younger'}};
    await site.apply(younger);
    const refused = await site.certificate(namespaced('younger'), says('"web"'));
    t.false(isReady(refused));
    t.is(refused.status?.revision, undefined);
    await change({secretTemplate: {labels: {app: 'web'}}});
    const after = await secret(has({app: 'web'}, {}));
    t.is(after.data?.['tls.crt'], before.data?.['tls.crt']);
    await unchanged(t);
  },
);

test.serial(
  'two Certificates with one Secret: the younger is issued once it has a name of its own',
  async t => {
    const {namespaced} = await issued({});
    const {namespace} = namespaced('');
    const [, elder] = issuerAndCertificate(namespace, {});
    const younger = {...elder, metadata: {...elder.metadata, name: 'younger'}};
    await site.apply(younger);
    await site.certificate(namespaced('younger'), says('"web"'));
    await site.apply({...younger, spec: {...younger.spec, secretName: 'younger-tls'}});
    t.is((await site.ready(namespaced('younger'))).status?.revision, 1);
  },
);

/** At the site of this file. */
function issued(
  spec: Partial<CertificateSpec>,
  options: {readonly namespace?: string} = {},
): Promise<IssuedCertificate> {
  return anIssuedCertificate(site, spec, options);
}

function template(
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
) {
  return {labels, annotations};
}

type Wanted = Readonly<Record<string, string | undefined>>;

/** undefined: must not be there. */
function has(labels: Wanted, annotations: Wanted): (secret: SecretObject) => boolean {
  return ({metadata}) =>
    Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value) &&
    Object.entries(annotations).every(([key, value]) => metadata.annotations?.[key] === value);
}

function says(text: string): (certificate: Certificate) => boolean {
  return ({status}) =>
    (status?.conditions ?? []).some(({message}) => message?.includes(text) === true);
}

function password(namespace: string, text: string) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {name: 'store-password', namespace},
    data: {password: Buffer.from(text).toString('base64')},
  };
}
