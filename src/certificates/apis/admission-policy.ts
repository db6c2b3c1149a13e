import type {KubernetesObject} from '#shared/kube/object';
import {labels} from './names.ts';

export interface Validation {
  /** CEL; false refuses the request. */
  readonly expression: string;
  readonly message: string;
  /** CEL of a text; where it fails, `message` is told. */
  readonly messageExpression?: string;
  readonly reason?: 'Forbidden' | 'Invalid';
}

export interface Variable {
  readonly name: string;
  readonly expression: string;
}

export interface Matched {
  readonly group: string;
  /** Plurals; a status is `certificates/status`. */
  readonly resources: readonly string[];
  readonly operations: readonly ('CREATE' | 'UPDATE')[];
}

interface PolicyInput {
  readonly name: string;
  readonly match: Matched;
  /** All must hold, or the policy says nothing. */
  readonly conditions?: readonly Variable[];
  readonly variables?: readonly Variable[];
}

const API_VERSION = 'admissionregistration.k8s.io/v1';
const metadataLabels = {'app.kubernetes.io/part-of': 'cert-manager'};

/** Of objects whose `spec` is new or has changed: what was stored before a rule may still be kept. */
export const specChanged: readonly Variable[] = [
  {name: 'has-spec', expression: 'has(object.spec)'},
  {
    name: 'spec-changed',
    expression: `request.operation == 'CREATE' || !has(oldObject.spec) || object.spec != oldObject.spec`,
  },
];

/**
 * A ValidatingAdmissionPolicy that refuses, and its binding.
 *
 * @param optional whether namespaces with the label `cert-manager.io/disable-validation` are left
 *   out, as users of cert-manager know it
 */
export function validatingPolicy({
  name,
  match,
  conditions = [],
  variables = [],
  validations,
  optional = false,
}: PolicyInput & {
  readonly validations: readonly Validation[];
  readonly optional?: boolean;
}): readonly KubernetesObject[] {
  const policy = {
    apiVersion: API_VERSION,
    kind: 'ValidatingAdmissionPolicy',
    metadata: {name, labels: metadataLabels},
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: matchConstraints(match),
      matchConditions: conditions,
      variables,
      validations: validations.map(validation => ({reason: 'Invalid', ...validation})),
    },
  };
  const validated = {
    matchExpressions: [{key: labels.disableValidation, operator: 'NotIn', values: ['true']}],
  };
  const binding = {
    apiVersion: API_VERSION,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: {name, labels: metadataLabels},
    spec: {
      policyName: name,
      validationActions: ['Deny'],
      ...(optional ? {matchResources: {namespaceSelector: validated}} : {}),
    },
  };
  return [policy, binding];
}

/** A MutatingAdmissionPolicy by JSON Patch, and its binding. */
export function mutatingPolicy({
  name,
  match,
  conditions = [],
  variables = [],
  patch,
}: PolicyInput & {
  /** CEL of a list of `JSONPatch`. */
  readonly patch: string;
}): readonly KubernetesObject[] {
  const policy = {
    apiVersion: API_VERSION,
    kind: 'MutatingAdmissionPolicy',
    metadata: {name, labels: metadataLabels},
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints: matchConstraints(match),
      matchConditions: conditions,
      variables,
      mutations: [{patchType: 'JSONPatch', jsonPatch: {expression: patch}}],
    },
  };
  const binding = {
    apiVersion: API_VERSION,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: {name, labels: metadataLabels},
    spec: {policyName: name},
  };
  return [policy, binding];
}

function matchConstraints({group, resources, operations}: Matched): object {
  return {
    matchPolicy: 'Equivalent',
    resourceRules: [{apiGroups: [group], apiVersions: ['*'], operations, resources}],
  };
}
