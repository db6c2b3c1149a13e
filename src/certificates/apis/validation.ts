import {parseIpAddress, parseIpRange} from '../x509/ip-address.ts';
import {parseLiteralSubject} from '../x509/literal-subject.ts';
import {isObjectIdentifier} from '../x509/object-identifier.ts';
import type {CertificateSpec} from './certificate.ts';
import {isOurs, type IssuerReference} from './issuer-reference.ts';
import {isAnnotationKey, isLabelValue, isSubdomain} from './kubernetes-names.ts';
import {GROUP, injectionAnnotations} from './names.ts';
import {durationOf, durationProblems, each, isFilled, quote, refusalOf, when} from './problems.ts';
import {SUBJECT_FIELDS} from './subject-fields.ts';

const HOUR_MS = 3_600_000;
const DURATION_DEFAULT_MS = 2_160 * HOUR_MS;
const COMMON_NAME_LENGTH_MAX = 64; // X.520 ub-common-name

/**
 * Why a Certificate cannot be issued, one sentence each, with what to do; empty when it can.
 *
 * Says again what the API server refuses (certificate-rules.ts, certificate-policy.ts), for objects
 * that came in before those rules, and what CEL cannot tell. Renewal windows are left to the
 * renewal policy: a wrong one must not keep a certificate from being renewed. Nor must a label of the
 * template under our prefix, which cert-manager takes: it is left out of the Secret.
 */
export function certificateProblems(spec: CertificateSpec): readonly string[] {
  return [
    ...when(
      !isSubdomain(spec.secretName),
      `spec.secretName ${quote(spec.secretName)} is no name of a Secret: use lower case letters, digits, "-" and "."`,
    ),
    ...issuerReferenceProblems(spec.issuerRef),
    ...subjectProblems(spec),
    ...nameProblems(spec),
    ...timeProblems(spec),
    ...keyProblems(spec),
    ...constraintProblems(spec),
    ...keystoreProblems(spec),
    ...templateProblems(spec),
  ];
}

/** What is wrong with `spec.issuerRef`, of a Certificate as of a CertificateRequest. */
export function issuerReferenceProblems(reference: IssuerReference): readonly string[] {
  const {name, kind = ''} = reference;
  return [
    ...when(name === '', 'spec.issuerRef.name is empty: name the issuer'),
    ...when(
      isOurs(reference) && !['', 'Issuer', 'ClusterIssuer'].includes(kind),
      `spec.issuerRef.kind is ${quote(kind)}: it must be Issuer or ClusterIssuer, or set group for an issuer of another controller`,
    ),
  ];
}

function subjectProblems(spec: CertificateSpec): readonly string[] {
  const {commonName = '', literalSubject = '', subject} = spec;
  const {dnsNames, ipAddresses, uris, emailAddresses, otherNames} = spec;
  const names = [commonName, literalSubject, dnsNames, ipAddresses, uris, emailAddresses];
  const isLiteral = literalSubject !== '';
  return [
    ...when(
      ![...names, otherNames].some(isFilled),
      'the certificate would have no name: set at least one of commonName, literalSubject, dnsNames, ipAddresses, uris, emailAddresses and otherNames',
    ),
    ...when(
      Array.from(commonName).length > COMMON_NAME_LENGTH_MAX,
      `spec.commonName has more than ${COMMON_NAME_LENGTH_MAX} characters: put longer names into dnsNames`,
    ),
    ...when(
      isLiteral && commonName !== '',
      'spec.literalSubject and spec.commonName exclude each other: leave one out',
    ),
    ...when(
      isLiteral && SUBJECT_FIELDS.some(field => isFilled(subject?.[field])),
      'spec.literalSubject and spec.subject exclude each other: leave one out',
    ),
    ...(isLiteral
      ? refusalOf('spec.literalSubject', () => parseLiteralSubject(literalSubject))
      : []),
  ];
}

function nameProblems(spec: CertificateSpec): readonly string[] {
  const {dnsNames, ipAddresses, uris, emailAddresses, otherNames = []} = spec;
  const keys = otherNames.map(({oid, utf8Value}) => JSON.stringify([oid, utf8Value]));
  return [
    ...each('spec.dnsNames', dnsNames, {
      holds: name => /^[\x00-\x7f]*$/.test(name), // eslint-disable-line no-control-regex -- ASCII
      expected: 'in ASCII: write international names in Punycode (xn--...)',
    }),
    ...each('spec.ipAddresses', ipAddresses, {
      holds: name => parseIpAddress(name) !== undefined,
      expected: 'an IP address, e.g. 192.0.2.1 or 2001:db8::1',
    }),
    ...each('spec.emailAddresses', emailAddresses, {
      holds: name => /^[!-;=?A-~]+@[!-;=?A-~]+$/.test(name),
      expected: 'an address alone, in ASCII, e.g. jane@example.com',
    }),
    ...each('spec.uris', uris, {
      holds: name => /^(?:[!-$&-~]|%[0-9A-Fa-f]{2})+$/.test(name),
      expected: 'a URI in ASCII, with other characters percent-encoded',
    }),
    ...each(
      'spec.otherNames',
      otherNames.map(({oid}) => oid ?? ''),
      {
        holds: isObjectIdentifier,
        expected: 'an object identifier, e.g. 1.3.6.1.4.1.311.20.2.3',
      },
    ),
    ...when(
      otherNames.some(({utf8Value}) => !isFilled(utf8Value)),
      'spec.otherNames has an entry without utf8Value: set it, or leave the entry out',
    ),
    ...when(
      new Set(keys).size < keys.length,
      'spec.otherNames has the same name twice: leave one out',
    ),
  ];
}

function timeProblems(spec: CertificateSpec): readonly string[] {
  const {renewBeforePercentage: percentage, revisionHistoryLimit = 1, renewal} = spec;
  const durationMs = durationOf(spec.duration ?? `${DURATION_DEFAULT_MS}ms`);
  const renewBeforeMs = durationOf(spec.renewBefore);
  const minute = 60_000;
  return [
    ...durationProblems('spec.duration', spec.duration, {shortestMs: HOUR_MS, shortest: '1h'}),
    ...durationProblems('spec.renewBefore', spec.renewBefore, {
      shortestMs: 5 * minute,
      shortest: '5m',
    }),
    ...when(
      durationMs !== undefined && renewBeforeMs !== undefined && renewBeforeMs >= durationMs,
      'spec.renewBefore must be shorter than spec.duration (2160h when it is not set)',
    ),
    ...when(
      spec.renewBefore !== undefined && percentage !== undefined,
      'spec.renewBefore and spec.renewBeforePercentage exclude each other: leave one out',
    ),
    ...when(
      percentage !== undefined && (percentage <= 0 || percentage >= 100),
      'spec.renewBeforePercentage must be between 1 and 99',
    ),
    ...when(
      renewal?.policy === 'Disabled' && isFilled(renewal.windows),
      'spec.renewal has windows, which have no meaning when its policy is Disabled: leave them out',
    ),
    ...when(revisionHistoryLimit < 1, 'spec.revisionHistoryLimit must be at least 1'),
  ];
}

function keyProblems({privateKey, signatureAlgorithm}: CertificateSpec): readonly string[] {
  const algorithm = privateKey?.algorithm ?? 'RSA';
  const size = privateKey?.size ?? 0;
  const sizes = {
    RSA: {fits: size >= 2_048 && size <= 8_192, expected: '2048 to 8192'},
    ECDSA: {fits: [256, 384, 521].includes(size), expected: '256, 384 or 521'},
    Ed25519: {fits: true, expected: 'left out'},
  }[algorithm];
  const suits = {RSA: /WithRSA$/, ECDSA: /^ECDSAWith/, Ed25519: /^PureEd25519$/}[algorithm];
  return [
    ...when(
      size !== 0 && !sizes.fits,
      `spec.privateKey.size is ${size}: for ${algorithm} it must be ${sizes.expected}`,
    ),
    ...when(
      signatureAlgorithm !== undefined && !suits.test(signatureAlgorithm),
      `spec.signatureAlgorithm ${signatureAlgorithm ?? ''} does not suit a key of ${algorithm}: set spec.privateKey.algorithm, or leave it out`,
    ),
  ];
}

function constraintProblems({isCA = false, nameConstraints}: CertificateSpec): readonly string[] {
  if (nameConstraints === undefined) return [];
  const sets = [nameConstraints.permitted, nameConstraints.excluded];
  const ranges = sets.flatMap(set => set?.ipRanges ?? []);
  return [
    ...when(!isCA, 'spec.nameConstraints are for CAs: set isCA to true, or leave them out'),
    ...when(
      !sets.flatMap(set => Object.values(set ?? {})).some(isFilled),
      'spec.nameConstraints is empty: set at least one list of permitted or excluded names',
    ),
    ...each('spec.nameConstraints', ranges, {
      holds: range => parseIpRange(range) !== undefined,
      expected: 'a CIDR, e.g. 10.0.0.0/8',
    }),
  ];
}

function keystoreProblems({
  keystores,
  additionalOutputFormats = [],
}: CertificateSpec): readonly string[] {
  const formats = additionalOutputFormats.map(({type}) => type);
  return [
    ...(['jks', 'pkcs12'] as const).flatMap(kind => {
      const keystore = keystores?.[kind];
      if (keystore === undefined) return [];
      const hasPassword = isFilled(keystore.password);
      const hasReference = isFilled(keystore.passwordSecretRef?.name);
      const field = `spec.keystores.${kind}`;
      return [
        ...when(
          hasPassword && hasReference,
          `${field}: password and passwordSecretRef exclude each other: leave one out`,
        ),
        ...when(
          keystore.create && !hasPassword && !hasReference,
          `${field} has no password: set passwordSecretRef, or password`,
        ),
      ];
    }),
    ...when(
      new Set(formats).size < formats.length,
      'spec.additionalOutputFormats has the same format twice: leave one out',
    ),
  ];
}

function templateProblems({secretTemplate}: CertificateSpec): readonly string[] {
  const annotations = Object.keys(secretTemplate?.annotations ?? {});
  const labels = Object.keys(secretTemplate?.labels ?? {});
  const isOwn = (key: string): boolean => key.startsWith(`${GROUP}/`);
  const allowed = injectionAnnotations.allowDirectInjection;
  return [
    ...each('spec.secretTemplate.annotations', annotations, {
      holds: key => !isOwn(key) || key === allowed,
      expected: `a key outside ${GROUP}/: those belong to the controller`,
    }),
    ...each('spec.secretTemplate', [...annotations, ...labels], {
      holds: isAnnotationKey,
      expected: 'a key of Kubernetes, e.g. example.com/owner',
    }),
    ...each('spec.secretTemplate.labels', Object.values(secretTemplate?.labels ?? {}), {
      holds: isLabelValue,
      expected: 'a value of a label: at most 63 letters, digits, "-", "_" and "."',
    }),
  ];
}
