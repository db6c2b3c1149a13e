import {z} from 'zod';
import {clusterSchema} from '#provisioner/config/cluster-schema';
import {groupSettings, hostSettings, hostsSchema} from '#provisioner/config/hosts-schema';
import {knownKeys} from '#provisioner/config/schema-walk';

/** Generated files by their path in the project; a test compares them with what is committed. */
export function generateDocumentation(): Readonly<Record<string, string>> {
  return {
    'docs/schema/cluster.v1.json': formatSchema(clusterSchema, 'cluster.yaml'),
    'docs/schema/hosts.v1.json': formatSchema(hostsSchema, 'hosts.yaml'),
    'docs/schema/group-vars.v1.json': formatSchema(groupSettings, 'group_vars/GROUP.yaml'),
    'docs/schema/host-vars.v1.json': formatSchema(hostSettings, 'host_vars/HOST.yaml'),
    'docs/configuration.md': formatPage(),
  };
}

/** The part of JSON Schema that our schemas turn into. */
interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | false;
  /** Ours, and not in the published schema: one row in the table instead of one per key. */
  readonly documentedAsOne?: boolean;
}

/** Editors understand draft 7 best (yaml-language-server, IntelliJ). */
function formatSchema(schema: z.ZodType, title: string): string {
  const json = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    override: ({jsonSchema}) => {
      delete jsonSchema['documentedAsOne'];
    },
  });
  return `${JSON.stringify({...json, title}, null, 2)}\n`;
}

function toJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {io: 'input'}) as JsonSchema;
}

interface Row {
  readonly key: string;
  readonly type: string;
  readonly defaultText: string;
  readonly meaning: string;
}

function rowsOf(schema: JsonSchema, prefix: string): readonly Row[] {
  const properties = Object.entries(schema.properties ?? {});
  return properties.flatMap(([name, property]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    const isRequired = schema.required?.includes(name) === true;
    const row = {
      key,
      type: typeOf(property),
      defaultText: isRequired ? 'required' : formatDefault(property.default),
      meaning: property.description ?? '',
    };
    const items = property.items?.properties ? rowsOf(property.items, `${key}[]`) : [];
    return property.documentedAsOne === true ? [row] : [row, ...rowsOf(property, key), ...items];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${formatValue(schema.const)}\``;
  if (schema.enum) return schema.enum.map(value => `\`${formatValue(value)}\``).join(', ');
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(' or ');
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'values'}`;
  return typeNames[schema.type ?? ''] ?? 'value';
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'number',
  boolean: 'true, false',
  object: 'map',
};

function formatDefault(value: unknown): string {
  if (value === undefined || (typeof value === 'object' && !Array.isArray(value))) return '';
  return `\`${formatValue(value)}\``;
}

function formatValue(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
}

function formatTable(rows: readonly Row[]): string {
  return [
    '| Key | Type | Default | Meaning |',
    '|---|---|---|---|',
    ...rows.map(row => `| \`${row.key}\` | ${row.type} | ${row.defaultText} | ${row.meaning} |`),
  ].join('\n');
}

function formatPage(): string {
  return `${formatClusterSection()}\n${formatHostsSection()}`;
}

function formatClusterSection(): string {
  return `<!-- Generated from src/provisioner/config/. Run "UPDATE_GOLDEN=1 npx ava test/provisioner/config" to renew it. -->
# Configuration

Two files describe a cluster: \`cluster.yaml\` says what is true of the cluster, \`hosts.yaml\` beside it says which hosts there are. [inventory/sample](../inventory/sample) is a pair to copy. \`provision validate cluster.yaml\` checks both without touching any host, and names every problem at once with file, line and column.

An editor that knows JSON Schema completes keys and marks mistakes if a file begins with such a line (paths start at the file):

\`\`\`yaml
# yaml-language-server: $schema=../../docs/schema/cluster.v1.json
\`\`\`

An unknown key is an error, never ignored. Files are YAML 1.2 in UTF-8, at most 1 MiB: \`yes\` and \`on\` are texts, keys may not be repeated, merge keys (\`<<\`) are unknown keys.

## cluster.yaml

${formatTable(rowsOf(toJsonSchema(clusterSchema), ''))}

Networks are IPv4 for now. They may overlap neither each other nor addresses that hosts have or need: their own, name servers, the registry, the package repository.
`;
}

function formatHostsSection(): string {
  const shared = new Set(knownKeys(groupSettings));
  const hostRows = rowsOf(toJsonSchema(hostSettings), '').map(row => ({
    ...row,
    meaning: shared.has(row.key.replace(/\[.*/, ''))
      ? row.meaning
      : `${row.meaning} Not for groups.`,
  }));
  return `## hosts.yaml

The format is that of Ansible's YAML inventories: groups with \`hosts\`, \`vars\` and \`children\`, all inside the group \`all\`. A host may be written in several groups; its own keys may stand at any of them.

\`\`\`yaml
all:
  vars: {user: admin, privateKeyFile: ~/.ssh/id_ed25519}
  children:
    kube_control_plane:
      hosts:
        node1: {address: 10.0.0.11}
    kube_node:
      hosts:
        node2: {address: 10.0.0.12}
        node3: {address: 10.0.0.13}
\`\`\`

| Group | Its hosts |
|---|---|
| \`kube_control_plane\` | run the control plane and etcd; one host for now |
| \`kube_node\` | run pods |
| \`etcd\` | may be written; it can only hold control planes for now |
| any other | share keys, nothing else |

A host in \`kube_control_plane\` that is not in \`kube_node\` too gets kubeadm's taint \`node-role.kubernetes.io/control-plane:NoSchedule\`. A host in neither is an error.

### Keys of a host

${formatTable(hostRows)}

Each key is looked up in this order; the last one found counts, and replaces earlier ones as a whole (lists and maps are not merged):

1. \`vars\` of \`all\`, then \`group_vars/all.yaml\`
2. \`vars\` of each group of the host, then \`group_vars/<group>.yaml\`; parents before their children, peers by name
3. the host's own keys, then \`host_vars/<host>.yaml\`

\`group_vars/\` and \`host_vars/\` stand beside \`hosts.yaml\` and hold one file for each group or host that needs one.

### Hosts in cluster.yaml

Instead of \`hosts.yaml\`, a small cluster can list its hosts as \`spec.hosts\`. Both at once is an error.

\`\`\`yaml
spec:
  hosts:
    - {name: node1, roles: [control-plane, worker], address: 10.0.0.11}
\`\`\`
`;
}
