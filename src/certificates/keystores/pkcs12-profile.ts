import {createCipheriv, createHmac, hash, pbkdf2Sync, randomBytes} from 'node:crypto';
import {algorithm, integer, nullValue, octetString, sequence} from './der-encoding.ts';
import {derivePkcs12} from './pkcs12-kdf.ts';
import {encryptRc2Cbc} from './rc2.ts';

/** Certificate `spec.keystores.pkcs12.profile`. */
export type Pkcs12Profile = 'LegacyRC2' | 'LegacyDES' | 'Modern2023' | 'Modern2026';

/** How one profile protects its contents; see certificates.md §7.4. */
export interface Pkcs12Protection {
  readonly encryptCertificates: Encrypt;
  readonly encryptKey: Encrypt;
  /** MacData (RFC 7292 §4) over the contents. */
  readonly authenticate: (contents: Buffer, password: string) => Buffer;
}

type Encrypt = (plaintext: Buffer, password: string) => Encrypted;

export interface Encrypted {
  readonly algorithm: Buffer;
  readonly ciphertext: Buffer;
}

export const pkcs12Protections: Readonly<Record<Pkcs12Profile, Pkcs12Protection>> = {
  LegacyRC2: {
    encryptCertificates: encryptRc2,
    encryptKey: encryptTripleDes,
    authenticate: passwordMac('sha1', {saltOctets: 8, iterations: 1}),
  },
  LegacyDES: {
    encryptCertificates: encryptTripleDes,
    encryptKey: encryptTripleDes,
    authenticate: passwordMac('sha1', {saltOctets: 8, iterations: 1}),
  },
  Modern2023: {
    encryptCertificates: encryptAes,
    encryptKey: encryptAes,
    authenticate: passwordMac('sha256', {saltOctets: 16, iterations: 2048}),
  },
  Modern2026: {encryptCertificates: encryptAes, encryptKey: encryptAes, authenticate: pbmac1},
};

const ITERATIONS = 2048;

// RFC 7292 appendix C
function encryptRc2(plaintext: Buffer, password: string): Encrypted {
  const salt = randomBytes(8);
  const derived = {digest: 'sha1', password, salt, iterations: ITERATIONS} as const;
  const key = derivePkcs12({...derived, purpose: 'key', octets: 5});
  const iv = derivePkcs12({...derived, purpose: 'iv', octets: 8});
  return {
    algorithm: algorithm(oids.pbeSha1Rc240, sequence(octetString(salt), integer(ITERATIONS))),
    ciphertext: encryptRc2Cbc({key, iv}, plaintext),
  };
}

function encryptTripleDes(plaintext: Buffer, password: string): Encrypted {
  const salt = randomBytes(8);
  const derived = {digest: 'sha1', password, salt, iterations: ITERATIONS} as const;
  const key = derivePkcs12({...derived, purpose: 'key', octets: 24});
  const iv = derivePkcs12({...derived, purpose: 'iv', octets: 8});
  return {
    algorithm: algorithm(oids.pbeSha1TripleDes, sequence(octetString(salt), integer(ITERATIONS))),
    ciphertext: encrypt('des-ede3-cbc', {key, iv}, plaintext),
  };
}

// RFC 8018 §6.2
function encryptAes(plaintext: Buffer, password: string): Encrypted {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const key = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const derivation = algorithm(
    oids.pbkdf2,
    sequence(octetString(salt), integer(ITERATIONS), algorithm(oids.hmacSha256, nullValue)),
  );
  const scheme = algorithm(oids.aes256Cbc, octetString(iv));
  return {
    algorithm: algorithm(oids.pbes2, sequence(derivation, scheme)),
    ciphertext: encrypt('aes-256-cbc', {key, iv}, plaintext),
  };
}

function encrypt(
  cipherName: string,
  {key, iv}: {readonly key: Buffer; readonly iv: Buffer},
  plaintext: Buffer,
): Buffer {
  const cipher = createCipheriv(cipherName, key, iv);
  return Buffer.concat([cipher.update(plaintext), cipher.final()]);
}

/** RFC 7292 §5.1: HMAC with a key that PKCS#12's own derivation makes. */
function passwordMac(
  digest: 'sha1' | 'sha256',
  {saltOctets, iterations}: {readonly saltOctets: number; readonly iterations: number},
): Pkcs12Protection['authenticate'] {
  return (contents, password) => {
    const salt = randomBytes(saltOctets);
    const octets = hash(digest, '', 'buffer').length;
    const key = derivePkcs12({digest, password, salt, iterations, purpose: 'mac', octets});
    const mac = createHmac(digest, key).update(contents).digest();
    const digestInfo = sequence(algorithm(oids[digest], nullValue), octetString(mac));
    // DER leaves a default out, and 1 is it.
    const count = iterations === 1 ? [] : [integer(iterations)];
    return sequence(digestInfo, octetString(salt), ...count);
  };
}

/** RFC 9579: PBMAC1 with PBKDF2; salt and count of MacData itself are not used any more. */
function pbmac1(contents: Buffer, password: string): Buffer {
  const salt = randomBytes(16);
  const key = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const hmac = algorithm(oids.hmacSha256, nullValue);
  const derivation = algorithm(
    oids.pbkdf2,
    sequence(octetString(salt), integer(ITERATIONS), integer(key.length), hmac),
  );
  const mac = createHmac('sha256', key).update(contents).digest();
  const digestInfo = sequence(algorithm(oids.pbmac1, sequence(derivation, hmac)), octetString(mac));
  return sequence(digestInfo, octetString(Buffer.from('NOT USED')));
}

const oids = {
  pbeSha1Rc240: '1.2.840.113549.1.12.1.6',
  pbeSha1TripleDes: '1.2.840.113549.1.12.1.3',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  pbmac1: '1.2.840.113549.1.5.14',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;
