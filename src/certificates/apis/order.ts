import type {KubernetesObject} from '#shared/kube/object';
import type {FromSchema} from './from-schema.ts';
import {issuerReferenceSchema} from './issuer-reference.ts';
import {
  kindSchema,
  bytes,
  flag,
  instant,
  list,
  object,
  oneOf,
  text,
  texts,
  withRules,
} from './json-schema.ts';
import {onceSet} from './issuer-rules.ts';

/** How far the ACME server is with an order, an authorization or a challenge. */
export const acmeStateSchema = oneOf(
  'valid',
  'ready',
  'pending',
  'processing',
  'invalid',
  'expired',
  'errored',
);

const specSchema = withRules(
  object(
    {
      commonName: text,
      dnsNames: texts,
      duration: text,
      ipAddresses: texts,
      issuerRef: issuerReferenceSchema,
      profile: text,
      replaces: text,
      request: bytes,
    },
    'issuerRef',
    'request',
  ),
  {
    rule: 'self.request == oldSelf.request',
    message: 'request never changes',
    fieldPath: '.request',
    reason: 'FieldValueForbidden',
  },
);

const statusSchema = withRules(
  object({
    authorizations: list(
      object(
        {
          challenges: list(object({token: text, type: text, url: text}, 'token', 'type', 'url')),
          identifier: text,
          initialState: acmeStateSchema,
          url: text,
          wildcard: flag,
        },
        'url',
      ),
    ),
    certificate: bytes,
    failureTime: instant,
    finalizeURL: text,
    reason: text,
    state: acmeStateSchema,
    url: text,
  }),
  onceSet('url'),
  onceSet('finalizeURL'),
  onceSet('certificate'),
);

/** acme.cert-manager.io/v1 Order. */
export const orderSchema = kindSchema(specSchema, statusSchema, 'metadata', 'spec');

export type OrderSpec = FromSchema<typeof specSchema>;
export type OrderStatus = FromSchema<typeof statusSchema>;

export interface Order extends KubernetesObject {
  readonly spec: OrderSpec;
  readonly status?: OrderStatus;
}
