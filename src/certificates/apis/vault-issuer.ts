import type {FromSchema} from './from-schema.ts';
import {bytes, object, text, withRules} from './json-schema.ts';
import {vaultAuthRules, vaultRules} from './issuer-rules.ts';
import {secretKeyReferenceSchema as secretKey} from './references.ts';
import {serviceAccountReferenceSchema} from './references.ts';

const authSchema = withRules(
  object({
    appRole: object(
      {path: text, roleId: text, secretRef: secretKey},
      'path',
      'roleId',
      'secretRef',
    ),
    aws: object(
      {
        iamRoleArn: text,
        mountPath: text,
        region: text,
        role: {type: 'string', minLength: 1},
        serviceAccountRef: serviceAccountReferenceSchema,
        vaultHeaderValue: text,
      },
      'role',
    ),
    clientCertificate: object({mountPath: text, name: text, secretName: text}),
    kubernetes: object(
      {
        mountPath: text,
        role: text,
        secretRef: secretKey,
        serviceAccountRef: serviceAccountReferenceSchema,
      },
      'role',
    ),
    tokenSecretRef: secretKey,
  }),
  ...vaultAuthRules,
);

/** `spec.vault` of an issuer. */
export const vaultIssuerSchema = withRules(
  object(
    {
      auth: authSchema,
      caBundle: bytes,
      caBundleSecretRef: secretKey,
      clientCertSecretRef: secretKey,
      clientKeySecretRef: secretKey,
      namespace: text,
      path: text,
      server: text,
      serverName: text,
    },
    'auth',
    'path',
    'server',
  ),
  ...vaultRules,
);

export type VaultIssuer = FromSchema<typeof vaultIssuerSchema>;
