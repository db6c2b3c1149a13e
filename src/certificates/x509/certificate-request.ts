import {AsnConvert} from '@peculiar/asn1-schema';
import {Attributes, CertificationRequest, CertificationRequestInfo} from '@peculiar/asn1-csr';
import {Attribute, Extensions, SubjectPublicKeyInfo} from '@peculiar/asn1-x509';
import type {KeyObject} from 'node:crypto';
import {CodedError, isCoded} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {type DerElement, derInvalid, DerReader, derTags, readSequence} from './der.ts';
import {readBitOctets, readObjectIdentifier, readSmallInteger} from './der-values.ts';
import type {DistinguishedName} from './distinguished-name.ts';
import {decodeExtensions, type ReadExtensions, schemaExtensions} from './extension-list.ts';
import type {GeneralName} from './general-names.ts';
import {decodeName, schemaName} from './name-encoding.ts';
import type {NameConstraints} from './name-constraints.ts';
import {decodePem, encodePem, pemLimits} from './pem.ts';
import {digestOfPublicKeyInfo, encodePublicKey, parsePublicKeyInfo} from './public-key-info.ts';
import {createSigner} from './signature-algorithm.ts';
import {isSignatureValid} from './signature-check.ts';

const LABEL = 'CERTIFICATE REQUEST';
const EXTENSION_REQUEST_OID = '1.2.840.113549.1.9.14';
const ATTRIBUTES_MAX = 100;

export interface SigningRequestFields {
  readonly subject: DistinguishedName;
  readonly names: readonly GeneralName[];
  /** cert-manager's words; undefined puts no usages into the request. */
  readonly usages?: readonly string[] | undefined;
  /** Undefined puts no basicConstraints into the request. */
  readonly isCa?: boolean | undefined;
  readonly nameConstraints?: NameConstraints | undefined;
  /** The private key, which the request is for and signed with. */
  readonly key: KeyObject;
  /** One of cert-manager's words; by default by the key's size. */
  readonly signatureAlgorithm?: string | undefined;
}

/**
 * Writes a request for a certificate (PKCS#10, RFC 2986) as PEM.
 *
 * @throws CodedError `ERR_NAME_INVALID` for names that cannot be encoded, `ERR_REQUEST_INVALID` for
 *   usages or an algorithm that do not exist or suit
 */
export function createSigningRequest(fields: SigningRequestFields): string {
  const signer = createSigner(fields.key, fields.signatureAlgorithm);
  const certificationRequestInfo = new CertificationRequestInfo({
    version: 0,
    subject: schemaName(fields.subject),
    subjectPKInfo: AsnConvert.parse(encodePublicKey(fields.key), SubjectPublicKeyInfo),
    attributes: requestAttributes(fields),
  });
  const signed = Buffer.from(AsnConvert.serialize(certificationRequestInfo));
  const request = new CertificationRequest({
    certificationRequestInfo,
    signatureAlgorithm: signer.identifier,
    signature: new Uint8Array(signer.sign(signed)).buffer,
  });
  return encodePem(LABEL, Buffer.from(AsnConvert.serialize(request)));
}

function requestAttributes(fields: SigningRequestFields): Attributes {
  const {names, usages, isCa, nameConstraints, subject} = fields;
  const extensions = schemaExtensions({names, usages, isCa, nameConstraints}, subject.length === 0);
  if (extensions.length === 0) return new Attributes();
  const value = AsnConvert.serialize(new Extensions(extensions));
  return new Attributes([new Attribute({type: EXTENSION_REQUEST_OID, values: [value]})]);
}

/** What a request says; only `signatureIsValid` tells whether its key is really held. */
export interface SigningRequest {
  readonly subject: DistinguishedName;
  readonly names: readonly GeneralName[];
  /** Undefined when the request has neither KeyUsage nor ExtendedKeyUsage. */
  readonly usages: readonly string[] | undefined;
  /** Undefined when the request has no basicConstraints. */
  readonly isCa?: boolean;
  readonly nameConstraints?: NameConstraints;
  readonly publicKey: KeyObject;
  /** As `publicKeyDigest` of the key. */
  readonly publicKeyDigest: string;
  readonly der: Buffer;
  signatureIsValid(): boolean;
}

/**
 * Reads a request as PEM, made by anyone.
 *
 * @throws CodedError `ERR_REQUEST_INVALID`
 */
export function parseSigningRequest(pem: string | Buffer): SigningRequest {
  try {
    const [der] = decodePem(pem, {
      what: 'a certificate request',
      labels: [LABEL, 'NEW CERTIFICATE REQUEST'], // keytool's name for it
      maxBytes: pemLimits.requestBytesMax,
      maxBlocks: 1,
    });
    if (!der) throw derInvalid('the certificate request', 'is empty');
    return readSigningRequest(der);
  } catch (error) {
    if (isCoded(error)) throw requestInvalid(error);
    throw error;
  }
}

function readSigningRequest(der: Buffer): SigningRequest {
  const what = 'the certificate request';
  const outer = readSequence(der, what);
  const info = outer.next(derTags.sequence);
  const algorithm = outer.next(derTags.sequence).encoded;
  const signature = readBitOctets(outer.next(derTags.bitString), what);
  outer.end();
  const reader = new DerReader(info.content, what);
  const version = readSmallInteger(reader.next(derTags.integer), what);
  if (version !== 0) throw derInvalid(what, `has version ${String(version + 1)}, not 1`);
  const subject = decodeName(reader.next(derTags.sequence).encoded, 'the subject');
  const publicKeyInfo = reader.next(derTags.sequence).encoded;
  const extensions = readAttributes(reader.optional(0xa0), what);
  reader.end();
  const publicKey = parsePublicKeyInfo(publicKeyInfo);
  const {critical, hasUnknown} = extensions.nameConstraints ?? {};
  // They could not be written into the certificate: what it constrains would be less than asked for.
  if (critical === true && hasUnknown === true) {
    throw derInvalid('the name constraints', 'have names that are not DNS, IP, e-mail or URI');
  }
  return {
    subject,
    names: extensions.names,
    usages: extensions.usages,
    ...(extensions.isCa !== undefined && {isCa: extensions.isCa}),
    ...(extensions.nameConstraints && {nameConstraints: extensions.nameConstraints}),
    publicKey,
    publicKeyDigest: digestOfPublicKeyInfo(publicKeyInfo),
    der,
    signatureIsValid: () =>
      isSignatureValid({algorithm, octets: info.encoded, signature}, publicKey),
  };
}

/** The extensions asked for; other attributes, such as a challenge password, are passed over. */
function readAttributes(attributes: DerElement | undefined, what: string): ReadExtensions {
  const requests: Buffer[] = [];
  const all = new DerReader(attributes?.content ?? Buffer.alloc(0), what);
  for (const {content} of all.rest(derTags.sequence, ATTRIBUTES_MAX)) {
    const reader = new DerReader(content, what);
    const oid = readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
    const values = reader.next(derTags.set).content;
    if (oid === EXTENSION_REQUEST_OID) requests.push(values);
  }
  if (requests.length > 1) throw derInvalid(what, 'asks for extensions twice');
  const [extensions] = requests;
  return extensions ? decodeExtensions(extensions, 'the extensions asked for') : {names: []};
}

function requestInvalid(cause: CodedError): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', cause.message, {
    hint: 'make the request anew, e.g. with openssl req -new, and check it with openssl req -verify',
    cause,
  });
}
