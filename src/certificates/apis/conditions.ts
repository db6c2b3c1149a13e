import type {FromSchema} from './from-schema.ts';
import {instant, int64, object, oneOf, text} from './json-schema.ts';
import {formatTime} from './time.ts';

const conditionStatus = oneOf('True', 'False', 'Unknown');
const fields = {
  lastTransitionTime: instant,
  message: text,
  reason: text,
  status: conditionStatus,
  type: text,
} as const;

/** `status.conditions` of Certificate, Issuer and ClusterIssuer. */
export const conditionsSchema = conditionList(
  object({...fields, observedGeneration: int64}, 'status', 'type'),
);
/** `status.conditions` of CertificateRequest, which have no generation. */
export const requestConditionsSchema = conditionList(object(fields, 'status', 'type'));

export type Condition = FromSchema<typeof conditionsSchema>[number];

/** What a controller says; the time of the change is worked out. */
export interface ConditionValue {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word, CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** `metadata.generation` that it speaks of; left out for kinds whose conditions have none. */
  readonly observedGeneration?: number | undefined;
}

/**
 * The list with one condition set: in its place where its type is there already, at the end
 * otherwise. `lastTransitionTime` changes only when `status` does.
 */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  {type, status, reason, message, observedGeneration}: ConditionValue,
  now: Date,
): readonly Condition[] {
  const before = findCondition(conditions, type);
  const same = before?.status === status ? before.lastTransitionTime : undefined;
  const after: Condition = {
    type,
    status,
    reason,
    message,
    lastTransitionTime: same ?? formatTime(now),
    ...(observedGeneration === undefined ? {} : {observedGeneration}),
  };
  if (before === undefined) return [...(conditions ?? []), after];
  return (conditions ?? []).map(condition => (condition.type === type ? after : condition));
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find(condition => condition.type === type);
}

export function removeCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): readonly Condition[] {
  return (conditions ?? []).filter(condition => condition.type !== type);
}

/** A condition that is absent, False or Unknown is not true. */
export function conditionIsTrue(
  conditions: readonly Condition[] | undefined,
  type: string,
): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/** Server-side apply merges conditions by their type. */
function conditionList<const S extends object>(items: S) {
  return {
    type: 'array',
    items,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  } as const;
}
