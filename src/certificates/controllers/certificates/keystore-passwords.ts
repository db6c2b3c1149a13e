import {Secret} from '#shared/secret';
import type {Certificate} from '../../apis/certificate.ts';
import type {SecretReader} from '../secret-reader.ts';
import type {KeystorePasswords} from './secret-contents.ts';

type Waiting = {readonly signal: AbortSignal};
type Store = NonNullable<NonNullable<Certificate['spec']['keystores']>['jks' | 'pkcs12']>;

const STORES = ['jks', 'pkcs12'] as const;

/** What keeps a keystore's password from being read, as a sentence; nothing when all can be. */
export async function passwordProblem(
  {metadata, spec}: Certificate,
  {secrets}: {readonly secrets: Pick<SecretReader, 'facts'>},
  waiting: Waiting,
): Promise<string | undefined> {
  for (const store of STORES) {
    const reference = passwordReference(spec.keystores?.[store]);
    if (reference === undefined) continue;
    const {name, key} = reference;
    const facts = await secrets.facts({namespace: metadata.namespace ?? '', name}, waiting);
    const field = `spec.keystores.${store}.passwordSecretRef`;
    if (facts === undefined) {
      return `Secret ${JSON.stringify(name)} of ${field} does not exist; create it with the password under key ${JSON.stringify(key)}`;
    }
    if (!facts.dataKeys.includes(key)) {
      return `Secret ${JSON.stringify(name)} of ${field} has no key ${JSON.stringify(key)}; add it with the password`;
    }
  }
  return undefined;
}

/**
 * The passwords of the keystores that a Certificate asks for, read live.
 *
 * A password that cannot be read is left out; {@link passwordProblem} is asked before.
 */
export async function readPasswords(
  {metadata, spec}: Certificate,
  {secrets}: {readonly secrets: Pick<SecretReader, 'read'>},
  waiting: Waiting,
): Promise<KeystorePasswords> {
  const read = async (store: Store | undefined): Promise<Secret | undefined> => {
    if (store?.create !== true) return undefined;
    const reference = passwordReference(store);
    if (reference === undefined) return new Secret(store.password ?? '');
    const {name, key} = reference;
    const found = await secrets.read({namespace: metadata.namespace ?? '', name}, waiting);
    const value = found?.data?.[key];
    return value === undefined
      ? undefined
      : new Secret(Buffer.from(value, 'base64').toString('utf8'));
  };
  return {jks: await read(spec.keystores?.jks), pkcs12: await read(spec.keystores?.pkcs12)};
}

function passwordReference(
  store: Store | undefined,
): {readonly name: string; readonly key: string} | undefined {
  if (store?.create !== true || store.passwordSecretRef === undefined) return undefined;
  const {name, key = ''} = store.passwordSecretRef;
  return {name, key};
}
