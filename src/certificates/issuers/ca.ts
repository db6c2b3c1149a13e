import type {Issuer} from '../apis/issuer.ts';
import type {ObjectName} from '../kube/resource.ts';
import {createCertificate} from '../x509/certificate.ts';
import {caValidity, type CaKeyPair} from './ca-key-pair.ts';
import type {CaStore} from './ca-store.ts';
import type {
  IssuerContext,
  IssuerType,
  IssuerVerdict,
  SigningInput,
  SigningResult,
} from './issuer-type.ts';

/**
 * Signs with a key pair from a Secret. What it issues is chained up to, and without, the root;
 * `ca` is the top-most certificate that the Secret has.
 */
export function createCaIssuer(store: CaStore): IssuerType {
  return {
    kind: 'ca',
    check: async (issuer, context) => verdictOf(await signerOf(store, issuer, context)),
    sign: async (request, issuer, context) => {
      const signer = await signerOf(store, issuer, context);
      if (signer.kind !== 'ready') return pendingFor(signer, context);
      return signWith(signer.keyPair, request, issuer, context);
    },
  };
}

type Signer =
  | {readonly kind: 'ready'; readonly keyPair: CaKeyPair; readonly until: Date}
  | {readonly kind: 'missing' | 'unreadable'; readonly message: string}
  | {readonly kind: 'unusable'; readonly message: string; readonly from?: Date};

/** A request that waits for the CA's Secret is looked at when that or the issuer changes; and then. */
const RETRY_MS = 60_000;

async function signerOf(store: CaStore, issuer: Issuer, context: IssuerContext): Promise<Signer> {
  const name = secretOf(issuer, context);
  const contents = await store.load(name, context);
  if (contents === undefined) {
    return {
      kind: 'missing',
      message: `Secret ${name.namespace ?? ''}/${name.name} does not exist; create it with the CA's certificate (tls.crt) and private key (tls.key)`,
    };
  }
  if (contents.kind !== 'key-pair') return contents;
  const validity = caValidity(contents.keyPair, context.now);
  switch (validity.kind) {
    case 'valid':
      return {kind: 'ready', keyPair: contents.keyPair, until: validity.until};
    case 'not-yet-valid':
      return {kind: 'unusable', message: validity.message, from: validity.from};
    case 'expired':
      return {kind: 'unusable', message: validity.message};
  }
}

function verdictOf(signer: Signer): IssuerVerdict {
  if (signer.kind === 'ready') {
    const {until} = signer;
    return {
      ready: true,
      reason: 'KeyPairVerified',
      message: 'the CA is ready to sign',
      recheckAt: until,
    };
  }
  const {kind, message} = signer;
  const reason = kind === 'unusable' ? 'ErrInvalidKeyPair' : 'ErrGetKeyPair';
  if (kind === 'unusable' && signer.from !== undefined) {
    return {ready: false, reason, message, recheckAt: signer.from};
  }
  return {ready: false, reason, message};
}

function pendingFor(
  {kind, message}: Exclude<Signer, {kind: 'ready'}>,
  {now}: IssuerContext,
): SigningResult {
  return {
    kind: 'pending',
    reason: kind === 'missing' ? 'SecretMissing' : 'SecretInvalidData',
    message,
    requeueAt: new Date(now.getTime() + RETRY_MS),
  };
}

function signWith(
  {key, certificate, chain}: CaKeyPair,
  {csr, durationMs, isCa, usages}: SigningInput,
  issuer: Issuer,
  {now}: IssuerContext,
): SigningResult {
  const {crlDistributionPoints, ocspServers, issuingCertificateURLs} = issuer.spec.ca ?? {};
  const leafPem = createCertificate({
    subject: csr.subject,
    names: csr.names,
    publicKey: csr.publicKey,
    notBefore: now,
    notAfter: new Date(now.getTime() + durationMs),
    usages,
    isCa,
    ...(csr.nameConstraints === undefined ? {} : {nameConstraints: csr.nameConstraints}),
    ...(crlDistributionPoints === undefined ? {} : {crlDistributionPoints}),
    ...(ocspServers === undefined ? {} : {ocspServers}),
    ...(issuingCertificateURLs === undefined
      ? {}
      : {issuingCertificateUrls: issuingCertificateURLs}),
    issuer: {key, certificate},
  });
  const top = chain.at(-1) ?? certificate;
  const intermediates = chain.filter(({isSelfSigned}) => !isSelfSigned);
  return {
    kind: 'issued',
    chainPem: [leafPem, ...intermediates.map(({pem}) => pem)].join(''),
    caPem: top.pem,
  };
}

function secretOf({spec}: Issuer, {secretNamespace}: IssuerContext): ObjectName {
  return {namespace: secretNamespace, name: spec.ca?.secretName ?? ''};
}
