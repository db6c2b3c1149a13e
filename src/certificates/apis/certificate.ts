import type {KubernetesObject} from '#shared/kube/object';
import {conditionsSchema} from './conditions.ts';
import type {FromSchema} from './from-schema.ts';
import {issuerReferenceSchema} from './issuer-reference.ts';
import {
  kindSchema,
  flag,
  instant,
  int32,
  integer,
  list,
  object,
  oneOf,
  text,
} from './json-schema.ts';
import {textMap, texts} from './json-schema.ts';
import {secretKeyReferenceSchema} from './references.ts';
import {usagesSchema} from './usages.ts';

const keystore = {create: flag, password: text, passwordSecretRef: secretKeyReferenceSchema};
const nameConstraintSet = object({
  dnsDomains: texts,
  emailAddresses: texts,
  ipRanges: texts,
  uriDomains: texts,
});

const specSchema = object(
  {
    additionalOutputFormats: list(object({type: oneOf('DER', 'CombinedPEM')}, 'type')),
    commonName: text,
    dnsNames: texts,
    duration: text,
    emailAddresses: texts,
    encodeUsagesInRequest: flag,
    ipAddresses: texts,
    isCA: flag,
    issuerRef: issuerReferenceSchema,
    keystores: object({
      jks: object({...keystore, alias: text}, 'create'),
      pkcs12: object(
        {...keystore, profile: oneOf('LegacyRC2', 'LegacyDES', 'Modern2023', 'Modern2026')},
        'create',
      ),
    }),
    literalSubject: text,
    nameConstraints: object({
      critical: flag,
      excluded: nameConstraintSet,
      permitted: nameConstraintSet,
    }),
    otherNames: list(object({oid: text, utf8Value: text})),
    privateKey: object({
      algorithm: oneOf('RSA', 'ECDSA', 'Ed25519'),
      encoding: oneOf('PKCS1', 'PKCS8'),
      rotationPolicy: oneOf('Never', 'Always'),
      size: integer,
    }),
    renewBefore: text,
    renewBeforePercentage: int32,
    renewal: object({
      policy: oneOf('RenewBefore', 'Disabled'),
      windows: list(
        object(
          {
            cron: {type: 'string', minLength: 1},
            timezone: {type: 'string', minLength: 1},
            windowDuration: {type: 'string', pattern: '^([0-9]+(\\.[0-9]+)?(s|m|h))+$'},
          },
          'cron',
          'windowDuration',
        ),
      ),
    }),
    revisionHistoryLimit: int32,
    secretName: text,
    secretTemplate: object({annotations: textMap, labels: textMap}),
    signatureAlgorithm: oneOf(
      'SHA256WithRSA',
      'SHA384WithRSA',
      'SHA512WithRSA',
      'ECDSAWithSHA256',
      'ECDSAWithSHA384',
      'ECDSAWithSHA512',
      'PureEd25519',
    ),
    subject: object({
      countries: texts,
      localities: texts,
      organizationalUnits: texts,
      organizations: texts,
      postalCodes: texts,
      provinces: texts,
      serialNumber: text,
      streetAddresses: texts,
    }),
    uris: texts,
    usages: usagesSchema,
  },
  'issuerRef',
  'secretName',
);

const statusSchema = object({
  acme: object({
    ari: object({
      explanationURL: text,
      lastChecked: instant,
      lastError: text,
      nextCheck: instant,
      suggestedWindow: object({end: instant, start: instant}, 'end', 'start'),
    }),
  }),
  conditions: conditionsSchema,
  failedIssuanceAttempts: integer,
  lastFailureTime: instant,
  nextPrivateKeySecretName: text,
  notAfter: instant,
  notBefore: instant,
  renewalTime: instant,
  revision: integer,
});

/** cert-manager.io/v1 Certificate. */
export const certificateSchema = kindSchema(specSchema, statusSchema);

export type CertificateSpec = FromSchema<typeof specSchema>;
export type CertificateStatus = FromSchema<typeof statusSchema>;

export interface Certificate extends KubernetesObject {
  readonly spec: CertificateSpec;
  readonly status?: CertificateStatus;
}
