import {AsnConvert} from '@peculiar/asn1-schema';
import {
  Certificate,
  Extensions,
  Name,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import assert from 'node:assert/strict';
import {createHash, randomBytes, X509Certificate, type KeyObject} from 'node:crypto';
import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {derTags, readSequence} from './der.ts';
import {readBitOctets} from './der-values.ts';
import type {DistinguishedName} from './distinguished-name.ts';
import {schemaExtensions} from './extension-list.ts';
import type {GeneralName} from './general-names.ts';
import {nameInvalid} from './name-attributes.ts';
import type {NameConstraints} from './name-constraints.ts';
import {schemaName, schemaOfDer} from './name-encoding.ts';
import type {ParsedCertificate} from './certificate.ts';
import {encodePem} from './pem.ts';
import {encodePublicKey} from './public-key-info.ts';
import {createSigner} from './signature-algorithm.ts';

const YEAR_1950 = new Date('1950-01-01T00:00:00Z');
const YEAR_10000 = new Date('+010000-01-01T00:00:00Z');
const SERIAL_OCTETS = 20; // RFC 5280 §4.1.2.2: at most 20

export interface CertificateFields {
  readonly subject: DistinguishedName;
  readonly names: readonly GeneralName[];
  /** Whom the certificate is for; a private key stands for its public half. */
  readonly publicKey: KeyObject;
  /** Octets of a positive number, at most 20; by default 159 random bits. */
  readonly serial?: Buffer | undefined;
  /** Both are cut to whole seconds. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** cert-manager's words. */
  readonly usages: readonly string[];
  readonly isCa: boolean;
  readonly nameConstraints?: NameConstraints | undefined;
  readonly crlDistributionPoints?: readonly string[] | undefined;
  readonly ocspServers?: readonly string[] | undefined;
  readonly issuingCertificateUrls?: readonly string[] | undefined;
  readonly issuer: CertificateIssuer;
  /** One of cert-manager's words; by default by the size of the issuer's key. */
  readonly signatureAlgorithm?: string | undefined;
}

export interface CertificateIssuer {
  /** The private key that signs. */
  readonly key: KeyObject;
  /** Absent: the certificate is self-signed, and `key` is the other half of `publicKey`. */
  readonly certificate?: ParsedCertificate | undefined;
}

/**
 * Signs a certificate (X.509 version 3, RFC 5280) and writes it as PEM. The issuer's name is taken
 * over octet for octet, and its key id, so that chains are found by both.
 *
 * @throws CodedError `ERR_NAME_INVALID` for names that cannot be encoded, `ERR_REQUEST_INVALID` for
 *   usages or an algorithm that do not exist or suit
 */
export function createCertificate(fields: CertificateFields): string {
  const {issuer, subject} = fields;
  const signer = createSigner(issuer.key, fields.signatureAlgorithm);
  const publicKeyInfo = encodePublicKey(fields.publicKey);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: new Uint8Array(checkedSerial(fields.serial ?? randomSerial())).buffer,
    signature: signer.identifier,
    issuer: issuer.certificate
      ? schemaOfDer(issuer.certificate.subjectDer, Name, "the issuer's name")
      : schemaName(subject),
    validity: validityOf(fields),
    subject: schemaName(subject),
    subjectPublicKeyInfo: AsnConvert.parse(publicKeyInfo, SubjectPublicKeyInfo),
    extensions: new Extensions(
      schemaExtensions(
        {
          ...fields,
          subjectKeyId: keyIdOfPublicKeyInfo(publicKeyInfo),
          authorityKeyId: authorityKeyIdOf(issuer),
        },
        subject.length === 0,
      ),
    ),
  });
  const signed = Buffer.from(AsnConvert.serialize(tbsCertificate));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: signer.identifier,
    signatureValue: new Uint8Array(signer.sign(signed)).buffer,
  });
  return encodePem('CERTIFICATE', readable(Buffer.from(AsnConvert.serialize(certificate))));
}

/** A last look: attributes may hold values, copied from a request, that no software reads. */
function readable(der: Buffer): Buffer {
  try {
    new X509Certificate(der);
    return der;
  } catch {
    throw nameInvalid('OpenSSL would not read a certificate with it');
  }
}

/**
 * UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5); the library chooses, and
 * would write nonsense for a year of five digits.
 */
function validityOf({notBefore, notAfter}: CertificateFields): Validity {
  const isWritable = [notBefore, notAfter].every(
    instant => instant >= YEAR_1950 && instant < YEAR_10000,
  );
  if (isWritable && notBefore < notAfter) return new Validity({notBefore, notAfter});
  const [from, to] = [notBefore, notAfter].map(textOf);
  throw new CodedError<CertificatesErrorCode>(
    'ERR_REQUEST_INVALID',
    `no certificate lasts from ${from} to ${to}`,
    {
      hint: 'ask for a duration that is positive and ends before the year 10000',
    },
  );
}

function textOf(instant: Date): string {
  return Number.isNaN(instant.getTime()) ? 'a time that is none' : instant.toISOString();
}

/** Positive and in its shortest form: the first octet is 1 to 127. */
function randomSerial(): Buffer {
  const serial = randomBytes(SERIAL_OCTETS);
  serial[0] = (serial[0] ?? 0) & 0x7f || 1;
  return serial;
}

function checkedSerial(serial: Buffer): Buffer {
  const [first = 0, second = 0] = serial;
  const isShortest = first > 0 || second >= 0x80;
  assert(first < 0x80 && isShortest && serial.length <= SERIAL_OCTETS, 'serial out of range');
  return serial;
}

function authorityKeyIdOf({certificate}: CertificateIssuer): Buffer | undefined {
  if (!certificate) return undefined; // RFC 5280 §4.2.1.1: may be left out when self-signed
  return certificate.subjectKeyId ?? keyIdOfPublicKeyInfo(encodePublicKey(certificate.publicKey));
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 of the key's bits. */
function keyIdOfPublicKeyInfo(der: Buffer): Buffer {
  const what = 'the public key';
  const reader = readSequence(der, what);
  reader.next(derTags.sequence);
  return createHash('sha1')
    .update(readBitOctets(reader.next(derTags.bitString), what))
    .digest();
}
