import type {ErrorRegistry} from '#shared/errors';
import {kubeErrors} from '#shared/kube/errors';

/**
 * Codes of the certificate controller. What goes wrong with an object ends in a condition of that
 * object, with the code's message; the exit codes are for the program's own start.
 */
export const certificatesErrors = {
  ...kubeErrors,
  // Command line and surroundings
  ERR_USAGE: 2,
  ERR_CONTROLLER_CONFIG_INVALID: 10,
  ERR_LISTEN_ADDRESS: 10,
  ERR_CREDENTIALS_INVALID: 16,
  ERR_LEASE_LOST: 16,
  // X.509 and its texts
  ERR_PEM_INVALID: 19,
  ERR_DER_INVALID: 19,
  ERR_PRIVATE_KEY_INVALID: 19,
  ERR_NAME_INVALID: 19,
  ERR_REQUEST_INVALID: 19,
  ERR_CERTIFICATE_INVALID: 19,
  ERR_CHAIN_INVALID: 19,
  ERR_KEYSTORE_INVALID: 19,
  // Objects
  ERR_DURATION_INVALID: 19,
  ERR_SCHEDULE_INVALID: 19,
  ERR_SECRET_MISSING: 19,
  ERR_NOT_SETTLED: 19,
} as const satisfies ErrorRegistry;

export type CertificatesErrorCode = keyof typeof certificatesErrors;
