import {dns01Schema} from './dns01-providers.ts';
import type {FromSchema} from './from-schema.ts';
import {list, object, text, textMap, texts} from './json-schema.ts';
import {podTemplateSchema} from './pod-template.ts';

const DNS_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DNS_NAME = `${DNS_LABEL}(\\.${DNS_LABEL})*`;

/** gateway.networking.k8s.io/v1 `ParentReference`. */
const parentReference = object(
  {
    group: {
      type: 'string',
      default: 'gateway.networking.k8s.io',
      pattern: `^$|^${DNS_NAME}$`,
      maxLength: 253,
    },
    kind: {
      type: 'string',
      default: 'Gateway',
      pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$',
      minLength: 1,
      maxLength: 63,
    },
    name: {type: 'string', minLength: 1, maxLength: 253},
    namespace: {type: 'string', pattern: `^${DNS_LABEL}$`, minLength: 1, maxLength: 63},
    port: {type: 'integer', format: 'int32', minimum: 1, maximum: 65_535},
    sectionName: {type: 'string', pattern: `^${DNS_NAME}$`, minLength: 1, maxLength: 253},
  },
  'name',
);

const http01Schema = object({
  gatewayHTTPRoute: object({
    labels: textMap,
    parentRefs: list(parentReference),
    podTemplate: podTemplateSchema,
    serviceType: text,
  }),
  ingress: object({
    class: text,
    ingressClassName: text,
    ingressTemplate: object({metadata: object({annotations: textMap, labels: textMap})}),
    name: text,
    podTemplate: podTemplateSchema,
    serviceType: text,
  }),
});

/** How ACME challenges are solved: an entry of an issuer's `solvers`, and a Challenge's `solver`. */
export const acmeSolverSchema = object({
  dns01: dns01Schema,
  http01: http01Schema,
  selector: object({dnsNames: texts, dnsZones: texts, matchLabels: textMap}),
  waitInsteadOfSelfCheck: text,
});

export type AcmeSolver = FromSchema<typeof acmeSolverSchema>;
