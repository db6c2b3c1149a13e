import type {Issuer} from '../apis/issuer.ts';
import {issuerReasons, requestEvents} from '../apis/names.ts';
import type {ObjectName} from '../kube/resource.ts';
import type {ParsedCertificate} from '../x509/certificate.ts';
import {formatName} from '../x509/literal-subject.ts';
import {caValidity, type CaKeyPair} from './ca-key-pair.ts';
import type {CaStore} from './ca-store.ts';
import {createOrRefuse} from './create-or-refuse.ts';
import type {
  IssuerContext,
  IssuerType,
  IssuerVerdict,
  Remark,
  SigningInput,
  SigningResult,
} from './issuer-type.ts';
import {nameRefusal} from './permitted-names.ts';
import {FORBIDDEN_RETRY_MS, secretTitle} from './secret-access.ts';

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
  | {
      readonly kind: 'missing' | 'unreadable' | 'unusable';
      readonly message: string;
      /** When this may change by itself. */
      readonly recheckAt?: Date;
    };

/** A request that waits for the CA's Secret is looked at when that or the issuer changes; and then. */
const RETRY_MS = 60_000;

async function signerOf(store: CaStore, issuer: Issuer, context: IssuerContext): Promise<Signer> {
  const name = secretOf(issuer, context);
  const contents = await store.load(name, context);
  if (contents.kind === 'missing') {
    return {
      kind: 'missing',
      message: `${secretTitle(name)} does not exist; create it with the CA's certificate (tls.crt) and private key (tls.key)`,
    };
  }
  if (contents.kind === 'forbidden') {
    const recheckAt = new Date(context.now.getTime() + FORBIDDEN_RETRY_MS);
    return {kind: 'unreadable', message: contents.message, recheckAt};
  }
  if (contents.kind !== 'key-pair') return contents;
  const validity = caValidity(contents.keyPair, context.now);
  switch (validity.kind) {
    case 'valid':
      return {kind: 'ready', keyPair: contents.keyPair, until: validity.until};
    case 'not-yet-valid':
      return {kind: 'unusable', message: validity.message, recheckAt: validity.from};
    case 'expired':
      return {kind: 'unusable', message: validity.message};
  }
}

function verdictOf(signer: Signer): IssuerVerdict {
  if (signer.kind === 'ready') {
    const {until} = signer;
    return {
      ready: true,
      reason: issuerReasons.keyPairVerified,
      message: 'the CA is ready to sign',
      recheckAt: until,
    };
  }
  const {kind, message, recheckAt} = signer;
  const {errGetKeyPair, errInvalidKeyPair} = issuerReasons;
  const reason = kind === 'unusable' ? errInvalidKeyPair : errGetKeyPair;
  return {ready: false, reason, message, ...(recheckAt === undefined ? {} : {recheckAt})};
}

function pendingFor(
  {kind, message}: Exclude<Signer, {kind: 'ready'}>,
  {now}: IssuerContext,
): SigningResult {
  return {
    kind: 'pending',
    reason: kind === 'missing' ? requestEvents.secretMissing : requestEvents.secretInvalidData,
    message,
    requeueAt: new Date(now.getTime() + RETRY_MS),
  };
}

function signWith(
  {key, certificate, chain, intermediatesPem, topPem}: CaKeyPair,
  {csr, durationMs, isCa, usages}: SigningInput,
  issuer: Issuer,
  {now}: IssuerContext,
): SigningResult {
  const refusal = nameRefusal(chain, csr.names) ?? depthRefusal(chain, isCa);
  if (refusal !== undefined) return failed(refusal);
  const {crlDistributionPoints, ocspServers, issuingCertificateURLs} = issuer.spec.ca ?? {};
  const notAfter = new Date(now.getTime() + durationMs);
  const signed = createOrRefuse({
    subject: csr.subject,
    names: csr.names,
    publicKey: csr.publicKey,
    notBefore: now,
    notAfter,
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
  if (signed.kind === 'refused') return failed(signed.message);
  const warning = endsFirst(chain, notAfter);
  return {
    kind: 'issued',
    chainPem: signed.pem + intermediatesPem,
    caPem: topPem,
    ...(warning === undefined ? {} : {warnings: [warning]}),
  };
}

function failed(message: string): SigningResult {
  return {kind: 'failed', reason: requestEvents.signingError, message};
}

/** RFC 5280 §4.2.1.9: how many CAs may follow below one. */
function depthRefusal(chain: readonly ParsedCertificate[], isCa: boolean): string | undefined {
  if (!isCa) return undefined;
  const full = chain.find(({pathLength}, below) => pathLength !== undefined && pathLength <= below);
  if (full === undefined) return undefined;
  return `${formatName(full.subject)} allows no further CA below this issuer (pathLenConstraint ${full.pathLength ?? 0}); request a certificate that is no CA, or use another issuer`;
}

/**
 * What was asked for is issued, as users of the API expect; but verifiers stop at the first
 * certificate of the chain that has expired.
 */
function endsFirst(chain: readonly ParsedCertificate[], notAfter: Date): Remark | undefined {
  const first = chain.find(ca => ca.notAfter < notAfter);
  if (first === undefined) return undefined;
  return {
    reason: 'IssuerExpiresFirst',
    message: `the certificate lasts until ${notAfter.toISOString()}, but ${formatName(first.subject)} above it only until ${first.notAfter.toISOString()}; renew the CA before then`,
  };
}

function secretOf({spec}: Issuer, {secretNamespace}: IssuerContext): ObjectName {
  return {namespace: secretNamespace, name: spec.ca?.secretName ?? ''};
}
