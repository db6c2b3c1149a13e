import {CodedError, isCoded} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import {parseCertificate, type ParsedCertificate} from './certificate.ts';
import {decodePem, pemLimits} from './pem.ts';

/** Longer chains do not occur; the limit bounds the search for issuers. */
const CHAIN_LENGTH_MAX = 32;
/** As long as the longest chain of the smallest certificates. */
export const UNORDERED_LENGTH_MAX = 100;
const BUNDLE_LENGTH_MAX = 1_000;

/** Certificates each of which was issued by the next. */
export interface CertificateChain {
  readonly leaf: ParsedCertificate;
  /** From the leaf upwards, without the root. */
  readonly intermediates: readonly ParsedCertificate[];
  /** The self-signed end, if the text had it; the leaf itself when that is self-signed. */
  readonly root?: ParsedCertificate;
  /**
   * What a Secret's `ca.crt` gets: the topmost certificate, also when it is no root, but not the
   * leaf unless that is self-signed.
   */
  readonly ca?: ParsedCertificate;
  /** Leaf, intermediates, and the root if it is another. */
  readonly all: readonly ParsedCertificate[];
}

/**
 * Reads the certificates of a PEM text as one chain, in whatever order they stand there; a
 * certificate that comes twice counts once.
 *
 * @throws CodedError `ERR_CHAIN_INVALID` when they are not one chain, or one of them is no certificate
 */
export function parseChain(pem: string | Buffer): CertificateChain {
  return orderChain(parseAll(pem, pemLimits.chainBytesMax, CHAIN_LENGTH_MAX));
}

/**
 * Reads the certificates of `tls.crt`, or of what is to become it, in their order: the first is the
 * leaf for whoever presents them. The others are for clients to search, and may be cross-signed or
 * strangers, so they are not compared with each other.
 *
 * @throws CodedError `ERR_CHAIN_INVALID` when one of them is no certificate
 */
export function parseUnordered(pem: Buffer): readonly ParsedCertificate[] {
  return parseAll(pem, pemLimits.chainBytesMax, UNORDERED_LENGTH_MAX);
}

/**
 * Reads the certificates of a PEM text that need not belong together, in their order.
 *
 * @throws CodedError `ERR_CHAIN_INVALID`
 */
export function parseBundle(pem: string | Buffer): readonly ParsedCertificate[] {
  return parseAll(pem, pemLimits.bundleBytesMax, BUNDLE_LENGTH_MAX);
}

/** The certificates as one PEM text, in this order. */
export function formatChain(certificates: readonly ParsedCertificate[]): string {
  return certificates.map(({pem}) => pem).join('');
}

function parseAll(
  pem: string | Buffer,
  maxBytes: number,
  maxBlocks: number,
): readonly ParsedCertificate[] {
  try {
    const what = 'a certificate chain';
    const ders = decodePem(pem, {what, labels: ['CERTIFICATE'], maxBytes, maxBlocks});
    return ders.map(der => parseCertificate(der));
  } catch (error) {
    if (isCoded(error)) throw chainInvalid(error.message, error);
    throw error;
  }
}

function orderChain(certificates: readonly ParsedCertificate[]): CertificateChain {
  const distinct = certificates.filter(
    (certificate, i) => certificates.findIndex(({der}) => der.equals(certificate.der)) === i,
  );
  const leaves = distinct.filter(
    leaf => !distinct.some(other => other !== leaf && other.isIssuedBy(leaf)),
  );
  const [leaf] = leaves;
  if (!leaf || leaves.length > 1) {
    throw chainInvalid(
      `${String(distinct.length)} certificates make ${String(leaves.length)} chains`,
    );
  }
  const all = [leaf];
  for (let top = leaf; all.length < distinct.length;) {
    const issuers = distinct.filter(other => !all.includes(other) && top.isIssuedBy(other));
    const [issuer] = issuers;
    if (!issuer || issuers.length > 1) {
      throw chainInvalid(
        `${String(issuers.length)} of the certificates issued number ${String(all.length)} of the chain`,
      );
    }
    all.push(issuer);
    top = issuer;
  }
  return chainOf(all, leaf);
}

function chainOf(all: readonly ParsedCertificate[], leaf: ParsedCertificate): CertificateChain {
  const top = all.at(-1) ?? leaf;
  const hasRoot = top.isSelfSigned;
  return {
    leaf,
    intermediates: all.slice(1, hasRoot ? -1 : undefined),
    ...(hasRoot && {root: top}),
    ...((hasRoot || top !== leaf) && {ca: top}),
    all,
  };
}

function chainInvalid(found: string, cause?: CodedError): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_CHAIN_INVALID', `the certificates are not one chain: ${found}`, {
    hint: 'give the leaf, then each issuer up to the root, and no other certificate',
    ...(cause && {cause}),
  });
}
