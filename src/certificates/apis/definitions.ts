import type {KubernetesObject} from '#shared/kube/object';
import {certificateRequestSchema} from './certificate-request.ts';
import {certificateSchema} from './certificate.ts';
import {challengeSchema} from './challenge.ts';
import {
  certificateDescriptions,
  certificateRequestDescriptions,
  describe,
  issuerDescriptions,
  type Descriptions,
} from './descriptions.ts';
import {issuerSchema} from './issuer.ts';
import type {JsonSchema} from './json-schema.ts';
import {ACME_GROUP, GROUP} from './names.ts';
import {orderSchema} from './order.ts';

interface Column {
  readonly name: string;
  readonly type: 'string' | 'date';
  readonly jsonPath: string;
  /** 1: only in wide output. */
  readonly priority?: 1;
}

interface Definition {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly categories: readonly string[];
  readonly scope?: 'Cluster';
  readonly columns: readonly Column[];
  /** JSON paths that field selectors may use. */
  readonly selectableFields?: readonly string[];
  readonly schema: JsonSchema;
  readonly descriptions?: Descriptions;
}

const age: Column = {name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp'};
const issuerFields = ['group', 'kind', 'name'].map(field => `.spec.issuerRef.${field}`);
const acmeCategories = ['cert-manager', 'cert-manager-acme'];

const definitions: readonly Definition[] = [
  {
    group: GROUP,
    kind: 'Certificate',
    plural: 'certificates',
    shortNames: ['cert', 'certs'],
    categories: ['cert-manager'],
    columns: [
      conditionStatus('Ready'),
      column('Secret', '.spec.secretName'),
      wide('Issuer', '.spec.issuerRef.name'),
      readyMessage(),
      wide('Expiration', '.status.notAfter'),
      age,
    ],
    selectableFields: issuerFields,
    schema: certificateSchema,
    descriptions: certificateDescriptions,
  },
  {
    group: GROUP,
    kind: 'CertificateRequest',
    plural: 'certificaterequests',
    shortNames: ['cr', 'crs'],
    categories: ['cert-manager'],
    columns: [
      conditionStatus('Approved'),
      conditionStatus('Denied'),
      conditionStatus('Ready'),
      column('Issuer', '.spec.issuerRef.name'),
      column('Requester', '.spec.username'),
      readyMessage(),
      age,
    ],
    selectableFields: issuerFields,
    schema: certificateRequestSchema,
    descriptions: certificateRequestDescriptions,
  },
  {
    group: GROUP,
    kind: 'Issuer',
    plural: 'issuers',
    shortNames: ['iss'],
    categories: ['cert-manager'],
    columns: [conditionStatus('Ready'), readyMessage(), age],
    schema: issuerSchema,
    descriptions: issuerDescriptions,
  },
  {
    group: GROUP,
    kind: 'ClusterIssuer',
    plural: 'clusterissuers',
    shortNames: ['ciss'],
    categories: ['cert-manager'],
    scope: 'Cluster',
    columns: [conditionStatus('Ready'), readyMessage(), age],
    schema: issuerSchema,
    descriptions: issuerDescriptions,
  },
  {
    group: ACME_GROUP,
    kind: 'Order',
    plural: 'orders',
    categories: acmeCategories,
    columns: [
      column('State', '.status.state'),
      wide('Issuer', '.spec.issuerRef.name'),
      wide('Reason', '.status.reason'),
      age,
    ],
    selectableFields: issuerFields,
    schema: orderSchema,
  },
  {
    group: ACME_GROUP,
    kind: 'Challenge',
    plural: 'challenges',
    categories: acmeCategories,
    columns: [
      column('State', '.status.state'),
      column('Domain', '.spec.dnsName'),
      wide('Reason', '.status.reason'),
      age,
    ],
    selectableFields: issuerFields,
    schema: challengeSchema,
  },
];

/**
 * The six kinds as apiextensions.k8s.io/v1 CustomResourceDefinitions: names, columns, schemas and
 * rules as cert-manager publishes them, with rules of our own (docs/decisions/0006).
 */
export function customResourceDefinitions(): readonly KubernetesObject[] {
  return definitions.map(customResourceDefinition);
}

function customResourceDefinition(definition: Definition): KubernetesObject {
  const {group, kind, plural, categories, shortNames, columns, schema} = definition;
  const {scope = 'Namespaced', selectableFields = [], descriptions = {}} = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {name: `${plural}.${group}`, labels: {'app.kubernetes.io/part-of': 'cert-manager'}},
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        categories,
        ...(shortNames === undefined ? {} : {shortNames}),
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: {status: {}},
          additionalPrinterColumns: columns,
          ...(selectableFields.length === 0
            ? {}
            : {selectableFields: selectableFields.map(jsonPath => ({jsonPath}))}),
          schema: {openAPIV3Schema: describe(schema, descriptions)},
        },
      ],
    },
  };
}

function column(name: string, jsonPath: string): Column {
  return {name, type: 'string', jsonPath};
}

function wide(name: string, jsonPath: string): Column {
  return {...column(name, jsonPath), priority: 1};
}

function conditionStatus(type: string): Column {
  return column(type, `.status.conditions[?(@.type == "${type}")].status`);
}

function readyMessage(): Column {
  return wide('Status', '.status.conditions[?(@.type == "Ready")].message');
}
