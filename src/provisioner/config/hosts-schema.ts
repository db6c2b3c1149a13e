import {z} from 'zod';
import * as scalar from './scalars.ts';
import {strictObject, type RefusedKey} from './strict-object.ts';

const taint = strictObject({
  key: scalar.labelKey.describe('Its key, e.g. `example.com/gpu`.'),
  value: scalar.labelValue.default('').describe('Its value.'),
  effect: z
    .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
    .describe('What happens to pods that do not tolerate it.'),
});

/** Keys that make sense for many hosts at once. */
const sharedKeys = {
  port: scalar.port.optional().describe('Port of sshd. Default 22.'),
  user: scalar.userName
    .optional()
    .describe('Who to log in as: root, or a user with password-less sudo. Default root.'),
  privateKeyFile: oneOrMore(scalar.path)
    .optional()
    .describe(
      "SSH private keys, tried after the agent's; a relative path starts at the file that names it, `~` is the home directory. Default `~/.ssh/id_ed25519` if it exists.",
    ),
  labels: z.record(scalar.labelKey, scalar.labelValue).optional().describe('Labels of the node.'),
  taints: z.array(taint).optional().describe('Taints of the node.'),
  runtime: scalar.runtimeName
    .optional()
    .describe('What runs its containers: `slipway` or `containerd`. Default `spec.runtime.name`.'),
};

/** Keys that tell hosts apart. */
const ownKeys = {
  address: scalar.address
    .optional()
    .describe("How this machine reaches the host by SSH. Default: the host's name."),
  internalAddress: scalar.ipv4
    .optional()
    .describe("How hosts reach each other, the node's InternalIP. Default: `address`."),
  hostKey: oneOrMore(scalar.hostKey)
    .optional()
    .describe('Its public SSH host keys. Default: what known_hosts says.'),
};

const ansibleNames: Readonly<Record<string, string>> = {
  ansible_host: 'address',
  ansible_ssh_host: 'address',
  ansible_user: 'user',
  ansible_ssh_user: 'user',
  ansible_port: 'port',
  ansible_ssh_port: 'port',
  ansible_ssh_private_key_file: 'privateKeyFile',
  ansible_private_key_file: 'privateKeyFile',
  ip: 'internalAddress',
  node_labels: 'labels',
  node_taints: 'taints',
};

const ansibleKeys = Object.fromEntries(
  Object.entries(ansibleNames).map(([key, ours]) => [key, unknownKey(`it is "${ours}" here`)]),
);

/** One host's own keys, as in hosts.yaml and `host_vars/`. */
export const hostSettings = strictObject({...ownKeys, ...sharedKeys}, ansibleKeys);

/** Keys for all hosts of a group, as in `vars` and `group_vars/`. */
export const groupSettings = strictObject(sharedKeys, {
  ...ansibleKeys,
  ...Object.fromEntries(
    Object.keys(ownKeys).map(key => [key, unknownKey('it belongs to a host, not to a group')]),
  ),
});

/** Keys of one host wherever they were written; all optional, none defaulted. */
export type HostSettings = z.output<typeof hostSettings>;

/** One entry of `spec.hosts`. */
export const inlineHost = strictObject(
  {
    name: scalar.hostName.describe('Name of host and node.'),
    roles: z
      .array(z.enum(['control-plane', 'worker']))
      .min(1)
      .describe('What the host is for.'),
    ...ownKeys,
    ...sharedKeys,
  },
  ansibleKeys,
);

export type InlineHost = z.output<typeof inlineHost>;

/** A group of Ansible's YAML inventory; what is null in Ansible may be null here. */
export interface Group {
  readonly vars?: z.output<typeof groupSettings> | null | undefined;
  readonly hosts?: Readonly<Record<string, HostSettings | null>> | null | undefined;
  readonly children?: Readonly<Record<string, Group | null>> | null | undefined;
}

const groupName = scalar.text(
  '^[A-Za-z_][-._A-Za-z0-9]{0,127}$',
  'a group name of letters, digits, "_", "-" and "."',
);

const group: z.ZodType<Group> = strictObject(
  {
    vars: groupSettings.nullish().describe('Keys for all hosts of the group.'),
    hosts: z
      .record(scalar.hostName, hostSettings.nullable())
      .nullish()
      .describe('Hosts of the group, each with its own keys or nothing.'),
    get children(): z.ZodType<Group['children']> {
      return z
        .record(groupName, group.nullable())
        .nullish()
        .describe('Groups inside this one, by name.');
    },
  },
  ansibleKeys,
).meta({id: 'group'});

/** The whole of hosts.yaml. */
export const hostsSchema = strictObject({all: group.describe('The group of all hosts.')}, key =>
  unknownKey(`write it as all.children.${key} if it is a group`),
);

export type HostsDocument = z.output<typeof hostsSchema>;

function oneOrMore(schema: z.ZodString): z.ZodType<string | string[]> {
  return z.union([schema, z.array(schema).min(1)], {
    error: issue => {
      const [single, list] = issue.errors;
      return (Array.isArray(issue.input) ? list : single)?.[0]?.message;
    },
  });
}

function unknownKey(hint: string): RefusedKey {
  return {code: 'ERR_CONFIG_UNKNOWN_KEY', message: 'unknown key', hint};
}
