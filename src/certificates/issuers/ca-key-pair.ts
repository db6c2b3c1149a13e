import type {KeyObject} from 'node:crypto';
import {isCoded} from '#shared/errors';
import type {SecretObject} from '../apis/resources.ts';
import type {ParsedCertificate} from '../x509/certificate.ts';
import {formatChain, parseChain, type CertificateChain} from '../x509/chain.ts';
import {usageBits} from '../x509/extensions.ts';
import {decodePrivateKey, publicKeyDigest} from '../x509/keys.ts';
import {formatName} from '../x509/literal-subject.ts';

/** What a CA issuer signs with. */
export interface CaKeyPair {
  readonly key: KeyObject;
  /** The CA's own certificate. */
  readonly certificate: ParsedCertificate;
  /** The CA's own certificate first, each followed by its issuer, as far as the Secret has them. */
  readonly chain: readonly ParsedCertificate[];
  /** What follows a leaf in what is issued: the chain without its root; PEM, may be empty. */
  readonly intermediatesPem: string;
  /** The top-most of the chain, root or not. */
  readonly topPem: string;
}

/** What the Secret of a CA issuer holds, whatever the time is. */
export type CaSecretContents =
  | {readonly kind: 'key-pair'; readonly keyPair: CaKeyPair}
  /** A part is missing, or is not what it should be. */
  | {readonly kind: 'unreadable'; readonly message: string}
  /** Both parts are readable, and no CA. */
  | {readonly kind: 'unusable'; readonly message: string};

/** Reads `tls.crt` (the CA first, then its issuers) and `tls.key` of the Secret of a CA. */
export function caSecretContents(secret: SecretObject): CaSecretContents {
  const where = `Secret ${secret.metadata.namespace ?? ''}/${secret.metadata.name}`;
  const chainText = dataOf(secret, 'tls.crt');
  const keyText = dataOf(secret, 'tls.key');
  const missing = [chainText === '' && 'tls.crt', keyText === '' && 'tls.key'].filter(Boolean);
  if (missing.length > 0) {
    return {
      kind: 'unreadable',
      message: `${where} has no ${missing.join(' and no ')}; put the CA's certificate (tls.crt) and private key (tls.key) into it as PEM`,
    };
  }
  const chain = attempt(() => parseChain(chainText));
  if (chain.kind === 'failed') {
    return {kind: 'unreadable', message: `tls.crt of ${where}: ${chain.message}`};
  }
  const key = attempt(() => decodePrivateKey(keyText));
  if (key.kind === 'failed') {
    return {kind: 'unreadable', message: `tls.key of ${where}: ${key.message}`};
  }
  const problem = problemOf(chain.value.leaf, key.value);
  return problem === undefined
    ? {kind: 'key-pair', keyPair: keyPairOf(chain.value, key.value)}
    : {kind: 'unusable', message: `${where}: ${problem}`};
}

function keyPairOf({leaf, all, root}: CertificateChain, key: KeyObject): CaKeyPair {
  return {
    key,
    certificate: leaf,
    chain: all,
    intermediatesPem: formatChain(all.filter(certificate => certificate !== root)),
    topPem: (all.at(-1) ?? leaf).pem,
  };
}

/** Whether a CA may sign at an instant; `message` is for a condition. */
export type CaValidity =
  | {readonly kind: 'valid'; readonly until: Date}
  | {readonly kind: 'not-yet-valid'; readonly message: string; readonly from: Date}
  | {readonly kind: 'expired'; readonly message: string};

/** Judges the CA's own certificate. */
export function caValidity({certificate}: CaKeyPair, now: Date): CaValidity {
  const {notBefore, notAfter, subject} = certificate;
  const name = formatName(subject);
  if (now < notBefore) {
    return {
      kind: 'not-yet-valid',
      from: notBefore,
      message: `the CA certificate of ${name} is valid from ${notBefore.toISOString()} only; wait until then, or look at the clock of whoever made it`,
    };
  }
  if (now >= notAfter) {
    return {
      kind: 'expired',
      message: `the CA certificate of ${name} expired at ${notAfter.toISOString()}; renew it and replace tls.crt and tls.key of its Secret`,
    };
  }
  return {kind: 'valid', until: notAfter};
}

/** What cert-manager would sign with, and no client would accept. */
function problemOf(certificate: ParsedCertificate, key: KeyObject): string | undefined {
  const name = formatName(certificate.subject);
  if (publicKeyDigest(key) !== certificate.publicKeyDigest) {
    return `tls.key is not the key of the first certificate in tls.crt (${name}); put the two that belong together`;
  }
  if (!certificate.isCa) {
    return `the first certificate in tls.crt (${name}) is no CA: its basicConstraints lack CA:TRUE; use one that was issued as a CA (isCA: true in a Certificate)`;
  }
  const {keyUsages} = usageBits(certificate.usages);
  // RFC 5280 §4.2.1.3: a certificate that has the extension at all must have keyCertSign in it.
  if (keyUsages.length > 0 && !keyUsages.includes('cert sign')) {
    return `the first certificate in tls.crt (${name}) may not sign certificates: its key usage lacks "cert sign"; issue it again with that usage`;
  }
  return undefined;
}

function dataOf(secret: SecretObject, name: string): string {
  return Buffer.from(secret.data?.[name] ?? '', 'base64').toString('utf8');
}

type Attempt<T> =
  {readonly kind: 'done'; readonly value: T} | {readonly kind: 'failed'; readonly message: string};

/** What a parser of ours says of bad input is for the user; anything else is a defect. */
function attempt<T>(parse: () => T): Attempt<T> {
  try {
    return {kind: 'done', value: parse()};
  } catch (error) {
    if (!isCoded(error)) throw error;
    return {kind: 'failed', message: `${error.message}; ${error.hint}`};
  }
}
