import type {KeyObject} from 'node:crypto';
import {CodedError} from '#shared/errors';
import {certificateEvents, labels} from '../../apis/names.ts';
import {secrets as secretResource, type SecretObject} from '../../apis/resources.ts';
import type {CertificatesErrorCode} from '../../errors.ts';
import {parseKey} from '../../kube/resource.ts';
import {wantedKey} from '../../policies/private-key.ts';
import {decodePrivateKey, encodePrivateKey, generatePrivateKey} from '../../x509/keys.ts';
import {controllerOf} from '../views.ts';
import {keyNamedStatus} from './certificate-status.ts';
import {
  fieldManagers,
  isTaken,
  quote,
  statusOptions,
  tell,
  warn,
  writeStatus,
  type Deed,
} from './deed.ts';
import {ownerReferenceTo} from './secret-contents.ts';
import {secretFacts, type SecretFacts} from './secret-facts.ts';
import {keySecretName, nameOf} from './secret-name.ts';
import type {Step} from './step.ts';

/** Gives the key of an issuance a Secret's name, or takes the name of one that is there. */
export async function nameKey(
  deed: Deed,
  step: Extract<Step, {readonly kind: 'name-key' | 'adopt-key'}>,
): Promise<void> {
  const {state} = deed;
  const {name} = state.certificate.metadata;
  const keyName = step.kind === 'adopt-key' ? step.name : keySecretName(name, deed.random);
  const status = keyNamedStatus(state, keyName, statusOptions(deed));
  const written = await writeStatus(deed, status, fieldManagers.key);
  if (step.kind === 'adopt-key' || step.unusable === undefined) return;
  const message = `The private key in Secret ${quote(nameOf(step.unusable))} is not what spec.privateKey asks for; another one is made`;
  tell(deed, written, {reason: certificateEvents.deleted, message});
}

/** Makes the key of an issuance, and stores it. */
export async function createKey(
  deed: Deed,
  step: Extract<Step, {readonly kind: 'create-key'}>,
): Promise<void> {
  const {certificate} = deed.state;
  if (step.warning !== undefined) warn(deed, certificate, step.warning);
  const result = await createKeySecret(deed, step);
  if (result === 'name-taken') {
    await nameKey(deed, {kind: 'name-key'});
    return;
  }
  if (result === 'there-already') return;
  const reused = step.source === 'reuse';
  const what = reused ? 'The private key of the present certificate' : 'A new private key';
  const message = `${what} was put into the temporary Secret ${quote(step.name)}`;
  tell(deed, certificate, {
    reason: reused ? certificateEvents.reused : certificateEvents.generated,
    message,
  });
}

/**
 * Stores the private key of an issuance before anything is asked for with it, so that a controller
 * that is killed goes on with the same key.
 *
 * @returns `there-already` when an earlier call got through unheard, `name-taken` when the name
 *   belongs to somebody else
 */
async function createKeySecret(
  deed: Deed,
  {name, source}: {readonly name: string; readonly source: 'generate' | 'reuse'},
): Promise<'created' | 'there-already' | 'name-taken'> {
  const {client, views, keys, signal, state} = deed;
  const {certificate} = state;
  const key =
    source === 'reuse'
      ? await readTargetKey(deed)
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
    const created = await client.create(secretResource, object, {
      signal,
      fieldManager: fieldManagers.key,
    });
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
  {client, views, keys, signal, state}: Deed,
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
async function readTargetKey({client, signal, state}: Deed): Promise<KeyObject> {
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
