import {AsnConvert, OctetString} from '@peculiar/asn1-schema';
import {
  AccessDescription,
  AuthorityInfoAccessSyntax,
  AuthorityKeyIdentifier,
  BasicConstraints,
  CRLDistributionPoints,
  DistributionPoint,
  DistributionPointName,
  ExtendedKeyUsage,
  Extension,
  GeneralName as SchemaGeneralName,
  KeyIdentifier,
  KeyUsage,
  SubjectKeyIdentifier,
} from '@peculiar/asn1-x509';
import {derInvalid, DerReader, derTags, readOne, readSequence} from './der.ts';
import {readBoolean, readNamedBits, readObjectIdentifier, readSmallInteger} from './der-values.ts';
import {keyUsageFlags, keyUsagesOfBits, usageBits, usageWords} from './extensions.ts';
import {
  decodeGeneralNames,
  encodeGeneralNames,
  type GeneralName,
  schemaGeneralName,
} from './general-names.ts';
import {
  decodeNameConstraints,
  encodeNameConstraints,
  type NameConstraints,
} from './name-constraints.ts';

const oids = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
} as const;

const OCSP_OID = '1.3.6.1.5.5.7.48.1';
const CA_ISSUERS_OID = '1.3.6.1.5.5.7.48.2';
const EXTENSIONS_MAX = 100;
const PURPOSES_MAX = 100;

/** What a request asks for, and a certificate says, beside subject, key and times. */
export interface ExtensionFields {
  readonly names: readonly GeneralName[];
  /** Words; undefined leaves both usage extensions out. */
  readonly usages?: readonly string[] | undefined;
  /** Undefined leaves basicConstraints out. */
  readonly isCa?: boolean | undefined;
  readonly nameConstraints?: NameConstraints | undefined;
  /** What only a certificate has. */
  readonly subjectKeyId?: Buffer | undefined;
  readonly authorityKeyId?: Buffer | undefined;
  readonly crlDistributionPoints?: readonly string[] | undefined;
  readonly ocspServers?: readonly string[] | undefined;
  readonly issuingCertificateUrls?: readonly string[] | undefined;
}

/** @param isSubjectEmpty then the other names carry the identity alone, and are critical */
export function schemaExtensions(fields: ExtensionFields, isSubjectEmpty: boolean): Extension[] {
  return [
    ...usageExtensions(fields.usages),
    ...(fields.isCa === undefined ? [] : [basicConstraints(fields.isCa)]),
    ...keyIdExtensions(fields),
    ...accessExtensions(fields),
    ...(fields.names.length === 0
      ? []
      : [raw(oids.subjectAltName, isSubjectEmpty, encodeGeneralNames(fields.names))]),
    ...(fields.nameConstraints
      ? [
          raw(
            oids.nameConstraints,
            fields.nameConstraints.critical === true,
            encodeNameConstraints(fields.nameConstraints),
          ),
        ]
      : []),
    ...crlExtensions(fields.crlDistributionPoints ?? []),
  ];
}

function usageExtensions(usages: readonly string[] = []): readonly Extension[] {
  const {keyUsages, extendedKeyUsages} = usageBits(usages);
  return [
    ...(keyUsages.length > 0
      ? [of(oids.keyUsage, true, new KeyUsage(keyUsageFlags(keyUsages)))]
      : []),
    ...(extendedKeyUsages.length > 0
      ? [of(oids.extendedKeyUsage, false, new ExtendedKeyUsage([...extendedKeyUsages]))]
      : []),
  ];
}

function basicConstraints(isCa: boolean): Extension {
  return of(oids.basicConstraints, true, new BasicConstraints({cA: isCa}));
}

function keyIdExtensions({subjectKeyId, authorityKeyId}: ExtensionFields): readonly Extension[] {
  return [
    ...(subjectKeyId
      ? [of(oids.subjectKeyIdentifier, false, new SubjectKeyIdentifier(subjectKeyId))]
      : []),
    ...(authorityKeyId
      ? [
          of(
            oids.authorityKeyIdentifier,
            false,
            new AuthorityKeyIdentifier({keyIdentifier: new KeyIdentifier(authorityKeyId)}),
          ),
        ]
      : []),
  ];
}

function accessExtensions({
  ocspServers = [],
  issuingCertificateUrls = [],
}: ExtensionFields): readonly Extension[] {
  const description = (accessMethod: string) => (value: string) =>
    new AccessDescription({accessMethod, accessLocation: schemaUri(value)});
  const descriptions = [
    ...ocspServers.map(description(OCSP_OID)),
    ...issuingCertificateUrls.map(description(CA_ISSUERS_OID)),
  ];
  if (descriptions.length === 0) return [];
  return [of(oids.authorityInfoAccess, false, new AuthorityInfoAccessSyntax(descriptions))];
}

/** One distribution point for each URL, as Go's x509 writes them. */
function crlExtensions(urls: readonly string[]): readonly Extension[] {
  if (urls.length === 0) return [];
  const points = urls.map(
    url =>
      new DistributionPoint({
        distributionPoint: new DistributionPointName({fullName: [schemaUri(url)]}),
      }),
  );
  return [of(oids.crlDistributionPoints, false, new CRLDistributionPoints(points))];
}

function schemaUri(value: string): SchemaGeneralName {
  return schemaGeneralName({kind: 'uri', value});
}

function of(extnID: string, critical: boolean, content: object): Extension {
  return raw(extnID, critical, Buffer.from(AsnConvert.serialize(content)));
}

function raw(extnID: string, critical: boolean, content: Buffer): Extension {
  return new Extension({extnID, critical, extnValue: new OctetString(content)});
}

/** What was read, with what only reading finds. */
export interface ReadExtensions extends ExtensionFields {
  readonly pathLength?: number;
}

interface Found {
  readonly critical: boolean;
  readonly content: Buffer;
}

/**
 * Reads a list of extensions (RFC 5280 §4.2); those that issuing does not need are passed over.
 *
 * @throws CodedError `ERR_DER_INVALID`, also when one comes twice
 */
export function decodeExtensions(der: Buffer, what: string): ReadExtensions {
  const found = new Map<string, Found>();
  for (const element of readSequence(der, what).rest(derTags.sequence, EXTENSIONS_MAX)) {
    const reader = new DerReader(element.content, what);
    const oid = readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
    const critical = reader.optional(derTags.boolean);
    const content = reader.next(derTags.octetString).content;
    reader.end();
    if (found.has(oid)) throw derInvalid(what, `have ${oid} twice`);
    found.set(oid, {critical: critical !== undefined && readBoolean(critical, what), content});
  }
  const constraints = found.get(oids.nameConstraints);
  return {
    names: readNames(found.get(oids.subjectAltName)),
    usages: readUsages(found.get(oids.keyUsage), found.get(oids.extendedKeyUsage)),
    ...readBasicConstraints(found.get(oids.basicConstraints)),
    ...readKeyIds(found.get(oids.subjectKeyIdentifier), found.get(oids.authorityKeyIdentifier)),
    ...(constraints && {
      nameConstraints: decodeNameConstraints(constraints.content, constraints.critical),
    }),
  };
}

function readNames(found: Found | undefined): readonly GeneralName[] {
  return found ? decodeGeneralNames(found.content, 'the subject alternative names') : [];
}

function readUsages(
  keyUsage: Found | undefined,
  extended: Found | undefined,
): readonly string[] | undefined {
  if (!keyUsage && !extended) return undefined;
  const [usageWhat, extendedWhat] = ['the key usage', 'the extended key usage'];
  const bits = keyUsage
    ? readNamedBits(readOne(keyUsage.content, derTags.bitString, usageWhat), usageWhat)
    : [];
  const purposes = extended
    ? readSequence(extended.content, extendedWhat).rest(derTags.objectIdentifier, PURPOSES_MAX)
    : [];
  return usageWords({
    keyUsages: keyUsagesOfBits(bits),
    extendedKeyUsages: purposes.map(purpose => readObjectIdentifier(purpose, extendedWhat)),
  });
}

function readBasicConstraints(found: Found | undefined): {
  readonly isCa?: boolean;
  readonly pathLength?: number;
} {
  if (!found) return {};
  const what = 'the basic constraints';
  const reader = readSequence(found.content, what);
  const isCa = reader.optional(derTags.boolean);
  const pathLength = reader.optional(derTags.integer);
  reader.end();
  return {
    isCa: isCa !== undefined && readBoolean(isCa, what),
    ...(pathLength && {pathLength: readSmallInteger(pathLength, what)}),
  };
}

function readKeyIds(
  subject: Found | undefined,
  authority: Found | undefined,
): {readonly subjectKeyId?: Buffer; readonly authorityKeyId?: Buffer} {
  const [subjectWhat, authorityWhat] = ['the subject key id', 'the authority key id'];
  const authorityKeyId = authority
    ? readSequence(authority.content, authorityWhat).optional(0x80)?.content
    : undefined;
  return {
    ...(subject && {
      subjectKeyId: readOne(subject.content, derTags.octetString, subjectWhat).content,
    }),
    ...(authorityKeyId && {authorityKeyId}),
  };
}
