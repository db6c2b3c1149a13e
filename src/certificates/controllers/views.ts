import type {KubernetesObject, ObjectMetadata} from '#shared/kube/object';
import {isRecord} from '#shared/kube/json';
import type {Certificate} from '../apis/certificate.ts';
import type {CertificateRequest} from '../apis/certificate-request.ts';
import type {Issuer} from '../apis/issuer.ts';
import {issuerReference} from '../apis/issuer-reference.ts';
import {GROUP, requestAnnotations, signingRequestAnnotations} from '../apis/names.ts';
import {keyOf} from '../kube/client.ts';
import {createView, type View, type ViewChange} from '../kube/view.ts';
import type {SecretFacts} from './certificates/secret-facts.ts';
import {
  signerIssuer,
  type SigningRequestObject,
} from './signing-requests/signing-request-object.ts';

/** An object in a view; it has no managedFields, and nobody changes it. */
export interface Item<O extends KubernetesObject> {
  /** `namespace/name`, or `name` of a kind without namespaces. */
  readonly key: string;
  readonly resourceVersion: string;
  readonly object: O;
}

/** What is kept of a Secret that does not carry our label: that it exists, and its version. */
export interface SecretMetadata {
  readonly key: string;
  readonly resourceVersion: string;
}

/**
 * Everything that the controller knows of the cluster. A value is as old as its watch, or as our
 * own last write; decisions are taken again when it changes.
 */
export interface Views {
  /** By `secret` (`namespace/name` of the target), `issuer` and `password-secret`. */
  readonly certificates: View<Item<Certificate>>;
  /** By `owner` (uid of the Certificate), `issuer` and `private-key-secret`. */
  readonly certificateRequests: View<Item<CertificateRequest>>;
  /** By `secret` (`namespace/name`). */
  readonly issuers: View<Item<Issuer>>;
  /** By `secret` (`namespace/name`, in the cluster resource namespace). */
  readonly clusterIssuers: View<Item<Issuer>>;
  /** Those that carry our label, by `owner` (uid of the controlling object). */
  readonly secrets: View<SecretFacts>;
  readonly otherSecrets: View<SecretMetadata>;
  /** Of Kubernetes itself, by `issuer` and `private-key-secret`; empty unless switched on. */
  readonly signingRequests: View<Item<SigningRequestObject>>;
}

/** An object as views keep it: what the API says about its fields' managers is dropped. */
export function itemOf<O extends KubernetesObject>(object: O): Item<O> {
  const {managedFields: _managedFields, ...metadata} = object.metadata;
  return {
    key: keyOf(object),
    resourceVersion: metadata.resourceVersion ?? '',
    object: {...object, metadata},
  };
}

/** One listener per view. */
export type ViewListeners = {
  readonly [Name in keyof Views]: (
    change: ViewChange<Views[Name] extends View<infer T> ? T : never>,
  ) => void;
};

export interface ViewsOptions {
  /** Where Secrets of ClusterIssuers live. */
  readonly clusterResourceNamespace: string;
  readonly listeners: ViewListeners;
}

/** Empty views with their indexes. */
export function createViews({clusterResourceNamespace, listeners}: ViewsOptions): Views {
  return {
    certificates: createView({
      indexes: {
        secret: ({object}) => inNamespaceOf(object, object.spec.secretName),
        issuer: ({object}) => [issuerKey(object)],
        'password-secret': ({object}) => passwordSecrets(object),
      },
      onChange: listeners.certificates,
    }),
    certificateRequests: createView({
      indexes: {
        owner: ({object}) => controllerUids(object.metadata['ownerReferences']),
        issuer: ({object}) => [issuerKey(object)],
        'private-key-secret': ({object}) =>
          inNamespaceOf(
            object,
            object.metadata.annotations?.[requestAnnotations.privateKeySecretName],
          ),
      },
      onChange: listeners.certificateRequests,
    }),
    issuers: createView({
      indexes: {secret: ({object}) => inNamespaceOf(object, object.spec.ca?.secretName)},
      onChange: listeners.issuers,
    }),
    clusterIssuers: createView({
      indexes: {
        secret: ({object}) =>
          object.spec.ca === undefined
            ? []
            : [`${clusterResourceNamespace}/${object.spec.ca.secretName}`],
      },
      onChange: listeners.clusterIssuers,
    }),
    secrets: createView({
      indexes: {owner: ({ownerReferences}) => controllerUids(ownerReferences)},
      onChange: listeners.secrets,
    }),
    otherSecrets: createView({indexes: {}, onChange: listeners.otherSecrets}),
    signingRequests: createView({
      indexes: {
        issuer: ({object}) => signerIssuerKeys(object),
        'private-key-secret': ({object}) => signingKeySecrets(object, clusterResourceNamespace),
      },
      onChange: listeners.signingRequests,
    }),
  };
}

/**
 * The value of the index `issuer`: `Issuer/<namespace>/<name>` and `ClusterIssuer/<name>` for
 * issuers of ours, `<kind>.<group>/<namespace>/<name>` for those of others.
 */
export function issuerKey({
  metadata,
  spec,
}: {
  readonly metadata: Pick<ObjectMetadata, 'namespace'>;
  readonly spec: {readonly issuerRef: Parameters<typeof issuerReference>[0]};
}): string {
  const {name, kind, group} = issuerReference(spec.issuerRef);
  const namespace = metadata.namespace ?? '';
  if (group !== GROUP) return `${kind}.${group}/${namespace}/${name}`;
  return kind === 'ClusterIssuer' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

function passwordSecrets(certificate: Certificate): readonly string[] {
  const {jks, pkcs12} = certificate.spec.keystores ?? {};
  return [jks, pkcs12].flatMap(store => inNamespaceOf(certificate, store?.passwordSecretRef?.name));
}

function signerIssuerKeys({spec}: SigningRequestObject): readonly string[] {
  const issuer = signerIssuer(spec.signerName);
  if (issuer === undefined) return [];
  const {kind, namespace, name} = issuer;
  return [namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`];
}

/** A CertificateSigningRequest has no namespace: its key lies where its issuer's Secrets lie. */
function signingKeySecrets(
  {metadata, spec}: SigningRequestObject,
  clusterResourceNamespace: string,
): readonly string[] {
  const secretName = metadata.annotations?.[signingRequestAnnotations.privateKeySecretName];
  const issuer = signerIssuer(spec.signerName);
  if (secretName === undefined || issuer === undefined) return [];
  return [`${issuer.namespace ?? clusterResourceNamespace}/${secretName}`];
}

function inNamespaceOf({metadata}: KubernetesObject, name: string | undefined): readonly string[] {
  return name === undefined ? [] : [`${metadata.namespace ?? ''}/${name}`];
}

/** meta/v1 OwnerReference: at most one controls an object. */
function controllerUids(ownerReferences: unknown): readonly string[] {
  const owner = controllerOf(ownerReferences);
  return owner === undefined ? [] : [owner.uid];
}

/** The owner that controls an object, if there is one. */
export function controllerOf(ownerReferences: unknown): OwnerReference | undefined {
  const list: readonly unknown[] = Array.isArray(ownerReferences) ? ownerReferences : [];
  return list.find(isController);
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
}

function isController(value: unknown): value is OwnerReference {
  return isRecord(value) && value['controller'] === true && typeof value['uid'] === 'string';
}
