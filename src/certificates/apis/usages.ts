import {list, oneOf} from './json-schema.ts';

/** Words for key usages and extended key usages; the same in Certificate and CertificateRequest. */
export const usageSchema = oneOf(
  'signing',
  'digital signature',
  'content commitment',
  'key encipherment',
  'key agreement',
  'data encipherment',
  'cert sign',
  'crl sign',
  'encipher only',
  'decipher only',
  'any',
  'server auth',
  'client auth',
  'code signing',
  'email protection',
  's/mime',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'timestamping',
  'ocsp signing',
  'microsoft sgc',
  'netscape sgc',
);

export const usagesSchema = list(usageSchema);

export type KeyUsageWord = (typeof usageSchema.enum)[number];

/** What a certificate may be used for when nothing is asked for. */
export const DEFAULT_USAGES: readonly KeyUsageWord[] = ['digital signature', 'key encipherment'];
