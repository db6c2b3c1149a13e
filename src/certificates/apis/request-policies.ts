import {
  mutatingPolicy,
  validatingPolicy,
  type Validation,
  type Variable,
} from './admission-policy.ts';
import {isFilled} from './cel.ts';
import {ACME_GROUP, GROUP} from './names.ts';
import type {KubernetesObject} from '#shared/kube/object';

const created = {group: GROUP, resources: ['certificaterequests'], operations: ['CREATE']} as const;
const hasSpec: Variable = {name: 'has-spec', expression: 'has(object.spec)'};

/**
 * What the API server decides about CertificateRequests: who asked is written down, and only who
 * may `approve` for the signer approves or denies, once.
 */
export function requestPolicies(): readonly KubernetesObject[] {
  return [...identityCapture(), ...identityCheck(), ...annotations(), ...approval()];
}

/** Sets username, uid, groups and extra of whoever creates a request, whatever it says itself. */
function identityCapture(): readonly KubernetesObject[] {
  const set = (field: string): string =>
    `JSONPatch{op: 'add', path: '/spec/${field}', value: request.userInfo.${field}}`;
  // What the requester does not have must not be there either.
  const setOrRemove = (field: string): string =>
    `(has(request.userInfo.${field}) ? [${set(field)}] : has(object.spec.${field}) ? [JSONPatch{op: 'remove', path: '/spec/${field}'}] : [])`;
  return mutatingPolicy({
    name: 'requester.cert-manager.io',
    match: created,
    conditions: [hasSpec],
    patch: `[${set('username')}] + ${['uid', 'groups', 'extra'].map(setOrRemove).join(' + ')}`,
  });
}

/** The same as a check: nothing later in admission may change who asked. */
function identityCheck(): readonly KubernetesObject[] {
  const same = (field: string, empty: string): Validation => ({
    expression: `(has(object.spec.${field}) ? dyn(object.spec.${field}) : dyn(${empty})) == (has(request.userInfo.${field}) ? dyn(request.userInfo.${field}) : dyn(${empty}))`,
    message: `spec.${field} must be that of the requester: leave it out`,
    reason: 'Forbidden',
  });
  return validatingPolicy({
    name: 'requester.cert-manager.io',
    match: created,
    conditions: [hasSpec],
    validations: [
      same('username', "''"),
      same('uid', "''"),
      same('groups', '[]'),
      same('extra', '{}'),
    ],
  });
}

/** What the controller has written about a request stays. */
function annotations(): readonly KubernetesObject[] {
  const read = (object: string): string =>
    `has(${object}.metadata.annotations) ? ${object}.metadata.annotations : {}`;
  const own = `(key.startsWith('${GROUP}/') || key.startsWith('${ACME_GROUP}/'))`;
  return validatingPolicy({
    name: 'request-annotations.cert-manager.io',
    match: {...created, operations: ['UPDATE']},
    variables: [
      {name: 'before', expression: read('oldObject')},
      {name: 'after', expression: read('object')},
    ],
    validations: [
      {
        expression: `variables.before.all(key, !${own} || (key in variables.after && variables.after[key] == variables.before[key])) && variables.after.all(key, !${own} || key in variables.before)`,
        message: `annotations under ${GROUP}/ and ${ACME_GROUP}/ never change: delete the request and make another`,
        reason: 'Forbidden',
      },
    ],
  });
}

/**
 * Approved and Denied: at most one of them, only True, never changed, and set only by who has the
 * verb `approve` on the signer: resource `signers` of group cert-manager.io, named
 * `issuers.cert-manager.io/<namespace>.<name>`, `clusterissuers.cert-manager.io/<name>`, or
 * `<resource>.<group>/*`.
 */
function approval(): readonly KubernetesObject[] {
  const decisions = (object: string): string =>
    `has(${object}.status) && has(${object}.status.conditions) ? ${object}.status.conditions.filter(condition, condition.type in ['Approved', 'Denied']) : []`;
  const may = (index: string): string =>
    `authorizer.group('${GROUP}').resource('signers').name(variables.signers + '/' + variables.names[${index}]).check('approve').allowed()`;
  return validatingPolicy({
    name: 'approval.cert-manager.io',
    match: {group: GROUP, resources: ['certificaterequests/status'], operations: ['UPDATE']},
    variables: [
      {name: 'before', expression: decisions('oldObject')},
      {name: 'after', expression: decisions('object')},
      {name: 'issuer', expression: 'object.spec.issuerRef'},
      {
        name: 'group',
        expression: `${isFilled('variables.issuer.group')} ? variables.issuer.group : '${GROUP}'`,
      },
      {
        name: 'kind',
        expression: `(${isFilled('variables.issuer.kind')} ? variables.issuer.kind : 'Issuer').lowerAscii()`,
      },
      // The plural that Kubernetes guesses for a kind; CEL cannot ask what the resource is called.
      {
        name: 'signers',
        expression: `(variables.kind.endsWith('y') ? variables.kind.substring(0, variables.kind.size() - 1) + 'ies' : variables.kind.matches('(s|x|z|ch|sh)$') ? variables.kind + 'es' : variables.kind + 's') + '.' + variables.group`,
      },
      {
        // Nor whether a foreign kind has namespaces: its signers may be named either way.
        name: 'names',
        expression: `['*'] + (variables.group == '${GROUP}' && variables.kind == 'issuer' ? [] : [variables.issuer.name]) + (variables.group == '${GROUP}' && variables.kind == 'clusterissuer' ? [] : [object.metadata.namespace + '.' + variables.issuer.name])`,
      },
      // One question each: three in one expression are beyond what the API server spends on one.
      {name: 'mayAll', expression: may('0')},
      {name: 'mayFirst', expression: may('1')},
      {name: 'maySecond', expression: `variables.names.size() > 2 && ${may('2')}`},
    ],
    validations: [
      {
        expression: `variables.after.all(condition, condition.status == 'True')`,
        message: 'Approved and Denied can only be True: leave the condition out instead',
      },
      {
        expression: 'variables.after.size() <= 1 || variables.before.size() > 1',
        message: 'a request is approved or denied, not both',
      },
      {
        expression:
          'variables.before.all(old, variables.after.exists(condition, condition == old))',
        message: 'Approved and Denied never change once they are set',
        reason: 'Forbidden',
      },
      {
        expression: `variables.after.all(condition, variables.before.exists(old, old.type == condition.type)) || variables.mayAll || variables.mayFirst || variables.maySecond`,
        message: 'approving and denying needs the verb approve on the signer',
        messageExpression: `'to approve or deny for this issuer, ' + request.userInfo.username + ' needs the verb approve on signers.${GROUP} named ' + variables.names.map(name, variables.signers + '/' + name).join(' or ')`,
        reason: 'Forbidden',
      },
    ],
  });
}
