import {AlgorithmIdentifier} from '@peculiar/asn1-x509';
import {sign, type KeyObject} from 'node:crypto';
import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {keyAlgorithmOf, type KeyAlgorithm} from './keys.ts';

/** The values of a Certificate's `spec.signatureAlgorithm`. */
export type SignatureAlgorithm = keyof typeof signatureAlgorithms;

interface SignatureScheme {
  readonly oid: string;
  readonly keyKind: KeyAlgorithm['kind'];
  /** Undefined for Ed25519, which hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | undefined;
}

/** RFC 8017 appendix C, RFC 5758 §3.2, RFC 8410 §3. */
export const signatureAlgorithms = {
  SHA256WithRSA: {oid: '1.2.840.113549.1.1.11', keyKind: 'RSA', hash: 'sha256'},
  SHA384WithRSA: {oid: '1.2.840.113549.1.1.12', keyKind: 'RSA', hash: 'sha384'},
  SHA512WithRSA: {oid: '1.2.840.113549.1.1.13', keyKind: 'RSA', hash: 'sha512'},
  ECDSAWithSHA256: {oid: '1.2.840.10045.4.3.2', keyKind: 'ECDSA', hash: 'sha256'},
  ECDSAWithSHA384: {oid: '1.2.840.10045.4.3.3', keyKind: 'ECDSA', hash: 'sha384'},
  ECDSAWithSHA512: {oid: '1.2.840.10045.4.3.4', keyKind: 'ECDSA', hash: 'sha512'},
  PureEd25519: {oid: '1.3.101.112', keyKind: 'Ed25519', hash: undefined},
} as const satisfies Readonly<Record<string, SignatureScheme>>;

/** The algorithm that cert-manager takes for a key when none is named: the hash grows with the key. */
export function defaultSignatureAlgorithm(key: KeyAlgorithm): SignatureAlgorithm {
  switch (key.kind) {
    case 'RSA':
      if (key.size >= 4096) return 'SHA512WithRSA';
      return key.size >= 3072 ? 'SHA384WithRSA' : 'SHA256WithRSA';
    case 'ECDSA':
      if (key.size === 521) return 'ECDSAWithSHA512';
      return key.size === 384 ? 'ECDSAWithSHA384' : 'ECDSAWithSHA256';
    case 'Ed25519':
      return 'PureEd25519';
    default:
      return key satisfies never;
  }
}

/** A way to sign with one key: its identifier, which is part of what is signed, and the deed. */
export interface Signer {
  readonly identifier: AlgorithmIdentifier;
  sign(octets: Buffer): Buffer;
}

/**
 * The signer for a private key and the algorithm named, or the default one.
 *
 * @throws CodedError `ERR_REQUEST_INVALID` for an algorithm that the key cannot do
 */
export function createSigner(key: KeyObject, named?: string): Signer {
  const algorithm = keyAlgorithmOf(key);
  const name = named ?? defaultSignatureAlgorithm(algorithm);
  const scheme = isSignatureAlgorithm(name) ? signatureAlgorithms[name] : undefined;
  if (scheme?.keyKind !== algorithm.kind) throw algorithmUnfit(name, algorithm);
  const {oid, keyKind, hash} = scheme;
  return {
    // RSA's parameters are an explicit NULL, the others' are absent.
    identifier: new AlgorithmIdentifier({
      algorithm: oid,
      ...(keyKind === 'RSA' && {parameters: null}),
    }),
    sign: octets => sign(hash ?? null, octets, key),
  };
}

function isSignatureAlgorithm(name: string): name is SignatureAlgorithm {
  return Object.hasOwn(signatureAlgorithms, name);
}

function algorithmUnfit(name: string, {kind}: KeyAlgorithm): CodedError<CertificatesErrorCode> {
  const fit = Object.entries(signatureAlgorithms).filter(([, {keyKind}]) => keyKind === kind);
  return new CodedError('ERR_REQUEST_INVALID', `an ${kind} key cannot sign with ${name}`, {
    hint: `use ${fit.map(([key]) => key).join(', ')}, or leave the algorithm out`,
  });
}
