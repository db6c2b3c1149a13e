import test from 'ava';
import {Secret} from '#shared/secret';
import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import type {SecretObject} from '#certificates/apis/resources';
import {secretToApply} from '#certificates/controllers/certificates/secret-contents';
import {secretFacts} from '#certificates/controllers/certificates/secret-facts';
import {postIssuanceViolation} from '#certificates/policies/post-issuance';
import {isTemplateAnnotation, isTemplateLabel} from '#certificates/policies/secret-template';
import {aChain} from '#test/certificates/a-chain';
import {applied, managedEntry} from '#test/certificates/a-target-secret';

type Spec = Partial<CertificateSpec>;
type Change = (secret: SecretObject) => SecretObject;

const everything: Spec = {
  secretTemplate: {
    labels: {app: 'web'},
    annotations: {note: 'v'.repeat(1_000), 'cert-manager.io/allow-direct-injection': 'true'},
  },
  additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}],
  keystores: {jks: {create: true}, pkcs12: {create: true}},
};

test('postIssuanceViolation() finds nothing in a Secret as it was applied', async t => {
  for (const spec of [{}, everything]) {
    for (const ownerReference of [false, true]) {
      t.is(await violation({spec, ownerReference}), undefined);
    }
  }
});

const finds = test.macro(
  async (t, {reason, ...input}: Parameters<typeof violation>[0] & {readonly reason: string}) => {
    const found = await violation(input);
    t.is(found?.reason, reason, found?.message);
    t.true(found?.message.startsWith('Updating Secret because '));
  },
);
const metadata = 'SecretManagedMetadataMismatch';
const template = 'SecretTemplateMismatch';
const formats = 'AdditionalOutputFormatsMismatch';
const owner = 'SecretOwnerRefMismatch';
const keystores = 'SecretMismatch';

test('a changed value of our label is found', finds, {
  reason: metadata,
  change: withLabel('controller.cert-manager.io/fao', 'false'),
});
test('a removed label of ours is found', finds, {
  reason: metadata,
  change: notHeld('f:labels', 'controller.cert-manager.io/fao'),
});
test('a changed description of the certificate is found', finds, {
  reason: metadata,
  change: withAnnotation('cert-manager.io/common-name', 'lie.example.com'),
});
test('a removed description of the certificate is found', finds, {
  reason: metadata,
  change: notHeld('f:annotations', 'cert-manager.io/alt-names'),
});
test('a description that the certificate does not bear out is found', finds, {
  reason: metadata,
  change: held('f:annotations', 'cert-manager.io/email-sans'),
});
test('a label of ours that does not belong there is found', finds, {
  reason: metadata,
  change: held('f:labels', 'cert-manager.io/next-private-key'),
});

test('a new label of the template is found', finds, {
  reason: template,
  wanted: {secretTemplate: {labels: {app: 'web'}}},
});
test('a new annotation of the template is found', finds, {
  reason: template,
  wanted: {secretTemplate: {annotations: {note: 'x'}}},
});
test('a changed value of the template is found', finds, {
  reason: template,
  spec: {secretTemplate: {labels: {app: 'web'}}},
  wanted: {secretTemplate: {labels: {app: 'shop'}}},
});
test('a value of the template that somebody changed is found', finds, {
  reason: template,
  spec: everything,
  change: withAnnotation('note', 'y'.repeat(1_000)),
});
test('a label that left the template is found', finds, {
  reason: template,
  spec: {secretTemplate: {labels: {app: 'web', tier: 'front'}}},
  wanted: {secretTemplate: {labels: {app: 'web'}}},
});
test('the annotation of ours that a template may set is found when it left', finds, {
  reason: template,
  spec: everything,
  wanted: {
    ...everything,
    secretTemplate: {labels: {app: 'web'}, annotations: {note: 'v'.repeat(1_000)}},
  },
});
test('an annotation is found when the whole template left', finds, {
  reason: template,
  spec: {secretTemplate: {annotations: {note: 'x'}}},
  wanted: {},
});
test('a value of the template that somebody else holds is found', finds, {
  reason: template,
  spec: {secretTemplate: {labels: {app: 'web'}}},
  change: notHeld('f:labels', 'app'),
});

test('a format that is missing is found', finds, {
  reason: formats,
  wanted: {additionalOutputFormats: [{type: 'DER'}]},
});
test('a format that is not asked for any more is found', finds, {
  reason: formats,
  spec: everything,
  wanted: {...everything, additionalOutputFormats: [{type: 'CombinedPEM'}]},
});
test('a format that does not agree with the pair is found', finds, {
  reason: formats,
  spec: everything,
  change: withData('tls-combined.pem', 'x'),
});
test('a format that somebody else wrote is found', finds, {
  reason: formats,
  spec: everything,
  change: notHeld('f:data', 'key.der'),
});

test('an owner is found missing when owners are switched on', finds, {
  reason: owner,
  ownerReference: false,
  wantsOwner: true,
});
test('an owner is found when owners are switched off', finds, {
  reason: owner,
  ownerReference: true,
  wantsOwner: false,
});
test('an owner that does not control is found', finds, {
  reason: owner,
  ownerReference: true,
  wantsOwner: true,
  change: secret => {
    const [first] = secret.metadata['ownerReferences'] as readonly object[];
    const ownerReferences = [{...first, controller: false}];
    return {...secret, metadata: {...secret.metadata, ownerReferences}};
  },
});

test('a keystore that is missing is found', finds, {
  reason: keystores,
  wanted: {keystores: {jks: {create: true}}},
});
test('a truststore that is missing is found', finds, {
  reason: keystores,
  spec: everything,
  change: withoutData('truststore.p12'),
});
test('a keystore that is not asked for any more is found', finds, {
  reason: keystores,
  spec: everything,
  wanted: {...everything, keystores: {jks: {create: true}, pkcs12: {create: false}}},
});

const passes = test.macro(async (t, input: Parameters<typeof violation>[0]) => {
  t.is(await violation(input), undefined);
});
test('labels and annotations of others are left alone', passes, {
  change: secret => withLabel('team', 'x')(withAnnotation('example.com/note', 'x')(secret)),
});
test('annotations that tell of the issuance are not compared here', passes, {
  change: secret => withAnnotation('cert-manager.io/issuer-name', 'other')(notHeld('f:annotations', 'cert-manager.io/issuer-kind')(secret)), // prettier-ignore
});
test("an owner that somebody else set is nobody's business", passes, {
  ownerReference: false,
  change: secret => ({
    ...secret,
    metadata: {
      ...secret.metadata,
      ownerReferences: [{apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'p'}],
    },
  }),
});
test('a keystore of somebody else is not ours to remove', passes, {
  change: withData('keystore.jks', 'theirs'),
});
test('a missing truststore is right where the issuer tells no CA', passes, {
  spec: everything,
  withCa: false,
});
test('keys of the template that we refuse are not asked for', passes, {
  wanted: {
    secretTemplate: {
      annotations: {'cert-manager.io/common-name': 'lie'},
      labels: {'cert-manager.io/x': 'y', 'cert-manager.io/allow-direct-injection': 'true'},
    },
  },
});
test('nothing is said of a Secret without a good pair: it is issued again', passes, {
  wanted: everything,
  change: withData('tls.key', 'x'),
});
test('nothing is said of a Secret whose managed fields cannot be read', passes, {
  wanted: everything,
  change: secret => ({...secret, metadata: {...secret.metadata, managedFields: 'x'}}),
});

test('a template sets no key under our prefixes, the annotation for direct injection apart', t => {
  for (const isAllowed of [isTemplateAnnotation, isTemplateLabel]) {
    t.true(isAllowed('app'));
    t.true(isAllowed('acme.example.com/x'));
    t.false(isAllowed('cert-manager.io/x'));
    t.false(isAllowed('controller.cert-manager.io/fao'));
  }
  t.true(isTemplateAnnotation('cert-manager.io/allow-direct-injection'));
  t.false(isTemplateLabel('cert-manager.io/allow-direct-injection'));
});

interface Case {
  /** What the Secret was written for. */
  readonly spec?: Spec;
  /** What is asked for now; the same unless given. */
  readonly wanted?: Spec;
  readonly ownerReference?: boolean;
  readonly wantsOwner?: boolean;
  readonly withCa?: boolean;
  /** What somebody did to the Secret. */
  readonly change?: Change;
}

async function violation({
  spec = {},
  wanted = spec,
  ownerReference = false,
  wantsOwner = ownerReference,
  withCa = true,
  change = secret => secret,
}: Case) {
  const {key, chainPem, caPem} = await chain;
  const password = new Secret('changeit');
  const written = secretToApply({
    certificate: aCertificate(spec),
    key,
    chainPem,
    caPem: withCa ? caPem : undefined,
    keystorePasswords: {jks: password, pkcs12: password},
    ownerReference,
  });
  const secret = secretFacts(change(applied(written)));
  return postIssuanceViolation({
    certificate: aCertificate(wanted),
    secret,
    ownerReference: wantsOwner,
  });
}

const chain = aChain();

function aCertificate(spec: Spec): Certificate {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name: 'web', namespace: 'shop', uid: 'certificate-uid'},
    spec: {secretName: 'web-tls', issuerRef: {name: 'ca'}, ...spec},
  };
}

function withLabel(key: string, value: string): Change {
  return secret => ({
    ...secret,
    metadata: {...secret.metadata, labels: {...secret.metadata.labels, [key]: value}},
  });
}

function withAnnotation(key: string, value: string): Change {
  return secret => ({
    ...secret,
    metadata: {...secret.metadata, annotations: {...secret.metadata.annotations, [key]: value}},
  });
}

function withData(key: string, value: string): Change {
  const encoded = Buffer.from(value).toString('base64');
  return secret => ({...secret, data: {...secret.data, [key]: encoded}});
}

function withoutData(key: string): Change {
  return ({data = {}, ...secret}) => ({
    ...secret,
    data: Object.fromEntries(Object.entries(data).filter(([name]) => name !== key)),
  });
}

type Part = 'f:labels' | 'f:annotations' | 'f:data';

/** As if somebody else had taken the field, or removed it. */
function notHeld(part: Part, key: string): Change {
  return secret => withFields(secret, part, ({[`f:${key}`]: _, ...rest}) => rest);
}

/** As if an older version of ours had written it. */
function held(part: Part, key: string): Change {
  return secret => withFields(secret, part, fields => ({...fields, [`f:${key}`]: {}}));
}

type Fields = Readonly<Record<string, unknown>>;

function withFields(
  secret: SecretObject,
  part: Part,
  change: (fields: Fields) => Fields,
): SecretObject {
  const entry = managedEntry(secret);
  const all = entry['fieldsV1'] as Readonly<Record<string, Fields>>;
  const inMetadata = all['f:metadata'] as Readonly<Record<string, Fields>>;
  const fieldsV1 =
    part === 'f:data'
      ? {...all, [part]: change(all[part] ?? {})}
      : {...all, 'f:metadata': {...inMetadata, [part]: change(inMetadata[part] ?? {})}};
  return {...secret, metadata: {...secret.metadata, managedFields: [{...entry, fieldsV1}]}};
}
