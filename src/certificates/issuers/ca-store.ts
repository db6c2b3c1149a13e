import type {SecretReader} from '../controllers/secret-reader.ts';
import {keyOf, type ObjectName} from '../kube/resource.ts';
import {caSecretContents, type CaSecretContents} from './ca-key-pair.ts';

/**
 * The key pairs of CAs. Each is read and parsed once per version of its Secret, so that a thousand
 * requests to one CA cost one read; it is the only place that keeps private keys in memory.
 */
export interface CaStore {
  /** What the Secret holds now; undefined where there is none. */
  load(
    name: ObjectName,
    waiting: {readonly signal: AbortSignal},
  ): Promise<CaSecretContents | undefined>;
}

/** Few clusters have more than a handful; beyond this the oldest is read again when needed. */
const KEY_PAIRS_MAX = 500;

interface Loaded {
  readonly resourceVersion: string;
  readonly contents: CaSecretContents;
}

/** An empty store over the Secrets of a cluster. */
export function createCaStore(secrets: SecretReader): CaStore {
  const loaded = new Map<string, Loaded>();
  const loading = new Map<string, Promise<CaSecretContents | undefined>>();

  const read = async (
    name: ObjectName,
    waiting: {readonly signal: AbortSignal},
  ): Promise<CaSecretContents | undefined> => {
    const key = keyOf(name);
    const secret = await secrets.read(name, waiting);
    loaded.delete(key);
    if (secret === undefined) return undefined;
    const contents = caSecretContents(secret);
    loaded.set(key, {resourceVersion: secret.metadata.resourceVersion ?? '', contents});
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
