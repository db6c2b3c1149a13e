import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import {secrets, type SecretObject} from '#certificates/apis/resources';
import type {ControllerSite} from '#test/certificates/a-controller';

/** A Certificate `web` of a SelfSigned issuer, Ready, with the Secret `web-tls`. */
export interface IssuedCertificate {
  readonly certificate: Certificate;
  /** Of the Secret. */
  readonly name: {readonly namespace: string; readonly name: string};
  readonly namespaced: (name: string) => {readonly namespace: string; readonly name: string};
  /** Waits until the Secret is so. */
  readonly secret: (until: (secret: SecretObject) => boolean) => Promise<SecretObject>;
  /** Replaces the specification of the Certificate. */
  readonly change: (spec: Partial<CertificateSpec>) => Promise<void>;
  /** As `kubectl edit` would: null removes. */
  readonly edit: (changes: SecretChanges) => Promise<void>;
  /** Nothing was issued again. */
  readonly unchanged: (t: {readonly is: (a: unknown, b: unknown) => unknown}) => Promise<void>;
}

type Texts = Readonly<Record<string, string | null>>;

export interface SecretChanges {
  readonly labels?: Texts;
  readonly annotations?: Texts;
  readonly data?: Texts;
}

/** Has it issued by the controller that runs at the site, in a namespace of its own unless given. */
export async function anIssuedCertificate(
  site: ControllerSite,
  spec: Partial<CertificateSpec> = {},
  {namespace: given}: {readonly namespace?: string} = {},
): Promise<IssuedCertificate> {
  const namespace = given ?? (await site.namespace());
  const namespaced = (name: string) => ({namespace, name});
  const name = namespaced('web-tls');
  await site.apply(...issuerAndCertificate(namespace, spec));
  const certificate = await site.ready(namespaced('web'));
  const first = await site.secretData(name);
  return {
    certificate,
    name,
    namespaced,
    secret: until => site.object(secrets, name, until),
    change: async changed => {
      const [, object] = issuerAndCertificate(namespace, changed);

      await site.apply(object);
    },
    edit: changes => edit(site, name, changes),
    unchanged: async t => {
      const now = await site.ready(namespaced('web'));
      t.is(now.status?.revision, 1);
      t.is(pem(await site.secretData(name), 'tls.crt'), pem(first, 'tls.crt'));
    },
  };
}

/** The two objects of {@link anIssuedCertificate}. */
export function issuerAndCertificate(namespace: string, spec: Partial<CertificateSpec>) {
  const apiVersion = 'cert-manager.io/v1';
  return [
    {apiVersion, kind: 'Issuer', metadata: {name: 'own', namespace}, spec: {selfSigned: {}}},
    {
      apiVersion,
      kind: 'Certificate',
      metadata: {name: 'web', namespace},
      spec: {
        secretName: 'web-tls',
        dnsNames: ['web.example.com'],
        issuerRef: {name: 'own'},
        privateKey: {algorithm: 'ECDSA', size: 256},
        ...spec,
      },
    },
  ] as const;
}

async function edit(
  site: ControllerSite,
  name: {readonly namespace: string; readonly name: string},
  {labels = {}, annotations = {}, data = {}}: SecretChanges,
): Promise<void> {
  const now = await site.object(secrets, name, () => true);
  const {managedFields: _, ...metadata} = now.metadata;
  const edited = {
    ...now,
    metadata: {
      ...metadata,
      labels: merged(now.metadata.labels, labels),
      annotations: merged(now.metadata.annotations, annotations),
    },
    data: merged(now.data, data),
  };
  await site.client.update(secrets, edited, {signal: site.signal, fieldManager: 'kubectl-edit'});
}

function merged(
  before: Readonly<Record<string, string>> = {},
  changes: Texts,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries({...before, ...changes}).flatMap(([key, value]) =>
      value === null ? [] : [[key, value]],
    ),
  );
}

/** A value of a Secret as text. */
export function pem(data: Readonly<Record<string, Buffer>>, key: string): string {
  return data[key]?.toString() ?? '';
}
