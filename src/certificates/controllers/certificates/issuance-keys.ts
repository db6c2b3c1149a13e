import type {KeyObject} from 'node:crypto';
import {secrets as secretResource} from '../../apis/resources.ts';
import {parseKey} from '../../kube/resource.ts';
import {decodePrivateKey, publicKeyDigest} from '../../x509/keys.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import type {SecretFacts} from './secret-facts.ts';

/** Private keys of issuances under way. The Secrets are the truth; this saves reading them. */
export interface IssuanceKeys {
  /** Keeps a key that was just stored. */
  remember(secretKey: string, key: KeyObject): void;
  forget(secretKey: string): void;
  /**
   * The key in a temporary Secret; undefined when the Secret is gone, or holds another key by now.
   *
   * @throws CodedError ERR_PRIVATE_KEY_INVALID
   */
  read(
    secret: SecretFacts,
    waiting: {readonly signal: AbortSignal},
  ): Promise<KeyObject | undefined>;
}

/** An issuance takes a second; what waits longer can be read again. */
const KEYS_MAX = 256;

export function createIssuanceKeys({client}: Pick<ReconcilerDependencies, 'client'>): IssuanceKeys {
  const kept = new Map<string, KeyObject>();
  const remember = (secretKey: string, key: KeyObject): void => {
    kept.delete(secretKey); // so that it becomes the youngest
    kept.set(secretKey, key);
    for (const oldest of kept.keys()) {
      if (kept.size <= KEYS_MAX) break;
      kept.delete(oldest);
    }
  };
  return {
    remember,
    forget: secretKey => void kept.delete(secretKey),
    async read({key: secretKey, keyPair}, {signal}) {
      const known = kept.get(secretKey);
      if (known !== undefined && publicKeyDigest(known) === keyPair.publicKeyDigest) return known;
      const secret = await client.get(secretResource, parseKey(secretKey), {signal});
      const pem = secret?.data?.['tls.key'];
      if (pem === undefined) return undefined;
      const key = decodePrivateKey(Buffer.from(pem, 'base64'));
      if (publicKeyDigest(key) !== keyPair.publicKeyDigest) return undefined;
      remember(secretKey, key);
      return key;
    },
  };
}
