import type {KubernetesObject} from '#shared/kube/object';
import {acmeSolverSchema} from './acme-solver.ts';
import type {FromSchema} from './from-schema.ts';
import {issuerReferenceSchema} from './issuer-reference.ts';
import {kindSchema, flag, instant, object, oneOf, text, withRules} from './json-schema.ts';
import {acmeStateSchema} from './order.ts';

const specSchema = withRules(
  object(
    {
      authorizationURL: text,
      dnsName: text,
      issuerRef: issuerReferenceSchema,
      key: text,
      solver: acmeSolverSchema,
      token: text,
      type: oneOf('HTTP-01', 'DNS-01'),
      url: text,
      wildcard: flag,
    },
    'authorizationURL',
    'dnsName',
    'issuerRef',
    'key',
    'solver',
    'token',
    'type',
    'url',
  ),
  {rule: 'self == oldSelf', message: 'a challenge never changes', reason: 'FieldValueForbidden'},
);

const statusSchema = object({
  presented: flag,
  presentedAt: instant,
  processing: flag,
  reason: text,
  state: acmeStateSchema,
});

/** acme.cert-manager.io/v1 Challenge. */
export const challengeSchema = kindSchema(specSchema, statusSchema, 'metadata', 'spec');

export type ChallengeSpec = FromSchema<typeof specSchema>;
export type ChallengeStatus = FromSchema<typeof statusSchema>;

export interface Challenge extends KubernetesObject {
  readonly spec: ChallengeSpec;
  readonly status?: ChallengeStatus;
}
