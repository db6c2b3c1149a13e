import {createHash, hash, randomBytes, type KeyObject} from 'node:crypto';
import type {ParsedCertificate} from '../x509/certificate.ts';
import {encodePrivateKeyDer} from '../x509/keys.ts';
import {algorithm, nullValue, octetString, sequence} from './der-encoding.ts';
import {checkKeystoreInput, keystoreInvalid, withoutRepetition} from './keystore-input.ts';

export interface JksInput {
  /** Java looks aliases up in lower case, so they are written in it. */
  readonly alias: string;
  readonly password: string;
  readonly key: KeyObject;
  /** Leaf first. */
  readonly chain: readonly ParsedCertificate[];
  /** May be empty. */
  readonly ca: readonly ParsedCertificate[];
}

/**
 * A Java keystore of version 2 with one private key and its chain, and the CA's certificates as
 * trusted entries `ca`, `ca-1` …; the key's password is the store's.
 *
 * The format is that of the JDK (sun.security.provider.JavaKeyStore): its "encryption" is a SHA-1
 * key stream and protects little; users who can, take PKCS#12. Entries carry the start of the
 * leaf's validity as their date.
 * @throws CodedError `ERR_KEYSTORE_INVALID` for a password or alias that is empty or too long
 */
export function createJks({alias, password, key, chain, ca}: JksInput): Buffer {
  checkKeystoreInput({password, certificates: [...chain, ...ca]});
  const name = alias.toLowerCase();
  const entry = Buffer.concat([
    uint32(PRIVATE_KEY_ENTRY),
    modifiedUtf8(name),
    date(chain),
    lengthAndOctets(shroudKey(encodePrivateKeyDer(key, 'PKCS8'), password)),
    uint32(chain.length),
    ...chain.map(encodeCertificate),
  ]);
  return store([entry, ...trustedEntries(ca, name)], password);
}

export interface JksTruststoreInput {
  readonly password: string;
  readonly ca: readonly ParsedCertificate[];
}

/**
 * A Java keystore with trusted certificates only, named `ca`, `ca-1` …
 *
 * @throws CodedError `ERR_KEYSTORE_INVALID`, see {@link createJks}
 */
export function createJksTruststore({password, ca}: JksTruststoreInput): Buffer {
  checkKeystoreInput({password, certificates: ca});
  return store(trustedEntries(ca), password);
}

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const PRIVATE_KEY_ENTRY = 1;
const TRUSTED_ENTRY = 2;
const ALIAS_OCTETS_MAX = 1_024;
const SHA1_OCTETS = 20;
/** Sun's own algorithm for keys in a JKS. */
const KEY_PROTECTOR_OID = '1.3.6.1.4.1.42.2.17.1.1';

function store(entries: readonly Buffer[], password: string): Buffer {
  const body = Buffer.concat([uint32(MAGIC), uint32(VERSION), uint32(entries.length), ...entries]);
  const integrity = createHash('sha1')
    .update(encodePassword(password))
    .update('Mighty Aphrodite') // what the JDK puts between password and contents
    .update(body)
    .digest();
  return Buffer.concat([body, integrity]);
}

function trustedEntries(ca: readonly ParsedCertificate[], takenAlias?: string): readonly Buffer[] {
  const aliases = caAliases(takenAlias);
  return withoutRepetition(ca).map(certificate =>
    Buffer.concat([
      uint32(TRUSTED_ENTRY),
      modifiedUtf8(aliases.next().value),
      date([certificate]),
      encodeCertificate(certificate),
    ]),
  );
}

/** `ca`, `ca-1`, `ca-2` … without the one that the key has: the second of a name replaces the first. */
function* caAliases(taken: string | undefined): Generator<string, never> {
  for (let i = 0; ; i++) {
    const alias = i === 0 ? 'ca' : `ca-${i}`;
    if (alias !== taken) yield alias;
  }
}

/** EncryptedPrivateKeyInfo: salt, key XOR stream, SHA-1 over password and key. */
function shroudKey(key: Buffer, password: string): Buffer {
  const secret = encodePassword(password);
  const salt = randomBytes(SHA1_OCTETS);
  const shrouded = Buffer.from(key);
  let stream: Buffer = salt;
  for (let start = 0; start < key.length; start += SHA1_OCTETS) {
    stream = hash('sha1', Buffer.concat([secret, stream]), 'buffer');
    const end = Math.min(start + SHA1_OCTETS, key.length);
    for (let i = start; i < end; i++) shrouded[i] = (key[i] ?? 0) ^ (stream[i - start] ?? 0);
  }
  const check = hash('sha1', Buffer.concat([secret, key]), 'buffer');
  return sequence(
    algorithm(KEY_PROTECTOR_OID, nullValue),
    octetString(Buffer.concat([salt, shrouded, check])),
  );
}

function encodeCertificate({der}: ParsedCertificate): Buffer {
  return Buffer.concat([modifiedUtf8('X.509'), lengthAndOctets(der)]);
}

function date([first]: readonly ParsedCertificate[]): Buffer {
  const octets = Buffer.alloc(8);
  octets.writeBigInt64BE(BigInt(first?.notBefore.getTime() ?? 0));
  return octets;
}

/** As the JDK hashes it: UTF-16, big endian, nothing at the end. */
function encodePassword(password: string): Buffer {
  return Buffer.from(password, 'utf16le').swap16();
}

/** java.io.DataOutput.writeUTF: each UTF-16 unit by itself, zero as two octets. */
function modifiedUtf8(text: string): Buffer {
  const octets = Array.from({length: text.length}, (_, i) => unit(text.charCodeAt(i))).flat();
  if (octets.length === 0 || octets.length > ALIAS_OCTETS_MAX) {
    throw keystoreInvalid(
      `an alias has ${octets.length} bytes`,
      `give spec.keystores.jks.alias 1 to ${ALIAS_OCTETS_MAX} bytes`,
    );
  }
  const length = Buffer.alloc(2);
  length.writeUInt16BE(octets.length);
  return Buffer.concat([length, Buffer.from(octets)]);
}

function unit(code: number): readonly number[] {
  if (code > 0 && code < 0x80) return [code];
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 0x3f)];
  return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

function lengthAndOctets(octets: Buffer): Buffer {
  return Buffer.concat([uint32(octets.length), octets]);
}
