import type {KubernetesObject} from '#shared/kube/object';
import {certificatePolicy} from './certificate-policy.ts';
import {issuerPolicy} from './issuer-policy.ts';
import {orderPolicies} from './order-policies.ts';
import {requestPolicies} from './request-policies.ts';

/**
 * What the API server decides beyond the schemas, as policies of its own
 * (admissionregistration.k8s.io/v1, served by default since Kubernetes 1.36), each followed by its
 * binding.
 */
export function admissionPolicies(): readonly KubernetesObject[] {
  return [...requestPolicies(), ...certificatePolicy(), ...issuerPolicy(), ...orderPolicies()];
}
