import {secrets as secretType, type SecretObject} from '../apis/resources.ts';
import type {ApiClient} from '../kube/client.ts';
import {keyOf, type ObjectName} from '../kube/resource.ts';
import {secretFacts, type SecretFacts} from './certificates/secret-facts.ts';
import type {Views} from './views.ts';

/** The one way to Secrets. Only what carries our label is held in memory, and no key ever is. */
export interface SecretReader {
  /**
   * What is known of a Secret without its values; undefined where there is none. Costs a request
   * for a Secret without our label, once per version of it.
   *
   * A Secret whose label is taken away or given back leaves one watch before it comes into the
   * other. With `isExpected` the API server is asked before such a Secret counts as missing.
   */
  facts(
    name: ObjectName,
    options: Waiting & {readonly isExpected?: boolean},
  ): Promise<SecretFacts | undefined>;
  /** The Secret as the API server has it now, with its values; undefined where there is none. */
  read(name: ObjectName, waiting: Waiting): Promise<SecretObject | undefined>;
  /** The version that the views know of, without a request. */
  version(name: ObjectName): string | undefined;
}

interface Waiting {
  readonly signal: AbortSignal;
}

/** Facts of Secrets without our label (made by hand, or of an older installation) that are kept. */
const UNLABELLED_FACTS_MAX = 1_000;

/** Reads Secrets through the views, and from the API server where those don't have them. */
export function createSecretReader({
  client,
  views,
}: {
  readonly client: ApiClient;
  readonly views: Pick<Views, 'secrets' | 'otherSecrets'>;
}): SecretReader {
  const unlabelled = new Map<string, SecretFacts>();

  const read = (name: ObjectName, {signal}: Waiting): Promise<SecretObject | undefined> =>
    client.get(secretType, name, {signal});

  return {
    read,
    version: name => {
      const key = keyOf(name);
      return (views.secrets.get(key) ?? views.otherSecrets.get(key))?.resourceVersion;
    },
    facts: async (name, {signal, isExpected = false}) => {
      const key = keyOf(name);
      const labelled = views.secrets.get(key);
      if (labelled !== undefined) return labelled;
      const known = views.otherSecrets.get(key);
      const kept = unlabelled.get(key);
      if (known === undefined) {
        unlabelled.delete(key);
        if (!isExpected) return undefined; // when it comes, its readers are looked at again
        const found = await read(name, {signal});
        return found === undefined ? undefined : secretFacts(found);
      }
      if (kept?.resourceVersion === known.resourceVersion) return kept;
      const secret = await read(name, {signal});
      unlabelled.delete(key);
      if (secret === undefined) return undefined;
      const facts = secretFacts(secret);
      unlabelled.set(key, facts);
      for (const oldest of unlabelled.keys()) {
        if (unlabelled.size <= UNLABELLED_FACTS_MAX) break;
        unlabelled.delete(oldest);
      }
      return facts;
    },
  };
}
