import {findCondition} from '../../apis/conditions.ts';
import type {Issuer} from '../../apis/issuer.ts';
import {conditionTypes} from '../../apis/names.ts';

/** Whether an issuer has said that it can sign; `message` says why not. */
export interface IssuerReadiness {
  readonly ready: boolean;
  readonly message: string;
}

/** Reads the Ready condition. One that speaks of an older spec says nothing of the present one. */
export function issuerReadiness({metadata, status}: Issuer): IssuerReadiness {
  const condition = findCondition(status?.conditions, conditionTypes.ready);
  if (condition === undefined) return {ready: false, message: 'it has not been checked yet'};
  const {observedGeneration, reason = 'no reason', message = ''} = condition;
  const isOld =
    observedGeneration !== undefined && observedGeneration !== (metadata.generation ?? 0);
  if (isOld) return {ready: false, message: 'its present spec has not been checked yet'};
  if (condition.status === 'True') return {ready: true, message: ''};
  return {ready: false, message: `${reason}: ${message}`};
}
