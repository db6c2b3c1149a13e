import type {KeyObject} from 'node:crypto';
import {CodedError} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import {labels} from '../../apis/names.ts';
import {secrets as secretResource, type SecretObject} from '../../apis/resources.ts';
import type {CertificatesErrorCode} from '../../errors.ts';
import {parseKey} from '../../kube/resource.ts';
import {wantedKey} from '../../policies/private-key.ts';
import {decodePrivateKey, encodePrivateKey, generatePrivateKey} from '../../x509/keys.ts';
import {controllerOf} from '../views.ts';
import type {Act} from './act.ts';
import {ownerReferenceTo} from './secret-contents.ts';
import {secretFacts, type SecretFacts} from './secret-facts.ts';
import {nameOf} from './secret-name.ts';

/**
 * Stores the private key of an issuance before anything is asked for with it, so that a controller
 * that is killed goes on with the same key.
 *
 * @returns `there-already` when an earlier call got through unheard, `name-taken` when the name
 *   belongs to somebody else
 */
export async function createKeySecret(
  act: Act,
  {name, source}: {readonly name: string; readonly source: 'generate' | 'reuse'},
  fieldManager: string,
): Promise<'created' | 'there-already' | 'name-taken'> {
  const {client, views, keys, signal, state} = act;
  const {certificate} = state;
  const key =
    source === 'reuse'
      ? await readTargetKey(act)
      : await generatePrivateKey(wantedKey(certificate.spec));
  const {namespace = ''} = certificate.metadata;
  const object: SecretObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels: {[labels.nextPrivateKey]: 'true', [labels.managed]: 'true'},
      ownerReferences: [ownerReferenceTo(certificate)],
    },
    type: 'Opaque',
    data: {'tls.key': Buffer.from(encodePrivateKey(key, 'PKCS8')).toString('base64')},
  };
  try {
    const created = await client.create(secretResource, object, {signal, fieldManager});
    const facts = secretFacts(created);
    keys.remember(facts.key, key);
    views.secrets.observe(facts);
    return 'created';
  } catch (error) {
    if (!isTaken(error)) throw error;
    const found = await client.get(secretResource, {namespace, name}, {signal});
    if (found === undefined) return 'there-already'; // and gone again: the next look makes it anew
    const facts = secretFacts(found);
    const isOurs = controllerOf(facts.ownerReferences)?.uid === certificate.metadata.uid;
    if (!isOurs || !facts.isTemporaryKey) return 'name-taken';
    views.secrets.observe(facts);
    return 'there-already';
  }
}

/** Deletes temporary keys, and nothing that came in their place meanwhile. */
export async function deleteKeySecrets(
  {client, views, keys, signal, state}: Act,
  secrets: readonly SecretFacts[],
): Promise<void> {
  for (const secret of secrets) {
    const {namespace = ''} = state.certificate.metadata;
    const name = {namespace, name: nameOf(secret)};
    await client.delete(secretResource, name, {signal, uid: secret.uid});
    views.secrets.forget(secret.key);
    keys.forget(secret.key);
  }
}

/** rotationPolicy Never: the key that the target Secret has. */
async function readTargetKey({client, signal, state}: Act): Promise<KeyObject> {
  const {secret, certificate} = state;
  const {namespace = ''} = certificate.metadata;
  const {secretName} = certificate.spec;
  const name = secret === undefined ? {namespace, name: secretName} : parseKey(secret.key);
  const found = await client.get(secretResource, name, {signal});
  const pem = found?.data?.['tls.key'];
  if (pem !== undefined) return decodePrivateKey(Buffer.from(pem, 'base64'));
  throw new CodedError<CertificatesErrorCode>(
    'ERR_SECRET_MISSING',
    `the private key in Secret ${secretName} was to be used again, and is gone`,
    {hint: 'nothing to do: the next look at the Certificate finds out what is there now'},
  );
}

function isTaken(error: unknown): boolean {
  return (
    error instanceof ApiRefusedError && error.status === 409 && error.reason === 'AlreadyExists'
  );
}
