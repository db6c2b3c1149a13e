import type {KeyObject} from 'node:crypto';
import {CodedError} from '#shared/errors';
import type {Secret} from '#shared/secret';
import type {CertificateSpec} from '../../apis/certificate.ts';
import {secretKeys} from '../../apis/names.ts';
import type {CertificatesErrorCode} from '../../errors.ts';
import {createJks, createJksTruststore} from '../../keystores/jks.ts';
import {createPkcs12, createPkcs12Truststore} from '../../keystores/pkcs12.ts';
import type {ParsedCertificate} from '../../x509/certificate.ts';
import {parseBundle} from '../../x509/chain.ts';

export interface KeystoreDataInput {
  readonly keystores: CertificateSpec['keystores'];
  readonly key: KeyObject;
  /** Leaf first. */
  readonly chain: readonly ParsedCertificate[];
  readonly caPem?: string | undefined;
  readonly passwords: {readonly jks?: Secret | undefined; readonly pkcs12?: Secret | undefined};
}

/**
 * The keystores that a specification asks for, by their key in the Secret; truststores only where
 * the issuer tells its CA.
 *
 * @throws CodedError `ERR_SECRET_MISSING` for a password that was not given,
 *   `ERR_KEYSTORE_INVALID`, and `ERR_CHAIN_INVALID` for a CA that is none
 */
export function keystoreData(input: KeystoreDataInput): ReadonlyMap<string, Buffer> {
  const {jks, pkcs12} = input.keystores ?? {};
  const data = new Map<string, Buffer>();
  if (jks?.create !== true && pkcs12?.create !== true) return data;
  const {key, chain, passwords} = input;
  const ca = certificatesOf(input.caPem);
  if (pkcs12?.create === true) {
    const password = revealed('pkcs12', passwords.pkcs12);
    const profile = pkcs12.profile ?? 'LegacyRC2';
    data.set(secretKeys.pkcs12, createPkcs12({profile, password, key, chain, ca}));
    if (ca.length > 0)
      data.set(secretKeys.pkcs12Truststore, createPkcs12Truststore({profile, password, ca}));
  }
  if (jks?.create === true) {
    const password = revealed('jks', passwords.jks);
    const alias = jks.alias ?? 'certificate';
    data.set(secretKeys.jks, createJks({alias, password, key, chain, ca}));
    if (ca.length > 0) data.set(secretKeys.jksTruststore, createJksTruststore({password, ca}));
  }
  return data;
}

function revealed(store: 'jks' | 'pkcs12', password: Secret | undefined): string {
  if (password !== undefined) return password.reveal();
  const message = `spec.keystores.${store}: no password was found for the keystore`;
  throw new CodedError<CertificatesErrorCode>('ERR_SECRET_MISSING', message, {
    hint: 'give password, or passwordSecretRef with name and key of a Secret in the same namespace',
  });
}

function certificatesOf(caPem: string | undefined): readonly ParsedCertificate[] {
  return caPem === undefined || caPem.trim() === '' ? [] : parseBundle(caPem);
}
