import type {SecretReader} from '../controllers/secret-reader.ts';
import {keyOf, type ObjectName} from '../kube/resource.ts';
import {caSecretContents, type CaSecretContents} from './ca-key-pair.ts';
import {accessSecret, type SecretAccess} from './secret-access.ts';

/**
 * The key pairs of CAs. Each is read and parsed once per version of its Secret, so that a thousand
 * requests to one CA cost one read; it is the only place that keeps private keys in memory.
 */
export interface CaStore {
  /** What the Secret holds now. */
  load(name: ObjectName, waiting: {readonly signal: AbortSignal}): Promise<LoadedCa>;
}

export type LoadedCa = CaSecretContents | Exclude<SecretAccess, {kind: 'found'}>;

/** Few clusters have more than a handful; beyond this the oldest is read again when needed. */
const KEY_PAIRS_MAX = 500;

interface Loaded {
  readonly resourceVersion: string;
  readonly contents: CaSecretContents;
}

/** An empty store over the Secrets of a cluster. */
export function createCaStore(secrets: SecretReader): CaStore {
  const loaded = new Map<string, Loaded>();
  const loading = new Map<string, Promise<LoadedCa>>();

  const read = async (
    name: ObjectName,
    waiting: {readonly signal: AbortSignal},
  ): Promise<LoadedCa> => {
    const key = keyOf(name);
    const access = await accessSecret(secrets, name, waiting);
    loaded.delete(key);
    if (access.kind !== 'found') return access;
    const contents = caSecretContents(access.secret);
    const {resourceVersion = ''} = access.secret.metadata;
    loaded.set(key, {resourceVersion, contents});
    for (const oldest of loaded.keys()) {
      if (loaded.size <= KEY_PAIRS_MAX) break;
      loaded.delete(oldest);
    }
    return contents;
  };

  return {
    load: (name, waiting) => {
      const key = keyOf(name);
      const version = secrets.version(name);
      const present = loaded.get(key);
      if (present !== undefined && present.resourceVersion === version) {
        return Promise.resolve(present.contents);
      }
      // Those that come together wait for one read; it began after the change that they know of,
      // or its answer is older than the views and the next call reads again.
      const running = loading.get(key);
      if (running !== undefined) return running;
      const promise = read(name, waiting).finally(() => loading.delete(key));
      loading.set(key, promise);
      return promise;
    },
  };
}
