import ssh2 from 'ssh2';

export interface KeyPair {
  /** OpenSSH's private key format. */
  readonly private: string;
  /** `ssh-ed25519 AAAA…` */
  readonly public: string;
}

/**
 * A new key for SSH. One in about 150 ed25519 keys that ssh2 1.17 generates is malformed (a leading
 * zero byte is lost; OpenSSH refuses them too), so keys are made until one can be read.
 */
export function createKeyPair(type: 'ed25519' | 'ecdsa'): KeyPair {
  for (;;) {
    const pair = generate(type);
    if (!(ssh2.utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}

/** The same with a passphrase, whatever it is. */
export const createEncryptedKey = (): string =>
  ssh2.utils.generateKeyPairSync('ed25519', {
    passphrase: 'secret',
    cipher: 'aes256-ctr',
    rounds: 1,
  }).private;

const generate = (type: 'ed25519' | 'ecdsa'): KeyPair =>
  type === 'ecdsa'
    ? ssh2.utils.generateKeyPairSync('ecdsa', {bits: 256})
    : ssh2.utils.generateKeyPairSync('ed25519');
