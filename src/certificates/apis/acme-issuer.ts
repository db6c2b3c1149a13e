import {acmeSolverSchema} from './acme-solver.ts';
import type {FromSchema} from './from-schema.ts';
import {bytes, flag, list, object, oneOf, text, withRules} from './json-schema.ts';
import {acmeRules} from './issuer-rules.ts';
import {secretKeyReferenceSchema} from './references.ts';

/** `spec.acme` of an issuer. */
export const acmeIssuerSchema = withRules(
  object(
    {
      caBundle: bytes,
      disableAccountKeyGeneration: flag,
      email: text,
      enableDurationFeature: flag,
      externalAccountBinding: object(
        {
          keyAlgorithm: oneOf('HS256', 'HS384', 'HS512'),
          keyID: text,
          keySecretRef: secretKeyReferenceSchema,
        },
        'keyID',
        'keySecretRef',
      ),
      preferredChain: {type: 'string', maxLength: 64},
      privateKeySecretRef: secretKeyReferenceSchema,
      profile: text,
      renewalInformationSource: {type: 'string', enum: ['ARI', 'None'], default: 'ARI'},
      server: text,
      skipTLSVerify: flag,
      solvers: list(acmeSolverSchema),
    },
    'privateKeySecretRef',
    'server',
  ),
  ...acmeRules,
);

export type AcmeIssuer = FromSchema<typeof acmeIssuerSchema>;
