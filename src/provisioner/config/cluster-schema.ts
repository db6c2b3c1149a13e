import {z} from 'zod';
import type {RuntimeName} from '../role/cluster.ts';
import {certificatesSchema} from './certificates-schema.ts';
import {inlineHost} from './hosts-schema.ts';
import {kubeletConfig} from './kubelet-config.ts';
import {kubernetesVersions} from './kubernetes-versions.ts';
import * as scalar from './scalars.ts';
import {strictObject} from './strict-object.ts';

// kube-controller-manager cuts a /24 for every node; it takes a network at most 16 bits larger.
const podCIDR = scalar.cidr({min: 8, max: 24});
// kube-apiserver allows 2^20 addresses at most; cluster DNS has the tenth.
const serviceCIDR = scalar.cidr({min: 12, max: 28});

const kubernetesVersion = z
  .string({error: 'expected a version of three numbers such as 1.36.3'})
  .superRefine((version, context) => {
    if (kubernetesVersions.some(supported => supported === version)) return;
    context.addIssue({
      code: 'custom',
      message: `expected ${kubernetesVersions.join(' or ')}`,
      params: {code: 'ERR_CONFIG_VERSION_UNSUPPORTED'},
    });
  })
  .meta({enum: kubernetesVersions})
  .describe('Version of Kubernetes, without a leading "v".');

export const controlPlaneSchema = strictObject({
  endpoint: strictObject({
    host: scalar.address
      .optional()
      .describe(
        'How nodes and users reach the API server. Without it, `internalAddress` of the first control plane by name.',
      ),
    port: scalar.port.default(6443).describe('Port of the API server.'),
  })
    .prefault({})
    .describe('The one address of the API server that all nodes and kubeconfigs name.'),
  certSANs: z
    .array(scalar.subjectAlternativeName)
    .default([])
    .describe("Further names and addresses for the API server's certificate."),
});

export const networkSchema = strictObject({
  podCIDR: podCIDR
    .default('10.244.0.0/16')
    .describe('Addresses of pods; every node takes a /24 of it.'),
  serviceCIDR: serviceCIDR
    .default('10.96.0.0/12')
    .describe('Addresses of Services; cluster DNS has the tenth.'),
  dnsDomain: scalar.dnsName
    .default('cluster.local')
    .describe('DNS domain of Services, `<service>.<namespace>.svc.<dnsDomain>`.'),
  cni: strictObject({
    name: z.enum(['flannel']).default('flannel').describe('The network add-on.'),
  })
    .prefault({})
    .describe('How pods of different nodes reach each other.'),
  proxy: strictObject({
    mode: z
      .enum(['nftables', 'iptables'])
      .default('nftables')
      .describe('What kube-proxy writes its rules with.'),
    conntrack: strictObject({
      maxPerCore: count(32768).describe(
        "Connections the kernel tracks per core; 0 leaves the kernel's value alone.",
      ),
      min: count(131072).describe(
        "The least number of tracked connections; 0 leaves the kernel's value alone.",
      ),
    })
      .prefault({})
      .describe('Kernel settings that kube-proxy writes.'),
  })
    .prefault({})
    .describe('kube-proxy.'),
});

const repositoryWord = scalar.text('^[A-Za-z0-9][-._/A-Za-z0-9]{0,127}$', 'one word');

export const packageRepositorySchema = strictObject({
  url: scalar.httpUrl.describe('Where the repository is.'),
  suite: repositoryWord.describe('Its suite, e.g. `trixie`.'),
  components: z.array(repositoryWord).min(1).default(['main']).describe('Its components.'),
  publicKeyFile: scalar.path.describe(
    'The key that signs it, ASCII-armoured; a relative path starts at cluster.yaml.',
  ),
});

export const sysctlsSchema = z
  .record(
    scalar.text(
      '^[a-z0-9][-a-zA-Z0-9_]*(?:[./][-a-zA-Z0-9_]+)+$',
      'a key such as net.core.somaxconn',
    ),
    z.union([scalar.text('^[^\\n\\r]{1,256}$', 'one line'), z.int()], {
      error: 'expected a number or one line of text',
    }),
  )
  .default({})
  .describe('Further kernel settings of every host, e.g. `net.core.somaxconn: 4096`.');

const os = strictObject({
  sysctls: sysctlsSchema,
  packageRepository: packageRepositorySchema
    .optional()
    .describe("An apt repository of the site's own, for hosts without another."),
});
/** What runs containers where neither cluster.yaml nor the inventory says otherwise. */
export const DEFAULT_RUNTIME: RuntimeName = 'slipway';

export const runtimeSchema = strictObject({
  name: scalar.runtimeName
    .default(DEFAULT_RUNTIME)
    .describe(
      'What runs the containers of hosts that do not say `runtime` themselves: `slipway`, our own daemon, or `containerd`.',
    ),
  restrictOomScoreAdj: z
    .boolean()
    .default(false)
    .describe(
      'Needed by containerd on hosts that lack CAP_SYS_RESOURCE, such as lab hosts; slipway finds out by itself.',
    ),
});

export const registrySchema = strictObject({
  url: scalar.registryUrl.describe(
    'Scheme, host and port, e.g. `http://10.0.0.2:5000`; hosts pull every image from it.',
  ),
});

export const inlineHostsSchema = z.array(inlineHost).min(1);

const spec = strictObject({
  kubernetes: strictObject({version: kubernetesVersion}).describe('Kubernetes itself.'),
  inventory: scalar.path
    .optional()
    .describe(
      'The file of hosts; a relative path starts at cluster.yaml. Without it, `hosts.yaml` beside cluster.yaml.',
    ),
  hosts: inlineHostsSchema
    .optional()
    .meta({documentedAsOne: true})
    .describe(
      'The hosts, instead of in a file of their own; each has `name`, `roles` (a list of `control-plane` and `worker`) and the keys of a host.',
    ),
  controlPlane: controlPlaneSchema.prefault({}).describe('The API server and what belongs to it.'),
  network: networkSchema.prefault({}).describe('Addresses and names inside the cluster.'),
  runtime: runtimeSchema.prefault({}).describe('The container runtime.'),
  kubelet: strictObject({
    config: kubeletConfig
      .default({})
      .meta({documentedAsOne: true})
      .describe(
        'Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for every host, except those that the provisioner sets. With `protectKernelDefaults` hosts get the kernel settings that it wants; with `failSwapOn: false` their swap is left alone. Only init reads `healthzPort` and `healthzBindAddress`; `maxPods` is 250 at most.',
      ),
  })
    .prefault({})
    .describe('The kubelet of every host.'),
  os: os.prefault({}).describe('The operating system of every host.'),
  artifacts: strictObject({
    source: z
      .enum(['packages', 'release', 'bundle'])
      .default('packages')
      .describe('Where binaries and images come from.'),
  })
    .prefault({})
    .describe('Binaries and images.'),
  registry: registrySchema.optional().describe("A registry of the site's own."),
  certificates: certificatesSchema
    .prefault({})
    .describe('The certificate controller and its issuers.'),
  preflight: strictObject({
    ignore: z
      .array(scalar.text('^[A-Za-z][-._A-Za-z0-9]{0,127}$', "one of kubeadm's names of checks"))
      .default([])
      .describe(
        "Checks that may fail, by kubeadm's names, e.g. `SystemVerification`; kubeadm tells of its own.",
      ),
    memoryMinimum: scalar.quantity
      .default('1700Mi')
      .describe('Less memory than this on a host is refused.'),
  })
    .prefault({})
    .describe('What is looked at on every host before anything is changed.'),
});

/** The whole of cluster.yaml: type, defaults, validation and documentation. */
export const clusterSchema = strictObject({
  apiVersion: z.literal('provision.dev/v1').describe('Version of this format.'),
  kind: z.literal('Cluster').describe('Always `Cluster`.'),
  metadata: strictObject({
    name: scalar.dnsLabel.describe('Name of the cluster, also in kubeconfigs.'),
  }).describe('What the cluster is called.'),
  spec: spec.describe('What is true of the cluster.'),
});

export type ClusterDocument = z.output<typeof clusterSchema>;

function count(defaultValue: number): z.ZodDefault<z.ZodInt> {
  return z.int().min(0).default(defaultValue);
}
