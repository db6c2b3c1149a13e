import type {KubernetesObject} from '#shared/kube/object';
import {validatingPolicy} from './admission-policy.ts';
import {ACME_GROUP} from './names.ts';

/**
 * What the ACME server has said about an Order's authorizations stays: the list keeps its length
 * and order, and what an entry has once, it keeps.
 */
export function orderPolicies(): readonly KubernetesObject[] {
  const read = (object: string): string =>
    `has(${object}.status) && has(${object}.status.authorizations) ? ${object}.status.authorizations : []`;
  const kept = (field: string, empty: string): string =>
    `(!has(old.${field}) || old.${field} == ${empty} || variables.after.exists(entry, entry.url == old.url && has(entry.${field}) && entry.${field} == old.${field}))`;
  const fields = {identifier: `''`, wildcard: 'false', initialState: `''`, challenges: '[]'};
  return validatingPolicy({
    name: `orders.${ACME_GROUP}`,
    match: {group: ACME_GROUP, resources: ['orders/status'], operations: ['UPDATE']},
    variables: [
      {name: 'before', expression: read('oldObject')},
      {name: 'after', expression: read('object')},
    ],
    validations: [
      {
        expression:
          'variables.before.size() == 0 || variables.before.map(old, old.url) == variables.after.map(entry, entry.url)',
        message: 'status.authorizations never changes once it is set',
        reason: 'Forbidden',
      },
      {
        expression: `variables.before.all(old, ${Object.entries(fields)
          .map(([field, empty]) => kept(field, empty))
          .join(' && ')})`,
        message: 'status.authorizations: what an entry has never changes',
        reason: 'Forbidden',
      },
    ],
  });
}
