import type {KubernetesObject} from '#shared/kube/object';
import {requestConditionsSchema} from './conditions.ts';
import type {FromSchema} from './from-schema.ts';
import {checkedIssuerReferenceSchema} from './issuer-reference.ts';
import {
  kindSchema,
  bytes,
  flag,
  instant,
  mapOf,
  object,
  text,
  texts,
  withRules,
} from './json-schema.ts';
import {usagesSchema} from './usages.ts';

const specSchema = withRules(
  object(
    {
      duration: text,
      extra: mapOf({type: 'array', items: text}),
      groups: texts,
      isCA: flag,
      issuerRef: checkedIssuerReferenceSchema,
      request: bytes,
      uid: text,
      usages: usagesSchema,
      username: text,
    },
    'issuerRef',
    'request',
  ),
  {
    rule: 'self == oldSelf',
    message: 'a request never changes: delete it and make another',
    reason: 'FieldValueForbidden',
  },
);

const statusSchema = object({
  ca: bytes,
  certificate: bytes,
  conditions: requestConditionsSchema,
  failureTime: instant,
});

/** cert-manager.io/v1 CertificateRequest. */
export const certificateRequestSchema = kindSchema(specSchema, statusSchema);

export type CertificateRequestSpec = FromSchema<typeof specSchema>;
export type CertificateRequestStatus = FromSchema<typeof statusSchema>;

/** `request`, `certificate` and `ca` are base64 of PEM. */
export interface CertificateRequest extends KubernetesObject {
  readonly spec: CertificateRequestSpec;
  readonly status?: CertificateRequestStatus;
}
