import {isCoded} from '#shared/errors';
import {createCertificate, type CertificateFields} from '../x509/create-certificate.ts';

export type Created =
  | {readonly kind: 'created'; readonly pem: string}
  /** The request asks for what no certificate can hold, e.g. a name of a kind that is not issued. */
  | {readonly kind: 'refused'; readonly message: string};

/** Makes a certificate; a request that cannot be honoured is an answer, not an error to retry. */
export function createOrRefuse(fields: CertificateFields): Created {
  try {
    return {kind: 'created', pem: createCertificate(fields)};
  } catch (error) {
    if (!isCoded(error)) throw error;
    return {kind: 'refused', message: `${error.message}; ${error.hint}`};
  }
}
