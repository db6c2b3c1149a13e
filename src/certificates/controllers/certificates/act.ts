import type {KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {Certificate, CertificateStatus} from '../../apis/certificate.ts';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {certificateEvents as events, certificateReasons as reasons} from '../../apis/names.ts';
import {certificateRequests, certificates} from '../../apis/resources.ts';
import type {CertificateState, OwnedRequest} from '../../policies/certificate-state.ts';
import {keyOf} from '../../kube/resource.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {requestDifferences} from '../../policies/request-matches.ts';
import {controllerOf, itemOf} from '../views.ts';
import {
  abandonedStatus,
  beginningStatus,
  failedStatus,
  finishedStatus,
  keyNamedStatus,
  presentStatus,
  type StatusOptions,
} from './certificate-status.ts';
import {createIssuanceKeys, type IssuanceKeys} from './issuance-keys.ts';
import {createKeySecret, deleteKeySecrets} from './key-secrets.ts';
import {requestObject} from './request-object.ts';
import {keySecretName, nameOf} from './secret-name.ts';
import {signingRequestFor} from './signing-request.ts';
import {ownedRequest} from './state.ts';
import type {Step} from './step.ts';
import {repairSecret, writeIssued, writeTemporary} from './target-secret.ts';

/** What one step of one Certificate is taken with. */
export interface Act extends ReconcilerDependencies {
  readonly state: CertificateState;
  readonly keys: IssuanceKeys;
  readonly signal: AbortSignal;
}

type Deed = Exclude<Step, {readonly kind: 'idle' | 'wait'}>;

export interface Actor {
  /** Takes one step and feeds what came back into the views. */
  act(state: CertificateState, step: Deed, waiting: {readonly signal: AbortSignal}): Promise<void>;
}

/** Who writes which part, as cert-manager names its controllers. */
const MANAGERS = {
  trigger: 'cert-manager-certificates-trigger',
  key: 'cert-manager-certificates-key-manager',
  request: 'cert-manager-certificates-request-manager',
  issuing: 'cert-manager-certificates-issuing',
  readiness: 'cert-manager-certificates-readiness',
} as const;

export function createActor(dependencies: ReconcilerDependencies): Actor {
  const keys = createIssuanceKeys(dependencies);
  return {
    async act(state, step, {signal}) {
      const act: Act = {...dependencies, state, keys, signal};
      try {
        await take(step, act);
      } catch (error) {
        await tellRefusal(error, step, act);
        throw error;
      }
    },
  };
}

async function take(step: Deed, act: Act): Promise<void> {
  const {state} = act;
  const options = statusOptions(act);
  switch (step.kind) {
    case 'update-readiness': {
      const written = await writeStatus(act, step.status, MANAGERS.readiness);
      if (step.warning !== undefined) act.events.record(written, warningOf(step.warning));
      return;
    }
    case 'begin-issuing': {
      const name = keySecretName(state.certificate.metadata.name, act.random);
      const {violation} = step;
      const status = beginningStatus(state, {violation, keySecretName: name}, options);
      const written = await writeStatus(act, status, MANAGERS.trigger);
      tell(act, written, {reason: events.issuing, message: violation.message});
      return;
    }
    case 'abandon':
      await writeStatus(act, abandonedStatus(state, options), MANAGERS.issuing);
      return;
    case 'name-key':
    case 'adopt-key':
      await nameKey(act, step);
      return;
    case 'create-key':
      return createKey(act, step);
    case 'delete-keys':
      return deleteKeySecrets(act, step.secrets);
    case 'create-request':
      return createRequest(act, step);
    case 'delete-requests':
    case 'prune-requests':
      return deleteRequests(act, step.requests);
    case 'write-temporary':
      return writeTemporary(act, step);
    case 'write-secret':
      return writeOrFail(act, step);
    case 'repair-secret':
      return repairSecret(act, step);
    case 'finish': {
      const written = await writeStatus(act, finishedStatus(state, options), MANAGERS.issuing);
      tell(act, written, {reason: events.issuing, message: 'The certificate has been issued'});
      return;
    }
    case 'fail':
      return fail(act, step.failure);
    default:
      return step satisfies never;
  }
}

function statusOptions({clock, settings}: Act): StatusOptions {
  return {now: clock.now(), limits: settings};
}

/** The resourceVersion that was decided on is the lock: whoever was faster wins. */
async function writeStatus(
  {client, views, signal, state}: Act,
  status: CertificateStatus,
  fieldManager: string,
): Promise<Certificate> {
  const object = {...state.certificate, status};
  const written = await client.updateStatus(certificates, object, {signal, fieldManager});
  views.certificates.observe(itemOf(written));
  return written;
}

async function nameKey(
  act: Act,
  step: Extract<Step, {readonly kind: 'name-key' | 'adopt-key'}>,
): Promise<void> {
  const {state} = act;
  const {name} = state.certificate.metadata;
  const keyName = step.kind === 'adopt-key' ? step.name : keySecretName(name, act.random);
  const status = keyNamedStatus(state, keyName, statusOptions(act));
  const written = await writeStatus(act, status, MANAGERS.key);
  if (step.kind === 'adopt-key' || step.unusable === undefined) return;
  const message = `The private key in Secret ${quote(nameOf(step.unusable))} is not what spec.privateKey asks for; another one is made`;
  tell(act, written, {reason: events.deleted, message});
}

async function createKey(
  act: Act,
  step: Extract<Step, {readonly kind: 'create-key'}>,
): Promise<void> {
  const {certificate} = act.state;
  if (step.warning !== undefined) act.events.record(certificate, warningOf(step.warning));
  const result = await createKeySecret(act, step, MANAGERS.key);
  if (result === 'name-taken') {
    await nameKey(act, {kind: 'name-key'});
    return;
  }
  if (result === 'there-already') return;
  const reused = step.source === 'reuse';
  const what = reused ? 'The private key of the present certificate' : 'A new private key';
  const message = `${what} was put into the temporary Secret ${quote(step.name)}`;
  tell(act, certificate, {reason: reused ? events.reused : events.generated, message});
}

async function createRequest(
  act: Act,
  {revision, key: secret}: Extract<Step, {readonly kind: 'create-request'}>,
): Promise<void> {
  const {client, views, signal, state, keys} = act;
  const {certificate} = state;
  const key = await keys.read(secret, {signal});
  if (key === undefined) {
    views.secrets.forget(secret.key); // the watch is behind; without its key it is worth nothing
    return;
  }
  const object = newRequest(act, {revision, key, keySecretName: nameOf(secret)});
  if (!('metadata' in object)) {
    const failure = {reason: reasons.invalidCertificateRequest, message: object.message};
    await fail(act, failure, events.requestFailed);
    return;
  }
  try {
    const options = {signal, fieldManager: MANAGERS.request};
    const created = await client.create(certificateRequests, object, options);
    views.certificateRequests.observe(itemOf(created));
  } catch (error) {
    if (!isTaken(error)) throw error;
    await takeOverRequest(act, object.metadata);
    return;
  }
  const message = `Asked for a certificate with CertificateRequest ${quote(object.metadata.name)}`;
  tell(act, certificate, {reason: events.requested, message});
}

/** A request that would not be taken for what the specification asks for would be made for ever. */
function newRequest(
  {state, settings}: Act,
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
 * @throws ApiRefusedError (409) where it is somebody else's
 */
async function takeOverRequest(
  {client, views, signal, state}: Act,
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

async function deleteRequests(act: Act, requests: readonly OwnedRequest[]): Promise<void> {
  for (const {object} of requests) await deleteRequest(act, object);
}

async function deleteRequest(
  {client, views, signal}: Pick<Act, 'client' | 'views' | 'signal'>,
  object: OwnedRequest['object'],
): Promise<void> {
  const {namespace = '', name, uid} = object.metadata;
  const options = uid === undefined ? {signal} : {signal, uid};
  await client.delete(certificateRequests, {namespace, name}, options);
  views.certificateRequests.forget(keyOf(object));
}

/** A keystore that cannot be made is a failure like any other: told, and tried again later. */
async function writeOrFail(
  act: Act,
  step: Extract<Step, {readonly kind: 'write-secret'}>,
): Promise<void> {
  try {
    await writeIssued(act, step);
  } catch (error) {
    if (!isCoded(error) || isOfApi(error)) throw error;
    const message = `the Secret cannot be written: ${error.message}; ${error.hint}`;
    await fail(act, {reason: reasons.failed, message});
  }
}

async function fail(
  act: Act,
  failure: {readonly reason: string; readonly message: string},
  eventReason: string = failure.reason,
): Promise<void> {
  const status = failedStatus(act.state, failure, statusOptions(act));
  const written = await writeStatus(act, status, MANAGERS.issuing);
  act.events.record(written, warningOf({...failure, reason: eventReason}));
}

/** What the API refuses for good is told in the conditions; it is still tried again later. */
async function tellRefusal(error: unknown, step: Deed, act: Act): Promise<void> {
  if (!(error instanceof ApiRefusedError) || !LASTING.has(error.status)) return;
  const isOwnStatus = !['create-key', 'create-request', 'write-secret', 'write-temporary', 'repair-secret'].includes(step.kind); // prettier-ignore
  if (isOwnStatus) return;
  const {status: before} = act.state.certificate;
  const waitsFor = `the API refuses a step (${step.kind}): ${error.message}`;
  const status = presentStatus(act.state, {...statusOptions(act), waitsFor});
  if (JSON.stringify(status.conditions) === JSON.stringify(before?.conditions)) return;
  const written = await writeStatus(act, status, MANAGERS.readiness);
  act.events.record(written, warningOf({reason: events.requestFailed, message: waitsFor}));
}

/** Answers that are the same the next time, unless something changes. */
const LASTING: ReadonlySet<number> = new Set([400, 403, 404, 413, 422]);

function isTaken(error: unknown): boolean {
  return (
    error instanceof ApiRefusedError && error.status === 409 && error.reason === 'AlreadyExists'
  );
}

function isOfApi({code}: {readonly code: string}): boolean {
  return code.startsWith('ERR_API_');
}

function warningOf({reason, message}: {readonly reason: string; readonly message: string}) {
  return {type: 'Warning', reason, message} as const;
}

function tell(
  act: Act,
  certificate: Certificate,
  {reason, message}: {readonly reason: string; readonly message: string},
): void {
  act.events.record(certificate, {type: 'Normal', reason, message});
}

function quote(text: string): string {
  return JSON.stringify(text);
}
