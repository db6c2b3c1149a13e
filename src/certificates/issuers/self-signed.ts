import type {KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import type {Issuer} from '../apis/issuer.ts';
import type {SecretReader} from '../controllers/secret-reader.ts';
import type {ObjectName} from '../kube/resource.ts';
import {createCertificate} from '../x509/certificate.ts';
import {decodePrivateKey, publicKeyDigest} from '../x509/keys.ts';
import type {
  IssuerContext,
  IssuerType,
  Remark,
  SigningInput,
  SigningResult,
} from './issuer-type.ts';

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
        reason: 'IsReady',
        message: 'a self-signed issuer needs nothing',
      }),
    sign: async (request, issuer, context) => {
      const {privateKeySecret} = request;
      if (privateKeySecret === undefined) {
        return {
          kind: 'failed',
          reason: 'MissingAnnotation',
          message:
            'a self-signed issuer needs the private key: name its Secret in the annotation cert-manager.io/private-key-secret-name of the request (experimental.cert-manager.io/private-key-secret-name of a CertificateSigningRequest)',
        };
      }
      const found = await keyIn(secrets, privateKeySecret, context);
      if (found.kind !== 'key') return found;
      return signWith(found.key, request, issuer, context);
    },
  };
}

type Found =
  {readonly kind: 'key'; readonly key: KeyObject} | ({readonly kind: 'pending'} & Remark);

/** The requests of a Secret are looked at again when it changes: nothing is to be timed. */
async function keyIn(
  secrets: SecretReader,
  name: ObjectName,
  {signal}: IssuerContext,
): Promise<Found> {
  const where = `Secret ${name.namespace ?? ''}/${name.name}`;
  const secret = await secrets.read(name, {signal});
  if (secret === undefined) {
    return {
      kind: 'pending',
      reason: 'MissingSecret',
      message: `${where} does not exist yet; it must hold the private key of the request in tls.key`,
    };
  }
  const text = Buffer.from(secret.data?.['tls.key'] ?? '', 'base64').toString('utf8');
  if (text === '') {
    return {
      kind: 'pending',
      reason: 'ErrorParsingKey',
      message: `${where} has no tls.key; put the private key of the request into it as PEM`,
    };
  }
  try {
    return {kind: 'key', key: decodePrivateKey(text)};
  } catch (error) {
    if (!isCoded(error)) throw error;
    return {
      kind: 'pending',
      reason: 'ErrorParsingKey',
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
      reason: 'ErrorKeyMatch',
      message: `the private key in Secret ${privateKeySecret?.namespace ?? ''}/${privateKeySecret?.name ?? ''} is not the one that made the request; name the right Secret in a new request`,
    };
  }
  const {crlDistributionPoints} = issuer.spec.selfSigned ?? {};
  const pem = createCertificate({
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
  return {
    kind: 'issued',
    chainPem: pem,
    caPem: pem,
    ...(csr.subject.length > 0 ? {} : {warnings: [EMPTY_ISSUER]}),
  };
}

const EMPTY_ISSUER: Remark = {
  reason: 'BadConfig',
  message:
    'the certificate has an empty subject, so its issuer is empty as well, which RFC 5280 §4.1.2.4 forbids and strict clients refuse; set commonName or subject',
};
