import {createPrivateKey, generateKeyPair, type KeyObject} from 'node:crypto';
import {promisify} from 'node:util';
import {CodedError, isCoded} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {decodePemBlocks, encodePem, type PemBlock, pemLimits} from './pem.ts';
import {digestOfPublicKeyInfo, encodePublicKey} from './public-key-info.ts';

/** The kinds of private key that a Certificate can ask for; RSA's size is 2048 to 8192 bits. */
export type KeyAlgorithm =
  | {readonly kind: 'RSA'; readonly size: number}
  | {readonly kind: 'ECDSA'; readonly size: 256 | 384 | 521}
  | {readonly kind: 'Ed25519'};

/** `PKCS1` of an EC key means SEC 1; an Ed25519 key has no form but PKCS#8. */
export type KeyEncoding = 'PKCS1' | 'PKCS8';

const RSA_BITS_MIN = 2048;
const RSA_BITS_MAX = 8192; // one of 16384 bits takes minutes to find, and long to sign with
const RSA_BITS_READ_MIN = 1024; // what is adopted may be old; a smaller one cannot sign with SHA-512
const curveSizes = {prime256v1: 256, secp384r1: 384, secp521r1: 521} as const;
const curveNames = {256: 'P-256', 384: 'P-384', 521: 'P-521'} as const;
const generate = promisify(generateKeyPair);

/**
 * Makes a private key, off the event loop.
 *
 * @throws CodedError `ERR_PRIVATE_KEY_INVALID` for an RSA size out of range
 */
export async function generatePrivateKey(algorithm: KeyAlgorithm): Promise<KeyObject> {
  switch (algorithm.kind) {
    case 'RSA': {
      const {size} = algorithm;
      if (!Number.isInteger(size) || size < RSA_BITS_MIN || size > RSA_BITS_MAX) {
        throw keyInvalid(`an RSA key of ${String(size)} bits is not made`);
      }
      return (await generate('rsa', {modulusLength: size})).privateKey;
    }
    case 'ECDSA':
      return (await generate('ec', {namedCurve: curveNames[algorithm.size]})).privateKey;
    case 'Ed25519':
      return (await generate('ed25519')).privateKey;
    default:
      return algorithm satisfies never;
  }
}

/**
 * The algorithm and size of a private or public key.
 *
 * @throws CodedError `ERR_PRIVATE_KEY_INVALID` for a key that is not RSA, ECDSA on P-256, P-384 or
 *   P-521, or Ed25519
 */
export function keyAlgorithmOf(key: KeyObject): KeyAlgorithm {
  const {modulusLength, namedCurve = ''} = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa' && modulusLength !== undefined) {
    return {kind: 'RSA', size: modulusLength};
  }
  if (key.asymmetricKeyType === 'ec' && isCurve(namedCurve)) {
    return {kind: 'ECDSA', size: curveSizes[namedCurve]};
  }
  if (key.asymmetricKeyType === 'ed25519') return {kind: 'Ed25519'};
  const found = [key.asymmetricKeyType ?? key.type, namedCurve].join(' ').trim();
  throw keyInvalid(`a key of the kind ${found} is not one of those that are signed for`);
}

function isCurve(name: string): name is keyof typeof curveSizes {
  return Object.hasOwn(curveSizes, name);
}

/** The private key as PEM; the label follows from encoding and algorithm. */
export function encodePrivateKey(key: KeyObject, encoding: KeyEncoding): string {
  return encodePem(privateKeyForm(key, encoding).label, encodePrivateKeyDer(key, encoding));
}

/** The private key as DER. */
export function encodePrivateKeyDer(key: KeyObject, encoding: KeyEncoding): Buffer {
  const {type} = privateKeyForm(key, encoding);
  return key.export({format: 'der', type});
}

function privateKeyForm(key: KeyObject, encoding: KeyEncoding): PrivateKeyForm {
  const {kind} = keyAlgorithmOf(key);
  if (encoding === 'PKCS8' || kind === 'Ed25519') return privateKeyForms['PRIVATE KEY'];
  return privateKeyForms[kind === 'RSA' ? 'RSA PRIVATE KEY' : 'EC PRIVATE KEY'];
}

interface PrivateKeyForm {
  readonly label: string;
  readonly type: 'pkcs1' | 'pkcs8' | 'sec1';
}

const privateKeyForms = {
  'PRIVATE KEY': {label: 'PRIVATE KEY', type: 'pkcs8'},
  'RSA PRIVATE KEY': {label: 'RSA PRIVATE KEY', type: 'pkcs1'},
  'EC PRIVATE KEY': {label: 'EC PRIVATE KEY', type: 'sec1'},
} as const satisfies Readonly<Record<string, PrivateKeyForm>>;

/**
 * Reads the one unencrypted private key of a PEM text: PKCS#8, PKCS#1 or SEC 1, of a kind that
 * `keyAlgorithmOf` knows.
 *
 * @throws CodedError `ERR_PRIVATE_KEY_INVALID`, with nothing of the key in message or cause
 */
export function decodePrivateKey(pem: Buffer | string): KeyObject {
  const [block] = privateKeyBlocks(pem);
  const form = Object.values(privateKeyForms).find(({label}) => label === block?.label);
  if (!block || !form) throw keyInvalid('the private key is missing');
  const key = parsePrivateKey(block.der, form);
  const algorithm = keyAlgorithmOf(key);
  if (algorithm.kind === 'RSA') {
    const {size} = algorithm;
    const isFit = size >= RSA_BITS_READ_MIN && size <= RSA_BITS_MAX;
    if (!isFit) throw keyInvalid(`an RSA key of ${String(size)} bits is not used`);
  }
  return key;
}

function privateKeyBlocks(pem: Buffer | string): readonly PemBlock[] {
  try {
    return decodePemBlocks(pem, {
      what: 'a private key',
      labels: Object.keys(privateKeyForms),
      // What `openssl ecparam -genkey` writes before a key, and some deployments behind it.
      ignoredLabels: ['EC PARAMETERS', 'CERTIFICATE'],
      maxBytes: pemLimits.privateKeyBytesMax,
      maxBlocks: 1,
    });
  } catch (error) {
    if (!isCoded(error)) throw error;
    throw keyInvalid(error.message);
  }
}

function parsePrivateKey(der: Buffer, {label, type}: PrivateKeyForm): KeyObject {
  try {
    return createPrivateKey({key: der, format: 'der', type});
  } catch {
    // OpenSSL's reason says nothing that helps, and might quote the input.
    throw keyInvalid(`the content of ${label} is not such a key`);
  }
}

/** SHA-256, in hexadecimal, of the public half as `encodePublicKey` writes it. */
export function publicKeyDigest(key: KeyObject): string {
  return digestOfPublicKeyInfo(encodePublicKey(key));
}

function keyInvalid(message: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_PRIVATE_KEY_INVALID', message, {
    hint: 'use an unencrypted PEM key: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519',
  });
}
