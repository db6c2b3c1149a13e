import {hash, type KeyObject} from 'node:crypto';
import type {ParsedCertificate} from '../x509/certificate.ts';
import {encodeDer} from '../x509/der.ts';
import {formatName} from '../x509/literal-subject.ts';
import {encodePrivateKeyDer} from '../x509/keys.ts';
import {
  bmpString,
  explicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
} from './der-encoding.ts';
import {checkKeystoreInput, withoutRepetition} from './keystore-input.ts';
import {pkcs12Protections, type Pkcs12Profile} from './pkcs12-profile.ts';

export interface Pkcs12Input {
  readonly profile: Pkcs12Profile;
  readonly password: string;
  readonly key: KeyObject;
  /** Leaf first. */
  readonly chain: readonly ParsedCertificate[];
  /** May be empty. */
  readonly ca: readonly ParsedCertificate[];
}

/**
 * A PKCS#12 file (RFC 7292) with key, certificate, its chain and the CA.
 *
 * Encrypted certificates first, then the shrouded key; leaf and key share a localKeyID, the SHA-1
 * of the leaf, by which readers pair them.
 * @throws CodedError `ERR_KEYSTORE_INVALID` for a password that is empty or too long, and for
 *   too many certificates
 */
export function createPkcs12({profile, password, key, chain, ca}: Pkcs12Input): Buffer {
  checkKeystoreInput({password, certificates: [...chain, ...ca]});
  const [leaf, ...others] = withoutRepetition([...chain, ...ca]);
  const attributes = leaf === undefined ? [] : [localKeyId(leaf)];
  const certificates = [
    ...(leaf === undefined ? [] : [certificateBag(leaf, attributes)]),
    ...others.map(certificate => certificateBag(certificate, [])),
  ];
  const protection = pkcs12Protections[profile];
  const shrouded = protection.encryptKey(encodePrivateKeyDer(key, 'PKCS8'), password);
  const keyBag = safeBag(
    oids.shroudedKeyBag,
    sequence(shrouded.algorithm, octetString(shrouded.ciphertext)),
    attributes,
  );
  return pfx({
    profile,
    password,
    contents: [
      encryptedContent({profile, password, bags: certificates}),
      dataContent(sequence(keyBag)),
    ],
  });
}

export interface Pkcs12TruststoreInput {
  readonly profile: Pkcs12Profile;
  readonly password: string;
  readonly ca: readonly ParsedCertificate[];
}

/**
 * A PKCS#12 file with trusted certificates only, as Java takes it: each has a name (its subject)
 * and Java's attribute that says what it is trusted for (any extended key usage).
 *
 * @throws CodedError `ERR_KEYSTORE_INVALID`, see {@link createPkcs12}
 */
export function createPkcs12Truststore({profile, password, ca}: Pkcs12TruststoreInput): Buffer {
  checkKeystoreInput({password, certificates: ca});
  const named = new Map<string, number>();
  const bags = withoutRepetition(ca).map(certificate => {
    const subject = formatName(certificate.subject);
    const count = (named.get(subject) ?? 0) + 1;
    named.set(subject, count);
    // Java keeps the last of two entries with one name.
    return certificateBag(certificate, [
      attribute(oids.friendlyName, bmpString(count === 1 ? subject : `${subject} (${count})`)),
      attribute(oids.trustedKeyUsage, objectIdentifier(oids.anyExtendedKeyUsage)),
    ]);
  });
  return pfx({profile, password, contents: [encryptedContent({profile, password, bags})]});
}

interface Protected {
  readonly profile: Pkcs12Profile;
  readonly password: string;
}

function pfx({
  profile,
  password,
  contents,
}: Protected & {readonly contents: readonly Buffer[]}): Buffer {
  const safe = sequence(...contents);
  const mac = pkcs12Protections[profile].authenticate(safe, password);
  return sequence(integer(3), dataContent(safe), mac);
}

/** ContentInfo of type data (RFC 5652 §4). */
function dataContent(content: Buffer): Buffer {
  return sequence(objectIdentifier(oids.data), explicit(0, octetString(content)));
}

/** ContentInfo of type encrypted-data (RFC 5652 §8) around bags. */
function encryptedContent({
  profile,
  password,
  bags,
}: Protected & {readonly bags: readonly Buffer[]}): Buffer {
  const {algorithm, ciphertext} = pkcs12Protections[profile].encryptCertificates(
    sequence(...bags),
    password,
  );
  const contentInfo = sequence(
    objectIdentifier(oids.data),
    algorithm,
    encodeDer(0x80, ciphertext), // [0] IMPLICIT OCTET STRING
  );
  return sequence(
    objectIdentifier(oids.encryptedData),
    explicit(0, sequence(integer(0), contentInfo)),
  );
}

function certificateBag({der}: ParsedCertificate, attributes: readonly Buffer[]): Buffer {
  const value = sequence(objectIdentifier(oids.x509Certificate), explicit(0, octetString(der)));
  return safeBag(oids.certificateBag, value, attributes);
}

function safeBag(oid: string, value: Buffer, attributes: readonly Buffer[]): Buffer {
  const list = attributes.length === 0 ? [] : [setOf(...attributes)];
  return sequence(objectIdentifier(oid), explicit(0, value), ...list);
}

function attribute(oid: string, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), setOf(value));
}

function localKeyId({der}: ParsedCertificate): Buffer {
  return attribute(oids.localKeyId, octetString(hash('sha1', der, 'buffer')));
}

const oids = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  /** Oracle's: what a trusted certificate may be used for. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
} as const;
