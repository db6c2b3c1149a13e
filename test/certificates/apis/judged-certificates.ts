import type {CertificateSpec} from '#certificates/apis/certificate';
import type {Accepted, Refused} from './judged.ts';

const certificate: CertificateSpec = {
  secretName: 'web-tls',
  issuerRef: {name: 'ca'},
  dnsNames: ['example.com'],
};

export const acceptedCertificates: readonly Accepted<CertificateSpec>[] = [
  accepted('a name and nothing else', {}),
  accepted('a common name of 64 characters', {commonName: 'ü'.repeat(64)}),
  accepted('an issuer of another controller', {
    issuerRef: {name: 'a', kind: 'Any', group: 'a.example'},
  }),
  accepted('an issuer whose kind and group are empty', {
    issuerRef: {name: 'a', kind: '', group: ''},
  }),
  accepted('a literal subject beside an empty one', {literalSubject: 'CN=a,O=b', subject: {}}),
  accepted('durations as Go writes them', {duration: '1h0m0s', renewBefore: '59m30.5s'}),
  accepted('a percentage', {renewBeforePercentage: 99}),
  accepted('a size of nothing', {privateKey: {size: 0, algorithm: 'ECDSA'}}),
  accepted('any size for Ed25519', {privateKey: {algorithm: 'Ed25519', size: 1}}),
  accepted('a signature that suits', {
    privateKey: {algorithm: 'ECDSA'},
    signatureAlgorithm: 'ECDSAWithSHA384',
  }),
  accepted('the signature of an RSA key', {signatureAlgorithm: 'SHA512WithRSA'}),
  accepted('keystores that are not made', {
    keystores: {jks: {create: false}, pkcs12: {create: false}},
  }),
  accepted('a literal password', {
    keystores: {jks: {create: true, password: 'changeit', passwordSecretRef: {name: ''}}},
  }),
  accepted('a password in a Secret', {
    keystores: {pkcs12: {create: true, passwordSecretRef: {name: 'a', key: 'b'}}},
  }),
  accepted('both formats', {additionalOutputFormats: [{type: 'DER'}, {type: 'CombinedPEM'}]}),
  accepted('constraints of a CA', {
    isCA: true,
    nameConstraints: {permitted: {ipRanges: ['10.1.2.3/8', 'fd00::/8']}},
  }),
  accepted('addresses of each form', {
    ipAddresses: ['192.0.2.1', '2001:DB8::1', '::ffff:192.0.2.1', '::FFFF:c000:201'],
  }),
  accepted('addresses of people', {emailAddresses: ["o'hara+tag@mail.example.com"]}),
  accepted('URIs of any scheme', {uris: ['spiffe://example.com/a%20b', 'urn:uuid:1', 'a/b']}),
  accepted('another name', {
    otherNames: [{oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'jane@example.com'}],
  }),
  accepted('a wildcard and an underscore', {dnsNames: ['*.example.com', '_sip._tcp.example.com']}),
  accepted('a thousand names', {
    dnsNames: Array.from({length: 1_000}, (_, i) => `host-${i}.example.com`),
  }),
  accepted('a template', {
    secretTemplate: {
      labels: {a: 'b', 'example.com/c': ''},
      annotations: {'cert-manager.io/allow-direct-injection': 'true'},
    },
  }),
  accepted('windows of renewal', {
    renewal: {
      policy: 'RenewBefore',
      windows: [{cron: '0 2 * * 6', timezone: 'Europe/Berlin', windowDuration: '4h'}],
    },
  }),
  accepted('many windows, with schedules of every form', {
    renewal: {windows: [...windows(25, ' */5 ?  1,15 JAN-mar * '), ...windows(25, '@daily')]},
  }),
  accepted('no renewal', {renewal: {policy: 'Disabled'}}),
];

export const refusedCertificates: readonly Refused<CertificateSpec>[] = [
  refused('no name at all', {dnsNames: []}, 'at least one of'),
  refused('a Secret name with capitals', {secretName: 'Web'}, 'spec.secretName'),
  refused('an empty Secret name', {secretName: ''}, 'spec.secretName'),
  refused('a Secret name that is too long', {secretName: 'a'.repeat(254)}, 'spec.secretName'),
  refused('an issuer without a name', {issuerRef: {name: ''}}, 'spec.issuerRef.name'),
  refused(
    'an unknown kind of our own',
    {issuerRef: {name: 'a', kind: 'Any'}},
    'spec.issuerRef.kind',
  ),
  refused('a common name of 65 characters', {commonName: 'a'.repeat(65)}, 'spec.commonName'),
  refused(
    'a literal subject and a common name',
    {literalSubject: 'CN=a', commonName: 'a'},
    'commonName',
  ),
  refused(
    'a literal subject and a subject',
    {literalSubject: 'CN=a', subject: {countries: ['DE']}},
    'subject',
  ),
  refused(
    'a literal subject that is none',
    {literalSubject: 'CN'},
    'spec.literalSubject',
    'onlyHere',
  ),
  refused('a short duration', {duration: '59m59s'}, 'spec.duration'),
  refused('a negative duration', {duration: '-2h'}, 'spec.duration'),
  refused('a duration in days', {duration: '90d'}, 'spec.duration'),
  refused('a duration of 400 years', {duration: '3506400h'}, 'spec.duration'),
  refused('a late renewal', {renewBefore: '4m59s'}, 'spec.renewBefore'),
  refused(
    'a renewal as long as the duration',
    {duration: '2h', renewBefore: '120m'},
    'spec.renewBefore',
  ),
  refused('a renewal longer than the default', {renewBefore: '2161h'}, 'spec.renewBefore'),
  refused(
    'two times of renewal',
    {renewBefore: '1h', renewBeforePercentage: 20},
    'renewBeforePercentage',
  ),
  refused('a percentage of 0', {renewBeforePercentage: 0}, 'spec.renewBeforePercentage'),
  refused('a percentage of 100', {renewBeforePercentage: 100}, 'spec.renewBeforePercentage'),
  refused('no history', {revisionHistoryLimit: 0}, 'spec.revisionHistoryLimit'),
  refused(
    'windows without renewal',
    {renewal: {policy: 'Disabled', windows: [{cron: '0 2 * * 6', windowDuration: '4h'}]}},
    'spec.renewal',
  ),
  refused('a small RSA key', {privateKey: {size: 1_024}}, 'spec.privateKey'),
  refused('a huge RSA key', {privateKey: {algorithm: 'RSA', size: 16_384}}, 'spec.privateKey'),
  refused('an unknown curve', {privateKey: {algorithm: 'ECDSA', size: 224}}, 'spec.privateKey'),
  refused(
    'an RSA signature of an ECDSA key',
    {privateKey: {algorithm: 'ECDSA'}, signatureAlgorithm: 'SHA256WithRSA'},
    'spec.signatureAlgorithm',
  ),
  refused(
    'an Ed25519 signature of an RSA key',
    {signatureAlgorithm: 'PureEd25519'},
    'spec.signatureAlgorithm',
  ),
  refused(
    'a keystore with two passwords',
    {keystores: {jks: {create: true, password: 'a', passwordSecretRef: {name: 'b'}}}},
    'spec.keystores.jks',
  ),
  refused(
    'a keystore without password',
    {keystores: {pkcs12: {create: true}}},
    'spec.keystores.pkcs12',
  ),
  refused(
    'a format twice',
    {additionalOutputFormats: [{type: 'DER'}, {type: 'DER'}]},
    'spec.additionalOutputFormats',
  ),
  refused(
    'constraints of no CA',
    {nameConstraints: {permitted: {dnsDomains: ['a']}}},
    'spec.nameConstraints',
  ),
  refused(
    'empty constraints',
    {isCA: true, nameConstraints: {critical: true, permitted: {dnsDomains: []}}},
    'spec.nameConstraints',
  ),
  refused(
    'a range that is none',
    {isCA: true, nameConstraints: {excluded: {ipRanges: ['10.0.0.0']}}},
    'spec.nameConstraints',
  ),
  refused('an address that is none', {ipAddresses: ['192.0.2.1', '192.0.2.256']}, '192.0.2.256'),
  refused(
    'an address with a name',
    {emailAddresses: ['Jane <jane@example.com>']},
    'spec.emailAddresses',
  ),
  refused(
    'an address with an umlaut',
    {emailAddresses: ['jäne@example.com']},
    'spec.emailAddresses',
  ),
  refused('a host with an umlaut', {dnsNames: ['bücher.example']}, 'spec.dnsNames'),
  refused('a URI with half an escape', {uris: ['http://example.com/%2']}, 'spec.uris'),
  refused('a URI with an umlaut', {uris: ['http://example.com/ü']}, 'spec.uris', 'onlyHere'),
  refused('another name without value', {otherNames: [{oid: '1.2.3'}]}, 'spec.otherNames'),
  refused(
    'another name of an impossible kind',
    {otherNames: [{oid: '3.1', utf8Value: 'a'}]},
    'spec.otherNames',
  ),
  refused(
    'another name twice',
    {
      otherNames: [
        {oid: '1.2.3', utf8Value: 'a'},
        {oid: '1.2.3', utf8Value: 'a'},
      ],
    },
    'spec.otherNames',
  ),
  refused(
    'an annotation of the controller',
    {secretTemplate: {annotations: {'cert-manager.io/issuer-name': 'a'}}},
    'spec.secretTemplate.annotations',
  ),
  refused(
    'a label of the controller',
    {secretTemplate: {labels: {'cert-manager.io/next-private-key': 'true'}}},
    'spec.secretTemplate.labels',
    'onlyThere',
  ),
  refused(
    'more windows than are searched',
    {renewal: {windows: windows(51, '0 2 * * 6')}},
    'spec.renewal',
    'onlyThere',
  ),
  ...['0 2 * * 6 *', '0 0 31 2 +0-6', '0 0 * * 1#5', '@reboot'].map(cron =>
    refused(
      `a schedule of another dialect: ${cron}`,
      {renewal: {windows: windows(1, cron)}},
      'spec.renewal.windows',
      'onlyThere',
    ),
  ),
  refused(
    'a label that Kubernetes refuses',
    {secretTemplate: {labels: {a: 'b c'}}},
    'spec.secretTemplate',
    'onlyHere',
  ),
];

function windows(count: number, cron: string) {
  return Array.from({length: count}, () => ({cron, windowDuration: '1h'}));
}

function accepted(title: string, changes: Partial<CertificateSpec>): Accepted<CertificateSpec> {
  return {title, spec: {...certificate, ...changes}};
}

function refused(
  title: string,
  changes: Partial<CertificateSpec>,
  says: string,
  only?: 'onlyHere' | 'onlyThere',
): Refused<CertificateSpec> {
  return {title, spec: {...certificate, ...changes}, says, ...(only && {[only]: true})};
}
