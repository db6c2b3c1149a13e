import {createHash, createPublicKey, type KeyObject} from 'node:crypto';
import {derInvalid} from './der.ts';
import {publicKeyDigest} from './keys.ts';

/** How the SubjectPublicKeyInfo of each usual key begins, as every software writes it. */
const canonicalBeginnings = [
  // RSA: SEQUENCE {SEQUENCE {1.2.840.113549.1.1.1, NULL}, BIT STRING; the length varies, in 3 forms
  /^30(?:..|81..|82....)300d06092a864886f70d010101050003/,
  /^3059301306072a8648ce3d020106082a8648ce3d03010703420004/, // P-256, uncompressed
  /^3076301006072a8648ce3d020106052b8104002203620004/, // P-384
  /^30819b301006072a8648ce3d020106052b810400230381860004/, // P-521
  /^302a300506032b6570032100/, // Ed25519
] as const;
const BEGINNING_OCTETS = 32;

/**
 * The digest of a public key as `publicKeyDigest` gives it, from its SubjectPublicKeyInfo. Usually
 * that is its hash; only one written unusually (compressed points, parameters missing) is parsed
 * and written anew.
 *
 * @throws CodedError `ERR_DER_INVALID`
 */
export function digestOfPublicKeyInfo(der: Buffer): string {
  const beginning = der.subarray(0, BEGINNING_OCTETS).toString('hex');
  return canonicalBeginnings.some(pattern => pattern.test(beginning))
    ? createHash('sha256').update(der).digest('hex')
    : publicKeyDigest(parsePublicKeyInfo(der));
}

/** The public key of a SubjectPublicKeyInfo. @throws CodedError `ERR_DER_INVALID` */
export function parsePublicKeyInfo(der: Buffer): KeyObject {
  try {
    return createPublicKey({key: der, format: 'der', type: 'spki'});
  } catch {
    throw derInvalid('the public key', 'is not one that OpenSSL knows'); // its reasons help nobody
  }
}
