import {X509Certificate, type KeyObject} from 'node:crypto';
import {CodedError, isCoded} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {type DerElement, derInvalid, DerReader, derTags, readSequence} from './der.ts';
import {readBitOctets, readSmallInteger, readTime} from './der-values.ts';
import type {DistinguishedName} from './distinguished-name.ts';
import {decodeExtensions, type ReadExtensions} from './extension-list.ts';
import type {GeneralName} from './general-names.ts';
import type {NameConstraints} from './name-constraints.ts';
import {decodeName} from './name-encoding.ts';
import {decodePem, encodePem, pemLimits} from './pem.ts';
import {digestOfPublicKeyInfo, parsePublicKeyInfo} from './public-key-info.ts';

const SERIAL_OCTETS_MAX = 64; // some CAs have gone beyond the 20 that RFC 5280 allows

/**
 * What a certificate says. Everything but what is named below as computed on demand has been read
 * and checked for its form when it was parsed.
 */
export interface ParsedCertificate {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** The names as they stand there; chains are found by these octets. */
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  readonly names: readonly GeneralName[];
  /** The octets of the number. */
  readonly serial: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly isCa: boolean;
  readonly pathLength?: number;
  /** Words of KeyUsage and ExtendedKeyUsage; empty without either. */
  readonly usages: readonly string[];
  readonly subjectKeyId?: Buffer;
  readonly authorityKeyId?: Buffer;
  readonly nameConstraints?: NameConstraints;
  /** As `publicKeyDigest` of the key. */
  readonly publicKeyDigest: string;
  /** Computed on demand. @throws CodedError `ERR_CERTIFICATE_INVALID` for a key OpenSSL does not know */
  readonly publicKey: KeyObject;
  readonly der: Buffer;
  /** Computed on demand. */
  readonly pem: string;
  /** Computed on demand: subject and issuer are one name, and its own key made the signature. */
  readonly isSelfSigned: boolean;
  /** Whether the issuer's name and key are those of this certificate's issuer; its validity aside. */
  isIssuedBy(issuer: ParsedCertificate): boolean;
}

/**
 * Reads one certificate, PEM or DER, made by anyone; in a twentieth of a millisecond.
 *
 * @throws CodedError `ERR_CERTIFICATE_INVALID`
 */
export function parseCertificate(pemOrDer: string | Buffer): ParsedCertificate {
  try {
    return new DecodedCertificate(derOf(pemOrDer));
  } catch (error) {
    if (isCoded(error)) throw certificateInvalid(error);
    throw error;
  }
}

function derOf(pemOrDer: string | Buffer): Buffer {
  if (typeof pemOrDer !== 'string' && pemOrDer[0] === derTags.sequence) {
    if (pemOrDer.length <= pemLimits.certificateBytesMax) return pemOrDer;
    throw derInvalid('the certificate', `has ${String(pemOrDer.length)} bytes, too many`);
  }
  const [der] = decodePem(pemOrDer, {
    what: 'a certificate',
    labels: ['CERTIFICATE'],
    maxBytes: pemLimits.certificateBytesMax,
    maxBlocks: 1,
  });
  if (!der) throw derInvalid('the certificate', 'is empty');
  return der;
}

class DecodedCertificate implements ParsedCertificate {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly subjectDer: Buffer;
  readonly issuerDer: Buffer;
  readonly names: readonly GeneralName[];
  readonly serial: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly isCa: boolean;
  declare readonly pathLength?: number;
  readonly usages: readonly string[];
  declare readonly subjectKeyId?: Buffer;
  declare readonly authorityKeyId?: Buffer;
  declare readonly nameConstraints?: NameConstraints;
  readonly publicKeyDigest: string;
  readonly der: Buffer;
  readonly #publicKeyInfo: Buffer;
  #x509: X509Certificate | undefined;
  #publicKey: KeyObject | undefined;

  constructor(der: Buffer) {
    const what = 'the certificate';
    const reader = readTbsCertificate(der, what);
    this.der = der;
    this.serial = readSerial(reader.next(derTags.integer), what);
    reader.next(derTags.sequence); // the algorithm, which OpenSSL compares with the outer one
    this.issuerDer = reader.next(derTags.sequence).encoded;
    const validity = new DerReader(reader.next(derTags.sequence).content, 'the validity');
    this.notBefore = readTime(validity.any(), 'notBefore');
    this.notAfter = readTime(validity.any(), 'notAfter');
    validity.end();
    this.subjectDer = reader.next(derTags.sequence).encoded;
    this.#publicKeyInfo = reader.next(derTags.sequence).encoded;
    const extensions = readExtensions(reader);
    this.subject = decodeName(this.subjectDer, 'the subject');
    this.issuer = decodeName(this.issuerDer, 'the issuer');
    this.names = extensions.names;
    this.isCa = extensions.isCa ?? false;
    if (extensions.pathLength !== undefined) this.pathLength = extensions.pathLength;
    this.usages = extensions.usages ?? [];
    if (extensions.subjectKeyId) this.subjectKeyId = extensions.subjectKeyId;
    if (extensions.authorityKeyId) this.authorityKeyId = extensions.authorityKeyId;
    if (extensions.nameConstraints) this.nameConstraints = extensions.nameConstraints;
    this.publicKeyDigest = digestOfPublicKeyInfo(this.#publicKeyInfo);
  }

  get publicKey(): KeyObject {
    try {
      this.#publicKey ??= parsePublicKeyInfo(this.#publicKeyInfo);
      return this.#publicKey;
    } catch (error) {
      if (isCoded(error)) throw certificateInvalid(error);
      throw error;
    }
  }

  get pem(): string {
    return encodePem('CERTIFICATE', this.der);
  }

  get isSelfSigned(): boolean {
    return this.isIssuedBy(this);
  }

  isIssuedBy(issuer: ParsedCertificate): boolean {
    if (!this.issuerDer.equals(issuer.subjectDer)) return false;
    try {
      this.#x509 ??= new X509Certificate(this.der);
      return this.#x509.verify(issuer.publicKey);
    } catch {
      return false; // a key or signature that OpenSSL cannot read proves nothing
    }
  }
}

function readTbsCertificate(der: Buffer, what: string): DerReader {
  const outer = readSequence(der, what);
  const tbs = new DerReader(outer.next(derTags.sequence).content, what);
  outer.next(derTags.sequence);
  readBitOctets(outer.next(derTags.bitString), what);
  outer.end();
  const version = tbs.optional(0xa0);
  if (version) {
    const number = new DerReader(version.content, what).next(derTags.integer);
    if (readSmallInteger(number, what) > 2) throw derInvalid(what, 'has a version above 3');
  }
  return tbs;
}

function readSerial({content}: DerElement, what: string): Buffer {
  if (content.length === 0 || content.length > SERIAL_OCTETS_MAX) {
    throw derInvalid(what, 'has a serial number that is empty or too long');
  }
  return content;
}

/** Behind the key: two unique ids that nobody uses, then the extensions. */
function readExtensions(reader: DerReader): ReadExtensions {
  reader.optional(0x81);
  reader.optional(0x82);
  const extensions = reader.optional(0xa3);
  reader.end();
  return extensions ? decodeExtensions(extensions.content, 'the extensions') : {names: []};
}

function certificateInvalid(cause: CodedError): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_CERTIFICATE_INVALID', cause.message, {
    hint: 'give one X.509 certificate; openssl x509 -noout -text shows whether it is one',
    cause,
  });
}
