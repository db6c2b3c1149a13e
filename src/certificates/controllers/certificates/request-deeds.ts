import type {KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {Certificate} from '../../apis/certificate.ts';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {certificateEvents as events, certificateReasons as reasons} from '../../apis/names.ts';
import {certificateRequests} from '../../apis/resources.ts';
import {keyOf} from '../../kube/resource.ts';
import type {OwnedRequest} from '../../policies/certificate-state.ts';
import {requestDifferences} from '../../policies/request-matches.ts';
import {controllerOf, itemOf} from '../views.ts';
import {fail, fieldManagers, isTaken, quote, tell, type Deed} from './deed.ts';
import {requestObject} from './request-object.ts';
import {nameOf} from './secret-name.ts';
import {signingRequestFor} from './signing-request.ts';
import {ownedRequest} from './state.ts';
import type {Step} from './step.ts';

/** Asks the issuer for a certificate: creates the CertificateRequest of the next revision. */
export async function createRequest(
  deed: Deed,
  {revision, key: secret}: Extract<Step, {readonly kind: 'create-request'}>,
): Promise<void> {
  const {client, views, signal, state, keys} = deed;
  const {certificate} = state;
  const key = await keys.read(secret, {signal});
  if (key === undefined) {
    views.secrets.forget(secret.key); // the watch is behind; without its key it is worth nothing
    return;
  }
  const object = newRequest(deed, {revision, key, keySecretName: nameOf(secret)});
  if (!('metadata' in object)) {
    const failure = {reason: reasons.invalidCertificateRequest, message: object.message};
    await fail(deed, failure, events.requestFailed);
    return;
  }
  try {
    const options = {signal, fieldManager: fieldManagers.request};
    const created = await client.create(certificateRequests, object, options);
    views.certificateRequests.observe(itemOf(created));
  } catch (error) {
    if (!isTaken(error)) throw error;
    await takeOverRequest(deed, object.metadata);
    return;
  }
  const message = `Asked for a certificate with CertificateRequest ${quote(object.metadata.name)}`;
  tell(deed, certificate, {reason: events.requested, message});
}

/** A request that would not be taken for what the specification asks for would be made for ever. */
function newRequest(
  {state, settings}: Deed,
  parts: {readonly revision: number; readonly key: KeyObject; readonly keySecretName: string},
): CertificateRequest | {readonly message: string} {
  const {certificate} = state;
  try {
    const object = requestObject(certificate, {
      ...parts,
      signingRequest: signingRequestFor(certificate.spec, parts.key),
      copiedAnnotationPrefixes: settings.copiedAnnotationPrefixes,
    });
    const differences = requestDifferences(certificate.spec, ownedRequest(object, certificate));
    if (differences.length === 0) return object;
    const message = `no request can say what the specification says in ${differences.join(', ')}`;
    return {message};
  } catch (error) {
    if (!isCoded(error)) throw error;
    const message = `no signing request can be made: ${error.message}; ${error.hint}`;
    return {message};
  }
}

/**
 * There is a request of that name already: ours, which the watch has not told yet; or one of an
 * earlier Certificate of this name, which is on its way out.
 *
 * @throws ApiRefusedError where it is somebody else's
 */
async function takeOverRequest(
  {client, views, signal, state}: Deed,
  {namespace = '', name}: Certificate['metadata'],
): Promise<void> {
  const found = await client.get(certificateRequests, {namespace, name}, {signal});
  if (found === undefined) return;
  const owner = controllerOf(found.metadata['ownerReferences']);
  const {metadata} = state.certificate;
  if (owner?.uid === metadata.uid) {
    views.certificateRequests.observe(itemOf(found));
    return;
  }
  const isOrphan = owner?.kind === 'Certificate' && owner.name === metadata.name;
  if (!isOrphan) {
    const message = `CertificateRequest ${quote(name)} is not of this Certificate; delete it, or rename one of the two`;
    throw new ApiRefusedError('create CertificateRequest', {
      status: 422,
      reason: 'NameTaken',
      message,
    });
  }
  await deleteRequest({client, views, signal}, found);
}

/** Deletes requests, and nothing that came in their place meanwhile. */
export async function deleteRequests(deed: Deed, requests: readonly OwnedRequest[]): Promise<void> {
  for (const {object} of requests) await deleteRequest(deed, object);
}

async function deleteRequest(
  {client, views, signal}: Pick<Deed, 'client' | 'views' | 'signal'>,
  object: OwnedRequest['object'],
): Promise<void> {
  const {namespace = '', name, uid} = object.metadata;
  const options = uid === undefined ? {signal} : {signal, uid};
  await client.delete(certificateRequests, {namespace, name}, options);
  views.certificateRequests.forget(keyOf(object));
}
