import {flag, int32, int64, list, object, text, textMap, texts} from './json-schema.ts';

/**
 * What a user may say about the pods that answer HTTP-01 challenges: parts of core/v1 `PodSpec`,
 * with the schemas that Kubernetes publishes for them.
 */

const requirements = list(object({key: text, operator: text, values: texts}, 'key', 'operator'));

/** meta/v1 `LabelSelector`. */
const labelSelector = {
  ...object({matchExpressions: requirements, matchLabels: textMap}),
  'x-kubernetes-map-type': 'atomic',
} as const;

/** core/v1 `NodeSelectorTerm`. */
const nodeSelectorTerm = {
  ...object({matchExpressions: requirements, matchFields: requirements}),
  'x-kubernetes-map-type': 'atomic',
} as const;

const podAffinityTerm = object(
  {
    labelSelector,
    matchLabelKeys: texts,
    mismatchLabelKeys: texts,
    namespaceSelector: labelSelector,
    namespaces: texts,
    topologyKey: text,
  },
  'topologyKey',
);

/** Also of podAntiAffinity. */
const podAffinity = object({
  preferredDuringSchedulingIgnoredDuringExecution: list(
    object({podAffinityTerm, weight: int32}, 'podAffinityTerm', 'weight'),
  ),
  requiredDuringSchedulingIgnoredDuringExecution: list(podAffinityTerm),
});

const affinity = object({
  nodeAffinity: object({
    preferredDuringSchedulingIgnoredDuringExecution: list(
      object({preference: nodeSelectorTerm, weight: int32}, 'preference', 'weight'),
    ),
    requiredDuringSchedulingIgnoredDuringExecution: {
      ...object({nodeSelectorTerms: list(nodeSelectorTerm)}, 'nodeSelectorTerms'),
      'x-kubernetes-map-type': 'atomic',
    },
  }),
  podAffinity,
  podAntiAffinity: podAffinity,
});

/** core/v1 `PodSecurityContext`. */
const securityContext = object({
  fsGroup: int64,
  fsGroupChangePolicy: text,
  runAsGroup: int64,
  runAsNonRoot: flag,
  runAsUser: int64,
  seLinuxOptions: object({level: text, role: text, type: text, user: text}),
  seccompProfile: object({localhostProfile: text, type: text}, 'type'),
  supplementalGroups: list(int64),
  sysctls: list(object({name: text, value: text}, 'name', 'value')),
});

/** resource `Quantity`. */
const quantities = {
  type: 'object',
  additionalProperties: {
    anyOf: [{type: 'integer'}, {type: 'string'}],
    pattern:
      '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
    'x-kubernetes-int-or-string': true,
  },
} as const;

/** `podTemplate` of an HTTP-01 solver, the same for ingresses and for Gateway API. */
export const podTemplateSchema = object({
  metadata: object({annotations: textMap, labels: textMap}),
  spec: object({
    affinity,
    imagePullSecrets: {
      type: 'array',
      items: {
        ...object({name: {type: 'string', default: ''}}),
        'x-kubernetes-map-type': 'atomic',
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
    nodeSelector: textMap,
    priorityClassName: text,
    resources: object({limits: quantities, requests: quantities}),
    securityContext,
    serviceAccountName: text,
    tolerations: list(
      object({effect: text, key: text, operator: text, tolerationSeconds: int64, value: text}),
    ),
  }),
});
