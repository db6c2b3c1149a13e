import {isDeepStrictEqual} from 'node:util';
import type {Log} from '#shared/log';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {findCondition} from '../../apis/conditions.ts';
import {issuerReference} from '../../apis/issuer-reference.ts';
import type {Issuer} from '../../apis/issuer.ts';
import {APPROVED_REASON, conditionTypes, requestEvents, requestReasons} from '../../apis/names.ts';
import {certificateRequests} from '../../apis/resources.ts';
import type {Remark, SigningResult} from '../../issuers/issuer-type.ts';
import {keyOf} from '../../kube/resource.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {issuerKey} from '../views.ts';
import {writeStatus} from '../write-status.ts';
import {decideRequest, type RequestStep} from './decide.ts';
import {requestStatus, type RequestOutcome} from './request-status.ts';

type SignStep = Extract<RequestStep, {kind: 'sign'}>;
interface Waiting {
  readonly signal: AbortSignal;
}

/**
 * Approves requests to our issuers (unless told not to) and signs what is approved, both in one
 * write. A request that waits is looked at again when its issuer or its key's Secret changes.
 */
export function createCertificateRequestReconciler(
  dependencies: ReconcilerDependencies,
): (key: string, waiting: Waiting) => Promise<Outcome> {
  const {views, issuerTypes, settings, events} = dependencies;
  return async (key, waiting) => {
    const request = views.certificateRequests.get(key)?.object;
    if (request === undefined) return;
    const {controllers} = settings;
    const issuer = issuerOf(request, dependencies);
    const step = decideRequest({request, issuer, issuerTypes, controllers});
    const write = (outcome: RequestOutcome, remarks: Remarks, approve = false) =>
      settle(request, {outcome, approve, remarks}, dependencies, waiting);
    switch (step.kind) {
      case 'leave':
        return;
      case 'deny':
        await write({kind: 'denied', message: step.message}, []);
        return;
      case 'refuse': {
        const {message} = step;
        const warning = {
          type: 'Warning',
          reason: requestEvents.requestParsingError,
          message,
        } as const;
        await write({kind: 'invalid', message}, [warning]);
        return;
      }
      case 'wait-for-approval':
        events.record(request, {
          type: 'Normal',
          reason: requestEvents.waitingForApproval,
          message: 'not signed before its condition Approved is True',
        });
        return;
      case 'only-approve':
        await write({kind: 'approved'}, [], true);
        return;
      case 'pend':
        await write({kind: 'pending', message: step.message}, [normal(step)], step.approve);
        return;
      case 'sign':
        return sign(request, step, dependencies, write, waiting);
    }
  };
}

type Remarks = readonly (Remark & {readonly type: 'Normal' | 'Warning'})[];
type Write = (outcome: RequestOutcome, remarks: Remarks, approve?: boolean) => Promise<void>;

/** The issuer that a request names, from the views. */
function issuerOf(
  request: CertificateRequest,
  {views}: ReconcilerDependencies,
): Issuer | undefined {
  const {kind, name} = issuerReference(request.spec.issuerRef);
  if (kind === 'ClusterIssuer') return views.clusterIssuers.get(name)?.object;
  return views.issuers.get(`${request.metadata.namespace ?? ''}/${name}`)?.object;
}

async function sign(
  request: CertificateRequest,
  {approve, issuer, type, input}: SignStep,
  {clock, settings}: ReconcilerDependencies,
  write: Write,
  {signal}: Waiting,
): Promise<Outcome> {
  const result: SigningResult = await type.sign(input, issuer, {
    secretNamespace: issuer.metadata.namespace ?? settings.clusterResourceNamespace,
    now: clock.now(),
    signal,
  });
  switch (result.kind) {
    case 'issued': {
      const message = `signed by ${issuerKey(request)}`;
      const remarks = (result.warnings ?? []).map(warning);
      await write({...result, message}, [...remarks, issuedEvent(message)], approve);
      return;
    }
    case 'failed':
      await write({kind: 'failed', message: result.message}, [warning(result)], approve);
      return;
    case 'pending':
      await write({kind: 'pending', message: result.message}, [normal(result)], approve);
      return result.requeueAt === undefined ? undefined : {requeueAt: result.requeueAt};
  }
}

async function settle(
  request: CertificateRequest,
  {
    outcome,
    approve,
    remarks,
  }: {readonly outcome: RequestOutcome; readonly approve: boolean; readonly remarks: Remarks},
  {client, clock, events, log, views}: ReconcilerDependencies,
  {signal}: Waiting,
): Promise<void> {
  const status = requestStatus(request.status, {outcome, approve, now: clock.now()});
  if (isDeepStrictEqual(status, request.status)) return;
  const wasPending = isPending(request);
  const target = {client, resource: certificateRequests, view: views.certificateRequests, signal};
  const written = await writeStatus({...request, status}, target);
  if (written === undefined) return;
  if (approve) {
    const message = 'approved by the controller';
    events.record(written, {type: 'Normal', reason: APPROVED_REASON, message});
  }
  // One event for each time that a request comes to wait, not for each thing that it waits for.
  if (outcome.kind === 'pending' && wasPending) return;
  for (const remark of remarks) events.record(written, remark);
  tell(written, outcome, log);
}

function isPending({status}: CertificateRequest): boolean {
  const reason = findCondition(status?.conditions, conditionTypes.ready)?.reason;
  return reason === requestReasons.pending;
}

/** What an operator may have to look into; what was issued is told with its Certificate. */
function tell(request: CertificateRequest, outcome: RequestOutcome, log: Log): void {
  if (outcome.kind === 'approved' || outcome.kind === 'issued') return;
  const fields = {request: keyOf(request), issuer: issuerKey(request), message: outcome.message};
  if (outcome.kind === 'pending') log.info('request waits', fields);
  else log.warn('request refused', {...fields, as: outcome.kind});
}

function normal({reason, message}: Remark): Remarks[number] {
  return {type: 'Normal', reason, message};
}

function warning({reason, message}: Remark): Remarks[number] {
  return {type: 'Warning', reason, message};
}

function issuedEvent(message: string): Remarks[number] {
  return {type: 'Normal', reason: requestEvents.certificateIssued, message};
}
