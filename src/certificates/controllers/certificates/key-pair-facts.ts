import {isCoded, messageOf} from '#shared/errors';
import {secretKeys} from '../../apis/names.ts';
import {declaredPublicKey, type DeclaredPublicKey} from '../../keystores/declared-public-key.ts';
import {parseCertificate, type ParsedCertificate} from '../../x509/certificate.ts';
import {UNORDERED_LENGTH_MAX} from '../../x509/chain.ts';
import type {DistinguishedName} from '../../x509/distinguished-name.ts';
import type {GeneralName} from '../../x509/general-names.ts';
import {
  decodePrivateKey,
  keyAlgorithmOf,
  publicKeyDigest,
  type KeyAlgorithm,
} from '../../x509/keys.ts';
import {decodePem, decodePemBlocks, pemLimits} from '../../x509/pem.ts';
import {createSharedValues} from './shared-values.ts';

// Issuers, usages and algorithms: few, and the same in thousands of Secrets.
const shared = createSharedValues({max: 1_000});

/** What `tls.key` and `tls.crt` of a Secret are, and whether they belong together. */
export interface KeyPairFacts {
  readonly kind: 'missing' | 'invalid-key' | 'invalid-certificate' | 'mismatch' | 'good';
  /** Why it is not good, as half a sentence. */
  readonly message?: string;
  /** Of the private key, whenever it can be read: also where there is no certificate. */
  readonly keyAlgorithm?: KeyAlgorithm;
  /** sha256 in hex of the private key's public part; likewise. */
  readonly publicKeyDigest?: string;
  /** Of the first certificate, whenever it can be read. */
  readonly leaf?: LeafFacts;
}

/** A certificate without its bytes. */
export interface LeafFacts {
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly names: readonly GeneralName[];
  /** In hex. */
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly isCa: boolean;
  readonly isSelfSigned: boolean;
  /** Words of Certificate `usages`. */
  readonly usages: readonly string[];
  readonly publicKeyDigest: string;
}

/** Reads `tls.key` and `tls.crt` among the values of a Secret. */
export function keyPairFacts(data: ReadonlyMap<string, Buffer>): KeyPairFacts {
  const leaf = read(data.get(secretKeys.certificate), leafFacts);
  const expected = leaf.kind === 'read' ? leaf.value.publicKeyDigest : undefined;
  const key = read(data.get(secretKeys.privateKey), pem => keyFacts(pem, expected));
  const known = {
    ...(key.kind === 'read' && key.value),
    ...(leaf.kind === 'read' && {leaf: leaf.value}),
  };
  if (key.kind === 'missing') return {kind: 'missing', message: 'it has no tls.key', ...known};
  if (leaf.kind === 'missing') return {kind: 'missing', message: 'it has no tls.crt', ...known};
  if (key.kind === 'invalid') {
    return {kind: 'invalid-key', message: `its tls.key cannot be read: ${key.message}`, ...known};
  }
  if (leaf.kind === 'invalid') {
    const message = `its tls.crt cannot be read: ${leaf.message}`;
    return {kind: 'invalid-certificate', message, ...known};
  }
  if (known.publicKeyDigest !== leaf.value.publicKeyDigest) {
    return {kind: 'mismatch', message: 'its tls.key is not the key of its tls.crt', ...known};
  }
  return {kind: 'good', ...known};
}

type Reading<T> =
  | {readonly kind: 'missing'}
  | {readonly kind: 'invalid'; readonly message: string}
  | {readonly kind: 'read'; readonly value: T};

function read<T>(bytes: Buffer | undefined, decode: (bytes: Buffer) => T): Reading<T> {
  if (bytes === undefined || bytes.length === 0) return {kind: 'missing'};
  try {
    return {kind: 'read', value: decode(bytes)};
  } catch (error) {
    // Whatever stands in a Secret was written by somebody else: any failure to read it is theirs.
    return {kind: 'invalid', message: messageOf(error)};
  }
}

/** @param expected digest of the certificate's key: a key that declares it is taken at its word */
function keyFacts(pem: Buffer, expected: string | undefined): DeclaredPublicKey {
  const declared = expected === undefined ? undefined : readDeclared(pem);
  if (declared !== undefined && declared.publicKeyDigest === expected) {
    return {keyAlgorithm: shared.share(declared.keyAlgorithm), publicKeyDigest: expected};
  }
  const key = decodePrivateKey(pem);
  return {keyAlgorithm: shared.share(keyAlgorithmOf(key)), publicKeyDigest: publicKeyDigest(key)};
}

function readDeclared(pem: Buffer): DeclaredPublicKey | undefined {
  try {
    const [block, ...more] = decodePemBlocks(pem, {
      what: 'tls.key',
      labels: ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'],
      maxBytes: pemLimits.privateKeyBytesMax,
      maxBlocks: 1,
    });
    return block === undefined || more.length > 0 ? undefined : declaredPublicKey(block);
  } catch (error) {
    if (isCoded(error)) return undefined; // decodePrivateKey says what is wrong with it
    throw error;
  }
}

function leafFacts(chain: Buffer): LeafFacts {
  const [der] = decodePem(chain, {
    what: 'tls.crt',
    labels: ['CERTIFICATE'],
    maxBytes: pemLimits.chainBytesMax,
    maxBlocks: UNORDERED_LENGTH_MAX,
  });
  if (der === undefined) throw new Error('it holds no certificate');
  return leafFactsOf(parseCertificate(der));
}

/** Copies what is kept, so that the certificate's bytes can go. */
export function leafFactsOf(certificate: ParsedCertificate): LeafFacts {
  const {subject, issuer, names, serial, notBefore, notAfter} = certificate;
  const {isCa, isSelfSigned, usages, publicKeyDigest: digest} = certificate;
  return {
    subject,
    issuer: shared.share(issuer),
    names,
    serial: serial.toString('hex'),
    notBefore,
    notAfter,
    isCa,
    isSelfSigned,
    usages: shared.share(usages),
    publicKeyDigest: digest,
  };
}
