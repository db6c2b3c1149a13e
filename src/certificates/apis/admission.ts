import type {KubernetesObject} from '#shared/kube/object';

/** What the API server decides beyond the schemas: approval, identity, immutability. */
export function admissionPolicies(): readonly KubernetesObject[] {
  return [];
}
