import {createPrivateKey, type KeyObject, X509Certificate} from 'node:crypto';
import type {CaKeyPair} from '../role/cluster.ts';

/** The certificate controller refuses longer ones. */
const CERTIFICATE_LENGTH_MAX = 95_000;
const PRIVATE_KEY_LENGTH_MAX = 13_000;

/** What keeps a key pair from being a CA, and which of the two it is. */
export interface KeyPairProblem {
  readonly key: 'certificate' | 'privateKey';
  /** Never with anything of the key in it. */
  readonly message: string;
  readonly hint: string;
}

/** Looks for what would leave an issuer without a working CA. Undefined: none found. */
export function caKeyPairProblem(
  {certificate, privateKey}: CaKeyPair,
  now: Date,
): KeyPairProblem | undefined {
  const leaf = parseCertificate(certificate);
  if (leaf === undefined) {
    const message = `expected a certificate as PEM of at most ${CERTIFICATE_LENGTH_MAX} characters`;
    const hint =
      'it begins with -----BEGIN CERTIFICATE-----, the CA first, what it was signed with after it';
    return {key: 'certificate', message, hint};
  }
  const problem = (key: KeyPairProblem['key'], message: string, hint: string) => ({key, message, hint}); // prettier-ignore
  if (!leaf.ca) {
    return problem(
      'certificate',
      'it is no CA (basic constraints)',
      'name the certificate of a CA',
    );
  }
  const [from, until] = [leaf.validFromDate, leaf.validToDate];
  if (now < from || now >= until) {
    const message = `it is valid from ${from.toISOString()} to ${until.toISOString()} only`;
    return problem('certificate', message, 'renew the CA, or correct the clock of this machine');
  }
  const key = parsePrivateKey(privateKey.reveal());
  if (typeof key === 'string') {
    return problem(
      'privateKey',
      key,
      'write it unencrypted as PEM, PKCS#8 or the form of its kind',
    );
  }
  if (!leaf.checkPrivateKey(key)) {
    const message = 'it does not belong to the certificate';
    return problem('privateKey', message, 'name the key and the certificate of the same CA');
  }
  return undefined;
}

function parseCertificate(pem: string): X509Certificate | undefined {
  if (pem.length > CERTIFICATE_LENGTH_MAX) return undefined;
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined; // told by the caller
  }
}

/** A key, or why there is none; OpenSSL's own words may quote the input and are left out. */
function parsePrivateKey(pem: string): KeyObject | string {
  if (pem.length > PRIVATE_KEY_LENGTH_MAX) {
    return `expected at most ${PRIVATE_KEY_LENGTH_MAX} characters`;
  }
  if (/ENCRYPTED/.test(pem)) return 'it is encrypted';
  try {
    return createPrivateKey(pem);
  } catch {
    return 'expected a private key as PEM';
  }
}
