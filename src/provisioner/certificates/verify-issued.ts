import {createPrivateKey, type KeyObject, X509Certificate} from 'node:crypto';

/** What a Secret of a certificate holds, decoded. */
export interface IssuedSecret {
  readonly certificate: string; // tls.crt: leaf first, then intermediates
  readonly privateKey: string; // tls.key
  readonly authority: string; // ca.crt; empty where the issuer knows none
}

export interface Expectation {
  readonly dnsName: string;
  readonly now: Date;
  /** PEM of the CA that has to be in the chain, where it is known. */
  readonly authority?: string;
}

export type Verdict =
  | {readonly ok: true; readonly signedBy: string}
  /** Never with anything of the key in it. */
  | {readonly ok: false; readonly reason: string};

/** The clock of a control plane may be ahead of ours by a moment. */
const CLOCK_SKEW_MS = 60_000;
const CHAIN_LENGTH_MAX = 10;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Checks that a certificate is what was asked for: its key, its name, its time, and that every
 * certificate of the chain was signed by the next one, up to the issuer's own. Pure.
 */
export function verifyIssued(secret: IssuedSecret, expected: Expectation): Verdict {
  const chain = parseChain(secret.certificate);
  const [leaf] = chain ?? [];
  if (chain === undefined || leaf === undefined) return failed('tls.crt holds no certificates');
  const authorities = parseChain(secret.authority);
  if (authorities === undefined) return failed('ca.crt holds something else than certificates');
  const key = parsePrivateKey(secret.privateKey);
  if (key === undefined) return failed('tls.key holds no private key');
  if (!leaf.checkPrivateKey(key)) return failed('tls.key is not the key of tls.crt');
  if (leaf.checkHost(expected.dnsName) === undefined) {
    return failed(`the certificate is not for ${expected.dnsName}, it is for ${leaf.subjectAltName ?? 'no name'}`); // prettier-ignore
  }
  const [from, until] = [leaf.validFromDate, leaf.validToDate];
  const now = expected.now.getTime();
  if (from.getTime() - CLOCK_SKEW_MS > now || until.getTime() <= now) {
    return failed(`it is valid from ${from.toISOString()} to ${until.toISOString()}, and it is ${expected.now.toISOString()}`); // prettier-ignore
  }
  return verifyChain(chain, authorities, expected.authority);
}

function verifyChain(
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  expectedAuthority: string | undefined,
): Verdict {
  const known = [...chain.slice(1), ...authorities, ...(parseChain(expectedAuthority ?? '') ?? [])];
  const path: X509Certificate[] = chain.slice(0, 1);
  for (let subject = path[0]; subject !== undefined && !isSelfSigned(subject);) {
    const child: X509Certificate = subject;
    const parent = known.find(each => isSignedBy(child, each));
    if (parent === undefined) break;
    if (!parent.ca) return failed(`${oneLine(parent.subject)} signed, and is no CA`);
    if (path.length > CHAIN_LENGTH_MAX) return failed('the chain goes round in a circle');
    path.push(parent);
    subject = parent;
  }
  const unused = chain.slice(1).filter(each => !path.some(used => used.raw.equals(each.raw)));
  if (unused[0] !== undefined) return failed(`${oneLine(unused[0].subject)} does not belong to the chain`); // prettier-ignore
  const [leaf, signer = leaf] = path;
  if (leaf === undefined || signer === undefined) return failed('there is no certificate');
  if (signer === leaf && !isSelfSigned(leaf)) {
    return failed(`${oneLine(leaf.issuer)} signed it, and neither tls.crt nor ca.crt has that`);
  }
  const [wanted] = parseChain(expectedAuthority ?? '') ?? [];
  if (wanted !== undefined && !path.some(each => each.raw.equals(wanted.raw))) {
    return failed(`it was signed by ${oneLine(signer.subject)}, expected ${oneLine(wanted.subject)}`); // prettier-ignore
  }
  return {ok: true, signedBy: signer === leaf ? 'itself' : oneLine(signer.subject)};
}

const isSignedBy = (child: X509Certificate, parent: X509Certificate): boolean =>
  child.checkIssued(parent) && child.verify(parent.publicKey);

/** Names alone do not tell: a certificate may have an empty subject. */
const isSelfSigned = (certificate: X509Certificate): boolean =>
  certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);

const oneLine = (name: string | undefined): string =>
  name === undefined || name === '' ? 'a nameless certificate' : name.replaceAll('\n', ', ');

const failed = (reason: string): Verdict => ({ok: false, reason});

/** Undefined for a text that holds something that is no certificate. */
function parseChain(pem: string): readonly X509Certificate[] | undefined {
  try {
    return (pem.match(PEM_CERTIFICATE) ?? []).map(text => new X509Certificate(text));
  } catch {
    return undefined; // told by the caller
  }
}

function parsePrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined; // OpenSSL's words may quote the input
  }
}
