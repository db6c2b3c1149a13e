import type {ControllerRelease} from '#provisioner/certificates/controller-release';

export const CONTROLLER_IMAGE = 'slipway.invalid/slipway-certs:v1';

/** One kind, one policy, and a Deployment; as manifests.json has them. */
export function aControllerRelease(changes: Partial<ControllerRelease> = {}): ControllerRelease {
  const metadata = {name: 'cert-manager', namespace: 'cert-manager'};
  return {
    version: '0.1.0',
    programDigest: 'a'.repeat(64),
    namespace: 'cert-manager',
    deployment: 'cert-manager',
    lease: {namespace: 'cert-manager', name: 'cert-manager-controller'},
    customResourceDefinitions: [
      {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: {name: 'certificates.cert-manager.io'},
      },
    ],
    admissionPolicies: [
      {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: {name: 'approval'},
      },
    ],
    manifests: [
      {apiVersion: 'v1', kind: 'Namespace', metadata: {name: 'cert-manager'}},
      {apiVersion: 'v1', kind: 'ServiceAccount', metadata},
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: {
          replicas: 1,
          template: {
            metadata: {labels: {app: 'x'}, annotations: {kept: 'yes'}},
            spec: {containers: [{name: 'controller', image: '__IMAGE__'}]},
          },
        },
      },
    ],
    ...changes,
  };
}
