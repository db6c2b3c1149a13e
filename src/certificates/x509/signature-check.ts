import {constants, verify, type KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import {DerReader, derTags} from './der.ts';
import {readObjectIdentifier} from './der-values.ts';
import {signatureAlgorithms} from './signature-algorithm.ts';

/** What stands beside a signature: SHA-1 is taken in requests, which only prove that a key is held. */
const sha1Algorithms = [
  {oid: '1.2.840.113549.1.1.5', keyKind: 'RSA', hash: 'sha1'},
  {oid: '1.2.840.10045.4.1', keyKind: 'ECDSA', hash: 'sha1'},
] as const;

const nodeKeyTypes = {RSA: 'rsa', ECDSA: 'ec', Ed25519: 'ed25519'} as const;
const RSA_PSS_OID = '1.2.840.113549.1.1.10';
const pssHashes: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

export interface SignedOctets {
  /** The DER of the AlgorithmIdentifier. */
  readonly algorithm: Buffer;
  readonly octets: Buffer;
  readonly signature: Buffer;
}

/**
 * Whether the signature is this key's over these octets; false for an algorithm that is not known
 * here or not well-formed.
 */
export function isSignatureValid(signed: SignedOctets, key: KeyObject): boolean {
  try {
    return verifies(signed, key);
  } catch (error) {
    if (isCoded(error)) return false;
    throw error;
  }
}

function verifies({algorithm, octets, signature}: SignedOctets, key: KeyObject): boolean {
  const what = 'the signature algorithm';
  const reader = new DerReader(new DerReader(algorithm, what).next(derTags.sequence).content, what);
  const oid = readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
  if (oid === RSA_PSS_OID) {
    return isPssValid({parameters: reader, octets, signature}, key);
  }
  const scheme = [...Object.values(signatureAlgorithms), ...sha1Algorithms].find(
    known => known.oid === oid,
  );
  if (!scheme || nodeKeyTypes[scheme.keyKind] !== key.asymmetricKeyType) return false;
  return verify(scheme.hash ?? null, octets, key, signature);
}

interface PssSignature {
  readonly parameters: DerReader;
  readonly octets: Buffer;
  readonly signature: Buffer;
}

/** RSASSA-PSS (RFC 4055 §3.1): the hash is a parameter, and the salt's length is found by OpenSSL. */
function isPssValid({parameters, octets, signature}: PssSignature, key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'rsa-pss') return false;
  const what = 'the parameters of RSASSA-PSS';
  const fields = new DerReader(parameters.next(derTags.sequence).content, what);
  const hashField = fields.optional(0xa0);
  const hash = hashField ? pssHashes[pssHashOid(hashField.content, what)] : 'sha1'; // the default of RFC 4055
  if (hash === undefined) return false;
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
  return verify(hash, octets, {key, padding, saltLength}, signature);
}

function pssHashOid(content: Buffer, what: string): string {
  const identifier = new DerReader(content, what).next(derTags.sequence);
  const reader = new DerReader(identifier.content, what);
  return readObjectIdentifier(reader.next(derTags.objectIdentifier), what);
}
