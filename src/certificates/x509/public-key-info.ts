import {createHash, createPublicKey, type KeyObject} from 'node:crypto';
import {derInvalid} from './der.ts';

/** How the SubjectPublicKeyInfo of each usual key begins, as every software writes it. */
const canonicalBeginnings = [
  // RSA: SEQUENCE {SEQUENCE {1.2.840.113549.1.1.1, NULL}, BIT STRING; the length has three forms
  /^30(?:..|81..|82....)300d06092a864886f70d010101050003/,
  /^3059301306072a8648ce3d020106082a8648ce3d03010703420004/, // P-256, uncompressed
  /^3076301006072a8648ce3d020106052b8104002203620004/, // P-384
  /^30819b301006072a8648ce3d020106052b810400230381860004/, // P-521
  /^302a300506032b6570032100/, // Ed25519
] as const;
const BEGINNING_OCTETS = 32;

/** The public key as SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), of a private or public key. */
export function encodePublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const der = publicKey.export({format: 'der', type: 'spki'});
  return isCanonical(der) ? der : encodeUncompressed(publicKey, der);
}

/**
 * The digest of a public key as `publicKeyDigest` gives it, from its SubjectPublicKeyInfo. Usually
 * that is its hash; only one written unusually (compressed points, parameters missing) is parsed
 * and written anew.
 *
 * @throws CodedError `ERR_DER_INVALID`
 */
export function digestOfPublicKeyInfo(der: Buffer): string {
  return digestOf(isCanonical(der) ? der : encodePublicKey(parsePublicKeyInfo(der)));
}

/** The public key of a SubjectPublicKeyInfo. @throws CodedError `ERR_DER_INVALID` */
export function parsePublicKeyInfo(der: Buffer): KeyObject {
  try {
    return createPublicKey({key: der, format: 'der', type: 'spki'});
  } catch {
    throw derInvalid('the public key', 'is not one that OpenSSL knows'); // its reasons help nobody
  }
}

function isCanonical(der: Buffer): boolean {
  const beginning = der.subarray(0, BEGINNING_OCTETS).toString('hex');
  return canonicalBeginnings.some(pattern => pattern.test(beginning));
}

/** OpenSSL keeps the form of a point as it was read; through its coordinates it gets the usual one. */
function encodeUncompressed(key: KeyObject, der: Buffer): Buffer {
  if (key.asymmetricKeyType !== 'ec') return der;
  try {
    const coordinates = createPublicKey({key: key.export({format: 'jwk'}), format: 'jwk'});
    return coordinates.export({format: 'der', type: 'spki'});
  } catch {
    return der; // a curve that JWK has no name for: nobody writes it in two ways
  }
}

function digestOf(der: Buffer): string {
  return createHash('sha256').update(der).digest('hex');
}
