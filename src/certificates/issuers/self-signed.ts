import type {KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import type {Issuer} from '../apis/issuer.ts';
import {
  issuerReasons,
  requestAnnotations,
  requestEvents,
  signingRequestAnnotations,
} from '../apis/names.ts';
import type {SecretReader} from '../controllers/secret-reader.ts';
import type {ObjectName} from '../kube/resource.ts';
import {decodePrivateKey, publicKeyDigest} from '../x509/keys.ts';
import {createOrRefuse} from './create-or-refuse.ts';
import type {
  IssuerContext,
  IssuerType,
  Remark,
  SigningInput,
  SigningResult,
} from './issuer-type.ts';
import {accessSecret, FORBIDDEN_RETRY_MS, secretTitle} from './secret-access.ts';

/**
 * Signs each request with the request's own key, which it reads from the Secret that the request
 * names, at that moment only.
 */
export function createSelfSignedIssuer(secrets: SecretReader): IssuerType {
  return {
    kind: 'selfSigned',
    check: () =>
      Promise.resolve({
        ready: true,
        reason: issuerReasons.isReady,
        message: 'a self-signed issuer needs nothing',
      }),
    sign: async (request, issuer, context) => {
      const {privateKeySecret} = request;
      if (privateKeySecret === undefined) {
        return {
          kind: 'failed',
          reason: requestEvents.missingAnnotation,
          message: `a self-signed issuer signs with the request's own key: make the request again with the name of the key's Secret in its annotation ${requestAnnotations.privateKeySecretName} (${signingRequestAnnotations.privateKeySecretName} for a CertificateSigningRequest)`,
        };
      }
      const found = await keyIn(secrets, privateKeySecret, context);
      if (found.kind !== 'key') return found;
      return signWith(found.key, request, issuer, context);
    },
  };
}

type Found =
  | {readonly kind: 'key'; readonly key: KeyObject}
  | ({readonly kind: 'pending'; readonly requeueAt?: Date} & Remark);

/** The requests of a Secret are looked at again when it changes: only a refusal is to be timed. */
async function keyIn(
  secrets: SecretReader,
  name: ObjectName,
  {signal, now}: IssuerContext,
): Promise<Found> {
  const where = secretTitle(name);
  const access = await accessSecret(secrets, name, {signal});
  if (access.kind === 'forbidden') {
    const requeueAt = new Date(now.getTime() + FORBIDDEN_RETRY_MS);
    return {
      kind: 'pending',
      reason: requestEvents.missingSecret,
      message: access.message,
      requeueAt,
    };
  }
  if (access.kind === 'missing') {
    return {
      kind: 'pending',
      reason: requestEvents.missingSecret,
      message: `${where} does not exist yet; it must hold the private key of the request in tls.key`,
    };
  }
  const text = Buffer.from(access.secret.data?.['tls.key'] ?? '', 'base64').toString('utf8');
  if (text === '') {
    return {
      kind: 'pending',
      reason: requestEvents.errorParsingKey,
      message: `${where} has no tls.key; put the private key of the request into it as PEM`,
    };
  }
  try {
    return {kind: 'key', key: decodePrivateKey(text)};
  } catch (error) {
    if (!isCoded(error)) throw error;
    return {
      kind: 'pending',
      reason: requestEvents.errorParsingKey,
      message: `tls.key of ${where}: ${error.message}; ${error.hint}`,
    };
  }
}

function signWith(
  key: KeyObject,
  {csr, durationMs, isCa, usages, privateKeySecret}: SigningInput,
  issuer: Issuer,
  {now}: IssuerContext,
): SigningResult {
  if (publicKeyDigest(key) !== csr.publicKeyDigest) {
    return {
      kind: 'failed',
      reason: requestEvents.errorKeyMatch,
      message: `the private key in ${secretTitle(privateKeySecret ?? {name: ''})} is not the one that made the request; name the right Secret in a new request`,
    };
  }
  const {crlDistributionPoints} = issuer.spec.selfSigned ?? {};
  const created = createOrRefuse({
    subject: csr.subject,
    names: csr.names,
    publicKey: csr.publicKey,
    notBefore: now,
    notAfter: new Date(now.getTime() + durationMs),
    usages,
    isCa,
    ...(csr.nameConstraints === undefined ? {} : {nameConstraints: csr.nameConstraints}),
    ...(crlDistributionPoints === undefined ? {} : {crlDistributionPoints}),
    issuer: {key},
  });
  if (created.kind === 'refused') {
    return {kind: 'failed', reason: requestEvents.errorGenerating, message: created.message};
  }
  return {
    kind: 'issued',
    chainPem: created.pem,
    caPem: created.pem,
    ...(csr.subject.length > 0 ? {} : {warnings: [EMPTY_ISSUER]}),
  };
}

const EMPTY_ISSUER: Remark = {
  reason: requestEvents.badConfig,
  message:
    'the certificate has an empty subject, so its issuer is empty as well, which RFC 5280 §4.1.2.4 forbids and strict clients refuse; set commonName or subject',
};
