import {readFileSync} from 'node:fs';
import test from 'ava';
import {customResourceDefinitions} from '#certificates/apis/definitions';
import {
  certificateDescriptions,
  certificateRequestDescriptions,
  issuerDescriptions,
} from '#certificates/apis/descriptions';
import type {CelRule, JsonSchema} from '#certificates/apis/json-schema';
import type {KubernetesObject} from '#shared/kube/object';

/** What `published/kinds.json` says of a kind, and the file with a line for each of its fields. */
interface PublishedKind {
  readonly name: string;
  readonly fields: string;
  readonly group: string;
  readonly scope: string;
  readonly names: Readonly<Record<string, unknown>>;
  readonly version: string;
  readonly subresources: unknown;
  readonly additionalPrinterColumns: readonly unknown[];
  readonly selectableFields: readonly unknown[];
}

interface DefinitionSpec {
  readonly group: string;
  readonly scope: string;
  readonly names: Readonly<Record<string, unknown>>;
  readonly versions: readonly {
    readonly name: string;
    readonly served: boolean;
    readonly storage: boolean;
    readonly subresources: unknown;
    readonly additionalPrinterColumns: readonly unknown[];
    readonly selectableFields?: readonly unknown[];
    readonly schema: {readonly openAPIV3Schema: JsonSchema};
  }[];
}

const issuerRules = {
  '.spec': 1,
  '.spec.acme': 4,
  '.spec.ca': 1,
  '.spec.vault': 5,
  '.spec.vault.auth': 8,
};

/** Rules that the published definitions do not have, by kind and path: how many of ours are there. */
const OWN_RULES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'certificates.cert-manager.io': {
    '.': 1,
    '.spec': 7,
    '.spec.additionalOutputFormats': 1,
    '.spec.commonName': 1,
    '.spec.duration': 1,
    '.spec.issuerRef': 2,
    '.spec.keystores.jks': 2,
    '.spec.keystores.pkcs12': 2,
    '.spec.nameConstraints': 1,
    '.spec.privateKey': 1,
    '.spec.renewBefore': 1,
    '.spec.renewBeforePercentage': 1,
    '.spec.renewal': 2,
    '.spec.revisionHistoryLimit': 1,
    '.spec.secretName': 1,
  },
  'certificaterequests.cert-manager.io': {'.': 1, '.spec': 1, '.spec.issuerRef': 2},
  'issuers.cert-manager.io': issuerRules,
  'clusterissuers.cert-manager.io': issuerRules,
  'orders.acme.cert-manager.io': {'.spec': 1, '.status': 3},
  'challenges.acme.cert-manager.io': {'.spec': 1},
};

const {kinds} = JSON.parse(published('kinds.json')) as {readonly kinds: readonly PublishedKind[]};

test('there is a definition of each published kind, and of no other', t => {
  const names = customResourceDefinitions().map(({metadata}) => metadata.name);
  t.deepEqual(
    names.toSorted(),
    kinds.map(({name}) => name),
  );
});

for (const kind of kinds) {
  test(`${kind.name} has the published names, scope, columns and selectable fields`, t => {
    const {group, scope, names, versions} = specOf(kind.name);
    t.deepEqual({group, scope, names}, {group: kind.group, scope: kind.scope, names: kind.names});
    const [version, ...others] = versions;
    t.is(others.length, 0);
    t.like(version, {name: kind.version, served: true, storage: true});
    t.deepEqual(version?.subresources, kind.subresources);
    t.deepEqual(version?.additionalPrinterColumns, kind.additionalPrinterColumns);
    t.deepEqual(version?.selectableFields ?? [], kind.selectableFields);
  });

  test(`${kind.name} has each published field with its type, bounds and default`, t => {
    const expected = published(kind.fields);
    const found = describe(schemaOf(kind.name)).join('\n') + '\n';
    // Two texts: the message of a failure is the lines that differ.
    t.is(found, expected);
  });

  test(`${kind.name} has only those rules of its own that are listed here`, t => {
    const ruled = rulesOf(schemaOf(kind.name));
    const counted = Object.fromEntries(ruled.map(({path, rules}) => [path, rules.length]));
    t.deepEqual(counted, OWN_RULES[kind.name] ?? {});
  });
}

test('each description is of a field that there is', t => {
  const described = {
    'certificates.cert-manager.io': certificateDescriptions,
    'certificaterequests.cert-manager.io': certificateRequestDescriptions,
    'issuers.cert-manager.io': issuerDescriptions,
  };
  for (const [name, descriptions] of Object.entries(described)) {
    const found = descriptionsOf(schemaOf(name));
    t.deepEqual(found.toSorted(), Object.values(descriptions).toSorted());
  }
});

/** The rule that is published; any other is ours. */
const PUBLISHED_RULE = /has\(self\.tpp\) \? 1 : 0/;

function published(name: string): string {
  return readFileSync(new URL(`published/${name}`, import.meta.url), 'utf8');
}

function specOf(name: string): DefinitionSpec {
  const found = customResourceDefinitions().find(({metadata}) => metadata.name === name);
  return (found as KubernetesObject & {readonly spec: DefinitionSpec}).spec;
}

function schemaOf(name: string): JsonSchema {
  return specOf(name).versions[0]?.schema.openAPIV3Schema ?? {};
}

const ATTRIBUTES = [
  'format',
  'default',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'anyOf',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-int-or-string',
  'x-kubernetes-preserve-unknown-fields',
] as const;

/** One line per field, children below their parents and in the order of their names. */
function describe(schema: JsonSchema, name = '.', depth = 0, required = false): readonly string[] {
  const attributes = ATTRIBUTES.filter(key => schema[key] !== undefined).map(
    key => `${key.replace('x-kubernetes-', 'x-')}=${JSON.stringify(schema[key])}`,
  );
  const rules = (schema['x-kubernetes-validations'] ?? []).filter(({rule}) =>
    PUBLISHED_RULE.test(rule),
  );
  const line = [
    `${'  '.repeat(depth)}${name} ${typeOf(schema)}`,
    ...(required ? ['required'] : []),
    ...attributes,
    ...rules.map(({rule}) => `rule=${JSON.stringify(rule)}`),
  ].join(' ');
  const children = childrenOf(schema).flatMap(child =>
    describe(child.schema, child.name, depth + 1, schema.required?.includes(child.name.slice(1))),
  );
  return [line, ...children];
}

function typeOf(schema: JsonSchema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'int-or-string';
  return schema.type ?? 'any';
}

function childrenOf(
  schema: JsonSchema,
): readonly {readonly name: string; readonly schema: JsonSchema}[] {
  const properties = Object.entries(schema.properties ?? {});
  return [
    ...properties
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, child]) => ({name: `.${name}`, schema: child})),
    ...(schema.additionalProperties ? [{name: '{*}', schema: schema.additionalProperties}] : []),
    ...(schema.items ? [{name: '[]', schema: schema.items}] : []),
  ];
}

function rulesOf(
  schema: JsonSchema,
  path = '',
): readonly {readonly path: string; readonly rules: readonly CelRule[]}[] {
  const rules = (schema['x-kubernetes-validations'] ?? []).filter(
    ({rule}) => !PUBLISHED_RULE.test(rule),
  );
  const below = childrenOf(schema).flatMap(child => rulesOf(child.schema, path + child.name));
  return [...(rules.length === 0 ? [] : [{path: path === '' ? '.' : path, rules}]), ...below];
}

function descriptionsOf(schema: JsonSchema): readonly string[] {
  const below = childrenOf(schema).flatMap(child => descriptionsOf(child.schema));
  return schema.description === undefined ? below : [schema.description, ...below];
}
