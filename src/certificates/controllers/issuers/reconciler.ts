import {isDeepStrictEqual} from 'node:util';
import {findCondition, setCondition} from '../../apis/conditions.ts';
import type {Issuer} from '../../apis/issuer.ts';
import {issuerProblems} from '../../apis/issuer-validation.ts';
import {conditionTypes, issuerReasons} from '../../apis/names.ts';
import {clusterIssuers, issuers} from '../../apis/resources.ts';
import type {IssuerVerdict} from '../../issuers/issuer-type.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {writeStatus} from '../write-status.ts';

interface Waiting {
  readonly signal: AbortSignal;
}

/** Keeps the Ready condition of Issuers or ClusterIssuers true to what their type says. */
export function createIssuerReconciler(
  dependencies: ReconcilerDependencies,
  kind: 'Issuer' | 'ClusterIssuer',
): (key: string, waiting: Waiting) => Promise<Outcome> {
  const {views, client, clock, events, log} = dependencies;
  const {resource, view} =
    kind === 'Issuer'
      ? {resource: issuers, view: views.issuers}
      : {resource: clusterIssuers, view: views.clusterIssuers};
  return async (key, {signal}) => {
    const issuer = view.get(key)?.object;
    if (issuer === undefined || issuer.metadata.deletionTimestamp !== undefined) return;
    const verdict = await check(issuer, dependencies, signal);
    const {ready, reason, message, recheckAt} = verdict;
    const before = issuer.status?.conditions;
    const conditions = setCondition(
      before,
      {
        type: conditionTypes.ready,
        status: ready ? 'True' : 'False',
        reason,
        message,
        observedGeneration: issuer.metadata.generation,
      },
      clock.now(),
    );
    if (!isDeepStrictEqual(conditions, before)) {
      const changed = {...issuer, status: {...issuer.status, conditions}};
      const written = await writeStatus(changed, {client, resource, view, signal});
      if (written === undefined) return;
      if (findCondition(before, conditionTypes.ready)?.reason !== reason) {
        events.record(written, {type: ready ? 'Normal' : 'Warning', reason, message});
        if (ready) log.info('issuer is ready', {kind, issuer: key, reason});
        else log.warn('issuer is not ready', {kind, issuer: key, reason, why: message});
      }
    }
    return recheckAt === undefined ? undefined : {requeueAt: recheckAt};
  };
}

function check(
  issuer: Issuer,
  {issuerTypes, settings, clock}: ReconcilerDependencies,
  signal: AbortSignal,
): Promise<IssuerVerdict> {
  const found = issuerTypes.of(issuer.spec);
  if (found.kind === 'unknown') {
    return Promise.resolve({ready: false, reason: found.reason, message: found.message});
  }
  const problems = issuerProblems(issuer.spec);
  if (problems.length > 0) {
    const message = problems.join('; ');
    return Promise.resolve({ready: false, reason: issuerReasons.invalidConfig, message});
  }
  return found.type.check(issuer, {
    secretNamespace: issuer.metadata.namespace ?? settings.clusterResourceNamespace,
    now: clock.now(),
    signal,
  });
}
