import type {CertificateSpec} from '../apis/certificate.ts';
import type {KeyAlgorithm} from '../x509/keys.ts';

/** The key that a specification asks for: RSA 2048 unless it says otherwise. */
export function wantedKey({privateKey}: CertificateSpec): KeyAlgorithm {
  const size = privateKey?.size;
  switch (privateKey?.algorithm) {
    case 'Ed25519':
      return {kind: 'Ed25519'};
    case 'ECDSA':
      return {kind: 'ECDSA', size: size === 384 || size === 521 ? size : 256};
    default:
      return {kind: 'RSA', size: size === undefined || size === 0 ? RSA_BITS_DEFAULT : size};
  }
}

/** Whether two keys are of one algorithm and size; encodings do not matter. */
export function sameKey(a: KeyAlgorithm | undefined, b: KeyAlgorithm): boolean {
  if (a?.kind !== b.kind) return false;
  return a.kind === 'Ed25519' || b.kind === 'Ed25519' || a.size === b.size;
}

/** `RSA 2048`, for messages. */
export function formatKey(key: KeyAlgorithm | undefined): string {
  if (key === undefined) return 'no known algorithm';
  return key.kind === 'Ed25519' ? key.kind : `${key.kind} ${key.size}`;
}

const RSA_BITS_DEFAULT = 2048;
