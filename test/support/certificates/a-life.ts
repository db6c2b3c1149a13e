import type {Certificate, CertificateSpec} from '#certificates/apis/certificate';
import type {CertificateRequest} from '#certificates/apis/certificate-request';
import {findCondition} from '#certificates/apis/conditions';
import {labels} from '#certificates/apis/names';
import * as kinds from '#certificates/apis/resources';
import type {SecretObject} from '#certificates/apis/resources';
import {eventually} from '#test/eventually';
import type {ControllerSite} from './a-controller.ts';

/** A namespace with the Issuer `ca`, whose root lasts ten years. */
export async function aNamespace(site: ControllerSite): Promise<string> {
  const namespace = await site.namespace();
  const controller = await site.start();
  await site.apply(
    anIssuer(namespace, 'self', {selfSigned: {}}),
    aCertificate(namespace, 'root', {
      isCA: true,
      commonName: 'root',
      duration: '87600h',
      issuerRef: {name: 'self'},
    }),
    anIssuer(namespace, 'ca', {ca: {secretName: 'root-tls'}}),
  );
  await site.ready({namespace, name: 'root'});
  await site.issuer({namespace, name: 'ca'}, ({status}) =>
    (status?.conditions ?? []).some(({type, status: is}) => type === 'Ready' && is === 'True'),
  );
  await eventually(async () => (await keySecrets(site, namespace)).length === 0);
  await controller[Symbol.asyncDispose]();
  return namespace;
}

function anIssuer(namespace: string, name: string, spec: object) {
  return {apiVersion: 'cert-manager.io/v1', kind: 'Issuer', metadata: {name, namespace}, spec};
}

/** A Certificate for `<name>.example.com` with an ECDSA key, of the Issuer `ca`. */
export function aCertificate(
  namespace: string,
  name: string,
  spec: Partial<CertificateSpec> = {},
): Certificate {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: {name, namespace},
    spec: {
      secretName: `${name}-tls`,
      dnsNames: [`${name}.example.com`],
      privateKey: {algorithm: 'ECDSA'},
      issuerRef: {name: 'ca'},
      ...spec,
    },
  };
}

/** The temporary keys of a namespace. */
export async function keySecrets(
  {client, signal}: ControllerSite,
  namespace: string,
): Promise<readonly SecretObject[]> {
  const labelSelector = `${labels.nextPrivateKey}=true`;
  return client.list(kinds.secrets, {signal, namespace, labelSelector});
}

/** The requests of a Certificate. */
export async function requestsOf(
  {client, signal}: ControllerSite,
  namespace: string,
  name: string,
): Promise<readonly CertificateRequest[]> {
  const all = await client.list(kinds.certificateRequests, {signal, namespace});
  return all.filter(
    ({metadata}) => metadata.annotations?.['cert-manager.io/certificate-name'] === name,
  );
}

/** Waits for a revision that is Ready, with nothing going on and no key left over. */
export async function settled(
  site: ControllerSite,
  namespace: string,
  name: string,
  revision: number,
): Promise<Certificate> {
  const found = await site.certificate(
    {namespace, name},
    ({status, metadata}) =>
      status?.revision === revision &&
      findCondition(status.conditions, 'Ready')?.status === 'True' &&
      findCondition(status.conditions, 'Ready')?.observedGeneration === metadata.generation &&
      findCondition(status.conditions, 'Issuing') === undefined,
  );
  await eventually(async () => (await keySecrets(site, namespace)).length === 0);
  return found;
}
