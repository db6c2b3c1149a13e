import type {KubernetesObject} from '#shared/kube/object';
import {acmeIssuerSchema} from './acme-issuer.ts';
import {conditionsSchema} from './conditions.ts';
import type {FromSchema} from './from-schema.ts';
import {kindSchema, object, text, texts, withRules} from './json-schema.ts';
import {caRule, issuerTypeRule} from './issuer-rules.ts';
import {vaultIssuerSchema} from './vault-issuer.ts';
import {venafiIssuerSchema} from './venafi-issuer.ts';

const specSchema = withRules(
  object({
    acme: acmeIssuerSchema,
    ca: withRules(
      object(
        {
          crlDistributionPoints: texts,
          issuingCertificateURLs: texts,
          ocspServers: texts,
          secretName: text,
        },
        'secretName',
      ),
      caRule,
    ),
    selfSigned: object({crlDistributionPoints: texts}),
    vault: vaultIssuerSchema,
    venafi: venafiIssuerSchema,
  }),
  issuerTypeRule,
);

const statusSchema = object({
  acme: object({lastPrivateKeyHash: text, lastRegisteredEmail: text, uri: text}),
  conditions: conditionsSchema,
});

/** cert-manager.io/v1 Issuer and ClusterIssuer: the same but for their scope. */
export const issuerSchema = kindSchema(specSchema, statusSchema, 'spec');

export type IssuerSpec = FromSchema<typeof specSchema>;
export type IssuerStatus = FromSchema<typeof statusSchema>;

export interface Issuer extends KubernetesObject {
  readonly spec: IssuerSpec;
  readonly status?: IssuerStatus;
}

export interface ClusterIssuer extends KubernetesObject {
  readonly spec: IssuerSpec;
  readonly status?: IssuerStatus;
}
