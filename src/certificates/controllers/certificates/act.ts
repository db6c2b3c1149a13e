import {isCoded} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import {certificateEvents as events, certificateReasons as reasons} from '../../apis/names.ts';
import type {CertificateState} from '../../policies/certificate-state.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {
  abandonedStatus,
  beginningStatus,
  finishedStatus,
  presentStatus,
} from './certificate-status.ts';
import {
  fail,
  fieldManagers,
  logIssued,
  statusOptions,
  tell,
  warn,
  writeStatus,
  type Deed,
} from './deed.ts';
import {createIssuanceKeys} from './issuance-keys.ts';
import {createKey, deleteKeySecrets, nameKey} from './key-secrets.ts';
import {createRequest, deleteRequests} from './request-deeds.ts';
import {keySecretName} from './secret-name.ts';
import type {Step} from './step.ts';
import {repairSecret, writeIssued, writeTemporary} from './target-secret.ts';

type Taken = Exclude<Step, {readonly kind: 'idle' | 'wait'}>;

export interface Actor {
  /** Takes one step and feeds what came back into the views. */
  act(state: CertificateState, step: Taken, waiting: {readonly signal: AbortSignal}): Promise<void>;
}

/** Steps with a controller's own keys at hand. */
export function createActor(dependencies: ReconcilerDependencies): Actor {
  const keys = createIssuanceKeys(dependencies);
  return {
    async act(state, step, {signal}) {
      const deed: Deed = {...dependencies, state, keys, signal};
      try {
        await take(step, deed);
      } catch (error) {
        await tellRefusal(error, step, deed);
        throw error;
      }
    },
  };
}

async function take(step: Taken, deed: Deed): Promise<void> {
  const {state} = deed;
  const options = statusOptions(deed);
  switch (step.kind) {
    case 'update-readiness': {
      const written = await writeStatus(deed, step.status, fieldManagers.readiness);
      if (step.warning !== undefined) warn(deed, written, step.warning);
      return;
    }
    case 'begin-issuing': {
      const name = keySecretName(state.certificate.metadata.name, deed.random);
      const {violation} = step;
      const status = beginningStatus(state, {violation, keySecretName: name}, options);
      const written = await writeStatus(deed, status, fieldManagers.trigger);
      tell(deed, written, {reason: events.issuing, message: violation.message});
      return;
    }
    case 'abandon':
      await writeStatus(deed, abandonedStatus(state, options), fieldManagers.issuing);
      return;
    case 'name-key':
    case 'adopt-key':
      await nameKey(deed, step);
      return;
    case 'create-key':
      return createKey(deed, step);
    case 'delete-keys':
      return deleteKeySecrets(deed, step.secrets);
    case 'create-request':
      return createRequest(deed, step);
    case 'delete-requests':
    case 'prune-requests':
      return deleteRequests(deed, step.requests);
    case 'write-temporary':
      return writeTemporary(deed, step);
    case 'write-secret':
      return writeOrFail(deed, step);
    case 'repair-secret':
      return repairSecret(deed, step);
    case 'finish': {
      const written = await writeStatus(
        deed,
        finishedStatus(state, options),
        fieldManagers.issuing,
      );
      tell(deed, written, {reason: events.issuing, message: 'The certificate has been issued'});
      logIssued(deed, written);
      return;
    }
    case 'fail':
      return fail(deed, step.failure);
    default:
      return step satisfies never;
  }
}

/** A keystore that cannot be made is a failure like any other: told, and tried again later. */
async function writeOrFail(
  deed: Deed,
  step: Extract<Step, {readonly kind: 'write-secret'}>,
): Promise<void> {
  try {
    await writeIssued(deed, step);
  } catch (error) {
    if (!isCoded(error) || isOfApi(error)) throw error;
    const message = `the Secret cannot be written: ${error.message}; ${error.hint}`;
    await fail(deed, {reason: reasons.failed, message});
  }
}

/** What the API refuses for good is told in the conditions; it is still tried again later. */
async function tellRefusal(error: unknown, step: Taken, deed: Deed): Promise<void> {
  if (!(error instanceof ApiRefusedError) || !LASTING.has(error.status)) return;
  if (!TOLD.has(step.kind)) return;
  const {status: before} = deed.state.certificate;
  const waitsFor = `the API refuses a step (${step.kind}): ${error.message}`;
  const status = presentStatus(deed.state, {...statusOptions(deed), waitsFor});
  if (JSON.stringify(status.conditions) === JSON.stringify(before?.conditions)) return;
  const written = await writeStatus(deed, status, fieldManagers.readiness);
  warn(deed, written, {reason: events.requestFailed, message: waitsFor});
}

/** Not the writes of the status itself. */
const TOLD: ReadonlySet<Step['kind']> = new Set([
  'create-key',
  'create-request',
  'write-secret',
  'write-temporary',
  'repair-secret',
]);

/** Answers that are the same the next time, unless something changes. */
const LASTING: ReadonlySet<number> = new Set([400, 403, 404, 413, 422]);

function isOfApi({code}: {readonly code: string}): boolean {
  return code.startsWith('ERR_API_');
}
