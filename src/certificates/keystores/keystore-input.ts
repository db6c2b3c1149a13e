import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';
import type {ParsedCertificate} from '../x509/certificate.ts';

// Far beyond any use; a keystore has to fit in a Secret (1 MiB) beside the other formats.
const PASSWORD_LENGTH_MAX = 1_024;
const CERTIFICATES_MAX = 500;
const CERTIFICATE_OCTETS_MAX = 330_000;

/** @throws CodedError `ERR_KEYSTORE_INVALID`, with nothing of the password */
export function checkKeystoreInput({
  password,
  certificates,
}: {
  readonly password: string;
  readonly certificates: readonly ParsedCertificate[];
}): void {
  if (password === '') {
    throw keystoreInvalid('its password is empty', 'give one, by password or passwordSecretRef');
  }
  if (password.length > PASSWORD_LENGTH_MAX) {
    throw keystoreInvalid(
      `its password has ${password.length} characters, more than ${PASSWORD_LENGTH_MAX}`,
      'give a shorter one',
    );
  }
  const octets = certificates.reduce((sum, {der}) => sum + der.length, 0);
  if (certificates.length > CERTIFICATES_MAX || octets > CERTIFICATE_OCTETS_MAX) {
    throw keystoreInvalid(
      `${certificates.length} certificates of ${octets} bytes are to be in it`,
      `at most ${CERTIFICATES_MAX} of ${CERTIFICATE_OCTETS_MAX} bytes fit in a Secret`,
    );
  }
}

/** A CA that is also at the end of the chain is needed once, at its first place. */
export function withoutRepetition(
  certificates: readonly ParsedCertificate[],
): readonly ParsedCertificate[] {
  const seen = new Set<string>();
  return certificates.filter(({der}) => {
    const octets = der.toString('latin1');
    if (seen.has(octets)) return false;
    seen.add(octets);
    return true;
  });
}

/** The refusal of a keystore. */
export function keystoreInvalid(found: string, hint: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_KEYSTORE_INVALID', `the keystore cannot be made: ${found}`, {hint});
}
