import type {KubernetesObject} from '#shared/kube/object';
import * as rules from './certificate-rules.ts';
import {conditionsSchema} from './conditions.ts';
import type {FromSchema} from './from-schema.ts';
import {checkedIssuerReferenceSchema} from './issuer-reference.ts';
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
import {textMap, texts, withRules} from './json-schema.ts';
import {secretKeyReferenceSchema} from './references.ts';
import {usagesSchema} from './usages.ts';

const keystore = {create: flag, password: text, passwordSecretRef: secretKeyReferenceSchema};
const nameConstraintSet = object({
  dnsDomains: texts,
  emailAddresses: texts,
  ipRanges: texts,
  uriDomains: texts,
});

const specSchema = withRules(
  object(
    {
      additionalOutputFormats: withRules(
        list(object({type: oneOf('DER', 'CombinedPEM')}, 'type')),
        rules.outputFormatsRule,
      ),
      commonName: withRules(text, rules.commonNameRule),
      dnsNames: texts,
      duration: withRules(text, rules.durationRule),
      emailAddresses: texts,
      encodeUsagesInRequest: flag,
      ipAddresses: texts,
      isCA: flag,
      issuerRef: checkedIssuerReferenceSchema,
      keystores: object({
        jks: withRules(object({...keystore, alias: text}, 'create'), ...rules.keystoreRules),
        pkcs12: withRules(
          object(
            {...keystore, profile: oneOf('LegacyRC2', 'LegacyDES', 'Modern2023', 'Modern2026')},
            'create',
          ),
          ...rules.keystoreRules,
        ),
      }),
      literalSubject: text,
      nameConstraints: withRules(
        object({
          critical: flag,
          excluded: nameConstraintSet,
          permitted: nameConstraintSet,
        }),
        rules.nameConstraintsRule,
      ),
      otherNames: list(object({oid: text, utf8Value: text})),
      privateKey: withRules(
        object({
          algorithm: oneOf('RSA', 'ECDSA', 'Ed25519'),
          encoding: oneOf('PKCS1', 'PKCS8'),
          rotationPolicy: oneOf('Never', 'Always'),
          size: integer,
        }),
        rules.privateKeyRule,
      ),
      renewBefore: withRules(text, rules.renewBeforeRule),
      renewBeforePercentage: withRules(int32, rules.percentageRule),
      renewal: withRules(
        object({
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
        ...rules.renewalRules,
      ),
      revisionHistoryLimit: withRules(int32, rules.historyRule),
      secretName: withRules(text, rules.secretNameRule),
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
  ),
  ...rules.specRules,
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
