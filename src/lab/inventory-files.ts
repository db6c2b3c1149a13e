import {SITE_ADDRESS} from './addresses.ts';

export const REGISTRY_PORT = 5000;
export const PACKAGES_PORT = 8080;
/** Where images are pushed to and pulled from. */
export const REGISTRY_URL = `http://${SITE_ADDRESS}:${REGISTRY_PORT}`;

const GIBIBYTE = 1024 ** 3;

/** A host as the inventory names it. */
export interface InventoryHost {
  readonly name: string;
  readonly address: string;
  /** Type and key in OpenSSH's form: `ssh-ed25519 AAAA…` */
  readonly hostKey: string;
}

/**
 * The lab's cluster.yaml: an offline site's settings, and what these hosts need because they share
 * one kernel (often no CAP_SYS_RESOURCE, cgroup v1, and all the machine's memory and disk in view).
 */
export function clusterDocument(machineMemoryBytes: number): Readonly<Record<string, unknown>> {
  // Every host sees the whole machine's memory; a third of it stays for its pods.
  const reservedGi = Math.floor((machineMemoryBytes * 2) / 3 / GIBIBYTE);
  return {
    apiVersion: 'provision.dev/v1',
    kind: 'Cluster',
    metadata: {name: 'lab'},
    spec: {
      kubernetes: {version: '1.36.3'},
      controlPlane: {endpoint: {host: 'api.lab', port: 6443}},
      network: {proxy: {mode: 'nftables', conntrack: {maxPerCore: 0, min: 0}}},
      runtime: {restrictOomScoreAdj: true},
      kubelet: {
        config: {
          failCgroupV1: false,
          systemReserved: {memory: `${reservedGi}Gi`},
          evictionHard: {
            'nodefs.available': '1%',
            'imagefs.available': '1%',
            'memory.available': '100Mi',
          },
          imageMinimumGCAge: '24h',
        },
      },
      os: {
        packageRepository: {
          url: `http://${SITE_ADDRESS}:${PACKAGES_PORT}/debian`,
          suite: 'trixie',
          components: ['main'],
          publicKeyFile: 'site/repository.asc',
        },
      },
      artifacts: {source: 'packages'},
      registry: {url: REGISTRY_URL},
      certificates: {
        issuers: [
          {name: 'self-signed', selfSigned: {}},
          {name: 'lab-ca', ca: {generate: {commonName: 'Lab CA'}}},
        ],
      },
      preflight: {ignore: ['SystemVerification']},
    },
  };
}

/**
 * The lab's hosts.yaml in Ansible's form. The first host is the control plane, the others are
 * workers; a lab of one host is both.
 */
export function hostsDocument(hosts: readonly InventoryHost[]): Readonly<Record<string, unknown>> {
  const [first, ...others] = hosts;
  const group = (members: readonly (InventoryHost | undefined)[]) => ({
    hosts: Object.fromEntries(
      members.flatMap(host => (host === undefined ? [] : [[host.name, {}]])),
    ),
  });
  return {
    all: {
      vars: {user: 'root', privateKeyFile: 'id_ed25519'},
      children: {
        kube_control_plane: group([first]),
        kube_node: group(others.length === 0 ? [first] : others),
      },
      hosts: Object.fromEntries(
        hosts.map(({name, address, hostKey}) => [name, {address, hostKey}]),
      ),
    },
  };
}
