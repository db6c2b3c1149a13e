import {digestOf} from '#shared/digest';
import {type KubernetesObject, namespaceKind, type ObjectReference} from '#shared/kube/object';
import type {CaKeyPair, IssuerSettings} from '../role/cluster.ts';
import {
  CERTIFICATES_GROUP,
  CERTIFICATES_NAMESPACE,
  certificateKind,
  clusterIssuerKind,
  type IssuerObject,
  issuerKind,
  secretKind,
} from './kinds.ts';

/** Marks what the provisioner made for an issuer, so that nobody else's Secret is overwritten. */
export const MANAGED_LABELS = {'app.kubernetes.io/managed-by': 'provision'} as const;

/** Set by the certificate controller on what it issues (cert-manager's API). */
const CERTIFICATE_NAME = 'cert-manager.io/certificate-name';

type Described = Pick<KubernetesObject, 'metadata'>;

/** Whether a Secret holds a key pair of cluster.yaml that we have put there. */
export const isManaged = ({metadata: {labels}}: Described): boolean =>
  Object.entries(MANAGED_LABELS).every(([key, value]) => labels?.[key] === value);

/** Whether the certificate controller has made a Secret for the Certificate of the same name. */
export const isIssued = ({metadata: {name, annotations}}: Described): boolean =>
  annotations?.[CERTIFICATE_NAME] === name;

/** One issuer of cluster.yaml as objects of the API. */
export interface IssuerManifests {
  readonly reference: ObjectReference<IssuerObject>;
  /** sha256 of what it is made of; pins a private key by its certificate, and holds nothing of it. */
  readonly digest: string;
  /** In the order in which they are applied, the issuer last. Without any private key. */
  readonly objects: readonly KubernetesObject[];
  /** What is deleted with the issuer: all that was made for it alone, with what controllers make of it. */
  readonly owned: readonly ObjectReference[];
  /** The Secret of a CA's key pair, whose content is made at the last moment. */
  readonly keyPair:
    {readonly secret: ObjectReference; readonly pair: CaKeyPair | undefined} | undefined;
}

/** `ClusterIssuer/ca` or `Issuer/web/ca`: in plans, in state.json, in messages. */
export function issuerId({name, namespace}: Pick<IssuerSettings, 'name' | 'namespace'>): string {
  return namespace === undefined ? `ClusterIssuer/${name}` : `Issuer/${namespace}/${name}`;
}

/** What an issuer of cluster.yaml is made of. Pure. */
export function issuerManifests(issuer: IssuerSettings): IssuerManifests {
  const {name, namespace} = issuer;
  const reference = referenceTo(issuer);
  const place = namespace ?? CERTIFICATES_NAMESPACE;
  const {spec, made, secret, identity} = partsOf(issuer, place);
  const own: KubernetesObject = {
    apiVersion: reference.apiVersion,
    kind: reference.kind,
    metadata: {name, ...(namespace === undefined ? {} : {namespace}), labels: MANAGED_LABELS},
    spec,
  };
  const hasSecret = secret !== undefined;
  return {
    reference,
    digest: digestOf([own, made, identity]),
    objects: [...(namespace === undefined ? [] : [namespaceObject(namespace)]), ...made, own],
    owned: [
      reference,
      ...made.map(object => referenceIn(object, place)),
      ...(hasSecret ? [secret] : []),
    ],
    keyPair:
      issuer.source.kind === 'ca-key-pair' && hasSecret
        ? {secret, pair: issuer.source.keyPair}
        : undefined,
  };
}

/** The Secret that an issuer signs with and that the operator names: never ours to delete. */
export function namedSecret({
  namespace = CERTIFICATES_NAMESPACE,
  source,
}: IssuerSettings): ObjectReference | undefined {
  return source.kind === 'ca-secret'
    ? {...secretKind, name: source.secretName, namespace}
    : undefined;
}

/** How the API names an issuer of cluster.yaml. */
export function referenceTo({
  name,
  namespace,
}: Pick<IssuerSettings, 'name' | 'namespace'>): ObjectReference<IssuerObject> {
  return namespace === undefined ? {...clusterIssuerKind, name} : {...issuerKind, name, namespace};
}

/** The Secret of a CA's key pair; the only place where the private key leaves its wrapper. */
export function keyPairSecret(
  {name, namespace = CERTIFICATES_NAMESPACE}: ObjectReference,
  {certificate, privateKey}: CaKeyPair,
): KubernetesObject {
  const encode = (text: string) => Buffer.from(text).toString('base64');
  return {
    ...secretKind,
    metadata: {name, namespace, labels: MANAGED_LABELS},
    type: 'kubernetes.io/tls',
    data: {'tls.crt': encode(certificate), 'tls.key': encode(privateKey.reveal())},
  };
}

interface Parts {
  readonly spec: Readonly<Record<string, unknown>>;
  /** Objects beside the issuer and its Secret. */
  readonly made: readonly KubernetesObject[];
  /** A Secret that is there for this issuer only. */
  readonly secret: ObjectReference | undefined;
  /** What the objects do not show and a change of which changes the issuer. */
  readonly identity?: string | undefined;
}

function partsOf({name, source}: IssuerSettings, namespace: string): Parts {
  switch (source.kind) {
    case 'self-signed': {
      const {crlDistributionPoints} = source;
      const selfSigned = crlDistributionPoints.length === 0 ? {} : {crlDistributionPoints};
      return {spec: {selfSigned}, made: [], secret: undefined};
    }
    case 'ca-secret':
      return {spec: {ca: {secretName: source.secretName}}, made: [], secret: undefined};
    case 'ca-key-pair': {
      const secretName = `${name}-ca`;
      return {
        spec: {ca: {secretName}},
        made: [],
        secret: {...secretKind, name: secretName, namespace},
        identity: source.keyPair?.certificate,
      };
    }
    case 'generated-ca': {
      const own = `${name}-root`;
      return {
        spec: {ca: {secretName: own}},
        made: generatedCa(own, namespace, source),
        secret: {...secretKind, name: own, namespace},
      };
    }
    default:
      return source satisfies never;
  }
}

/** An issuer that signs nothing but one CA certificate, and that certificate. */
function generatedCa(
  name: string,
  namespace: string,
  {commonName, duration}: {readonly commonName: string; readonly duration: string},
): readonly KubernetesObject[] {
  const metadata = {name, namespace, labels: MANAGED_LABELS};
  return [
    {...issuerKind, metadata, spec: {selfSigned: {}}},
    {
      ...certificateKind,
      metadata,
      spec: {
        secretName: name,
        commonName,
        isCA: true,
        duration,
        usages: ['cert sign', 'crl sign', 'digital signature'],
        // The key stays when the certificate is renewed: what it has signed keeps its chain.
        privateKey: {algorithm: 'ECDSA', size: 256, rotationPolicy: 'Never'},
        issuerRef: {name, kind: 'Issuer', group: CERTIFICATES_GROUP},
      },
    },
  ];
}

const namespaceObject = (name: string): KubernetesObject => ({...namespaceKind, metadata: {name}});

function referenceIn(
  {apiVersion, kind, metadata: {name}}: KubernetesObject,
  namespace: string,
): ObjectReference {
  return {apiVersion, kind, name, namespace};
}
