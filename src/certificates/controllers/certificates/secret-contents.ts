import type {KeyObject} from 'node:crypto';
import type {Secret} from '#shared/secret';
import type {Certificate} from '../../apis/certificate.ts';
import {issuerReference} from '../../apis/issuer-reference.ts';
import {API_VERSION, labels, secretAnnotations, secretKeys} from '../../apis/names.ts';
import type {SecretObject} from '../../apis/resources.ts';
import {templateMetadata} from '../../policies/secret-template.ts';
import type {ParsedCertificate} from '../../x509/certificate.ts';
import {parseBundle} from '../../x509/chain.ts';
import {encodePrivateKey} from '../../x509/keys.ts';
import {additionalFormats, type AdditionalFormat} from './additional-formats.ts';
import {certificateAnnotations} from './certificate-annotations.ts';
import {keystoreData} from './keystore-data.ts';
import type {SecretFacts} from './secret-facts.ts';

/** What a target Secret is made of. */
export interface SecretInput {
  readonly certificate: Certificate;
  /** Leaf first, then the intermediates. */
  readonly chainPem: string;
  /** The issuer's CA, where it tells. */
  readonly caPem?: string | undefined;
  readonly key: KeyObject;
  /** Of the keystores that the specification asks for. */
  readonly keystorePasswords: KeystorePasswords;
  /** Type of the Secret that is there already: it cannot be changed. */
  readonly existingType?: string | undefined;
  /** Whether the Secret goes with its Certificate. */
  readonly ownerReference: boolean;
  /** Of a Secret that is written again without an issuance, see {@link repairOf}. */
  readonly repair?: SecretRepair | undefined;
}

export interface KeystorePasswords {
  readonly jks?: Secret | undefined;
  readonly pkcs12?: Secret | undefined;
}

/** What a Secret keeps when it is written again with the certificate that it has. */
export interface SecretRepair {
  /** With it, a Secret that was deleted meanwhile is not brought back with its old key (409). */
  readonly uid: string;
  /** Who issued it for whom, as it says itself: not what the specification says now. */
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The target Secret for server-side apply by `cert-manager-certificates-issuing`, forced.
 *
 * Everything that it names belongs to us afterwards; what an earlier apply named and this one does
 * not is removed by the API server (a key of the template, a format, a keystore); what others put
 * there stays. Keys of the template under `cert-manager.io/` are passed over, except the
 * annotation `allow-direct-injection`.
 *
 * @throws CodedError `ERR_CHAIN_INVALID` for certificates that are none, `ERR_KEYSTORE_INVALID` for a
 *   keystore that cannot be made, `ERR_SECRET_MISSING` for a password that was not given
 */
export function secretToApply(input: SecretInput): SecretObject {
  const {certificate, chainPem, existingType, repair} = input;
  const {name, namespace} = certificate.metadata;
  const {spec} = certificate;
  const chain = parseBundle(chainPem);
  const [leaf] = chain;
  const template = templateMetadata(spec);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: spec.secretName,
      ...(namespace !== undefined && {namespace}),
      ...(repair !== undefined && {uid: repair.uid}),
      labels: {...template.labels, [labels.managed]: 'true'},
      annotations: {
        ...template.annotations,
        ...(leaf !== undefined && certificateAnnotations(leaf)),
        ...(repair?.annotations ?? {
          [secretAnnotations.certificateName]: name,
          ...issuerAnnotations(certificate),
        }),
      },
      ...(input.ownerReference && {ownerReferences: [ownerReferenceTo(certificate)]}),
    },
    type: existingType === undefined || existingType === '' ? 'kubernetes.io/tls' : existingType,
    data: secretData(input, chain),
  };
}

/** What {@link secretToApply} needs to write a Secret again as it is. */
export function repairOf({uid, annotations}: SecretFacts): SecretRepair {
  return {
    uid,
    annotations: Object.fromEntries(
      provenance.flatMap(key => {
        const value = annotations[key];
        return value === undefined ? [] : [[key, value]];
      }),
    ),
  };
}

const provenance = [
  secretAnnotations.certificateName,
  secretAnnotations.issuerName,
  secretAnnotations.issuerKind,
  secretAnnotations.issuerGroup,
];

/** meta/v1 OwnerReference of what a Certificate controls. */
export function ownerReferenceTo({metadata}: Certificate): {
  readonly apiVersion: string;
  readonly kind: 'Certificate';
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
  readonly blockOwnerDeletion: true;
} {
  return {
    apiVersion: API_VERSION,
    kind: 'Certificate',
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

function issuerAnnotations({spec}: Certificate): Readonly<Record<string, string>> {
  const {name, kind, group} = issuerReference(spec.issuerRef);
  return {
    [secretAnnotations.issuerName]: name,
    [secretAnnotations.issuerKind]: kind,
    [secretAnnotations.issuerGroup]: group,
  };
}

function secretData(
  {certificate: {spec}, chainPem, caPem, key, keystorePasswords}: SecretInput,
  chain: readonly ParsedCertificate[],
): Readonly<Record<string, string>> {
  const keyPem = encodePrivateKey(key, spec.privateKey?.encoding ?? 'PKCS1');
  const pair = {key: Buffer.from(keyPem), chain: Buffer.from(chainPem)};
  const data = new Map<string, Buffer>([
    [secretKeys.certificate, pair.chain],
    [secretKeys.privateKey, pair.key],
  ]);
  if (caPem !== undefined && caPem !== '') data.set(secretKeys.ca, Buffer.from(caPem));
  for (const {type} of spec.additionalOutputFormats ?? []) {
    const {dataKey, encode} = additionalFormats[type satisfies AdditionalFormat];
    const encoded = encode(pair);
    if (encoded !== undefined) data.set(dataKey, encoded);
  }
  for (const [dataKey, store] of keystoreData({
    keystores: spec.keystores,
    key,
    chain,
    caPem,
    passwords: keystorePasswords,
  })) {
    data.set(dataKey, store);
  }
  return Object.fromEntries(
    [...data].map(([dataKey, bytes]) => [dataKey, bytes.toString('base64')]),
  );
}
