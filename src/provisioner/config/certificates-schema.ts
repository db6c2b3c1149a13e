import {z} from 'zod';
import * as scalar from './scalars.ts';
import {strictObject, type RefusedKey} from './strict-object.ts';

const notYet: RefusedKey = {
  code: 'ERR_CONFIG_UNKNOWN_KEY',
  message: 'issuers of this kind do not work yet',
  hint: 'use selfSigned or ca',
};

/** Kinds that the controller's API has and that are for later. */
export const laterKinds = {acme: notYet, vault: notYet, venafi: notYet} as const;

/** A text that never stands in cluster.yaml itself; exactly one of the keys. */
const reference = strictObject({
  fromFile: scalar.path
    .optional()
    .describe('A file that holds it; a relative path starts at cluster.yaml.'),
  fromEnv: scalar.environmentName
    .optional()
    .describe('A variable of the environment that holds it.'),
});

const generate = strictObject({
  commonName: scalar
    .text('^[^\\u0000-\\u001f]{1,64}$', 'one line of at most 64 characters')
    .optional()
    .describe("The CA's name. Default: name of the cluster and of the issuer."),
  duration: scalar.hours
    .default('87600h')
    .describe('How long its certificate is valid; it is renewed in time, with the same key.'),
});

const ca = strictObject({
  generate: generate
    .optional()
    .describe('A CA of its own, made by the controller; its key never leaves the cluster.'),
  secretName: scalar.dnsName
    .optional()
    .describe('A Secret with `tls.crt` and `tls.key` that is there, or that others will make.'),
  certificate: reference
    .optional()
    .describe("A CA's certificate as PEM, intermediates after it; with `privateKey`."),
  privateKey: reference
    .optional()
    .describe('Its private key as PEM; the Secret of the issuer is made of both.'),
});

const issuer = strictObject(
  {
    name: scalar.issuerName.describe('Its name, for `issuerRef` of Certificates.'),
    namespace: scalar.dnsLabel
      .optional()
      .describe(
        'Makes it an Issuer for this namespace, which is made if it is not there. Without it, a ClusterIssuer for all.',
      ),
    selfSigned: strictObject({
      crlDistributionPoints: z
        .array(scalar.httpUrl)
        .default([])
        .describe('Put into every certificate.'),
    })
      .optional()
      .describe('Every certificate is signed with its own key.'),
    ca: ca
      .optional()
      .describe(
        'Certificates are signed by a CA: one of `generate`, `secretName`, or `certificate` with `privateKey`.',
      ),
  },
  laterKinds,
);

/** `spec.certificates`. */
export const certificatesSchema = strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'Whether the certificate controller is installed. Taking it away leaves every certificate.',
    ),
  issuers: z
    .array(issuer)
    .max(100, {error: 'expected at most 100 issuers'})
    .default([])
    .describe(
      'Made, waited for and tried at the end of every run that changes them; each has `selfSigned` or `ca`.',
    ),
});

export type CertificatesDocument = z.output<typeof certificatesSchema>;
export type IssuerDocument = CertificatesDocument['issuers'][number];
export type SecretReference = z.output<typeof reference>;
