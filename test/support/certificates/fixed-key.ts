import {createHash, createPrivateKey, type KeyObject} from 'node:crypto';

/** PKCS#8 of an Ed25519 key up to its 32 octets (RFC 8410 §7). */
const PKCS8_BEGINNING = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The same Ed25519 key for the same name, in every run: for golden files. */
export function fixedKey(name: string): KeyObject {
  const seed = createHash('sha256').update(name).digest();
  return createPrivateKey({
    key: Buffer.concat([PKCS8_BEGINNING, seed]),
    format: 'der',
    type: 'pkcs8',
  });
}
