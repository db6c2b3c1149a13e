import {CodedError} from '#shared/errors';
import type {CertificatesErrorCode} from '../errors.ts';

/** Attribute keys of RFC 4514 §3 and cert-manager's literal subjects, with their identifiers. */
export const nameAttributes = {
  C: '2.5.4.6',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  CN: '2.5.4.3',
  SERIALNUMBER: '2.5.4.5',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  STREET: '2.5.4.9',
  POSTALCODE: '2.5.4.17',
  DC: '0.9.2342.19200300.100.1.25',
  UID: '0.9.2342.19200300.100.1.1',
  EMAILADDRESS: '1.2.840.113549.1.9.1',
} as const;

/** The refusal of a name that a person wrote. */
export function nameInvalid(found: string): CodedError<CertificatesErrorCode> {
  return new CodedError('ERR_NAME_INVALID', `the name cannot be used: ${found}`, {
    hint: 'write it as RFC 4514 does, e.g. CN=web\\, main,OU=Infra,O=Example,C=DE',
  });
}
