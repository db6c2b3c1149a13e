import {chmod} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {loadCluster} from '#provisioner/config/load';
import {ConfigurationError} from '#provisioner/config/problem';
import {provisionerErrors} from '#provisioner/errors';
import {
  defaults,
  load,
  minimal,
  placedProblemsOf,
  problemsOf,
  twoHosts,
  withSpec,
  writeFiles,
  type Files,
} from './fixture.ts';

const refuses = test.macro(async (t: ExecutionContext, files: Files, expected: string[]) => {
  t.deepEqual(await problemsOf(t, files), expected);
});

const spec = (value: Readonly<Record<string, unknown>>): Files => ({
  'cluster.yaml': withSpec(value),
});
const h1 = 'all.children.kube_control_plane.hosts.h1';
const host = (settings: unknown): Files => ({
  'hosts.yaml': {
    all: {
      children: {
        kube_control_plane: {hosts: {h1: settings}},
        kube_node: {hosts: {h2: {address: '10.89.0.12'}}},
      },
    },
  },
});

test('a mistyped key is refused', refuses, spec({network: {prox: {mode: 'nftables'}}}), [
  'ERR_CONFIG_UNKNOWN_KEY cluster.yaml spec.network.prox',
]);
test('a text that is not YAML is refused', refuses, {'cluster.yaml': 'a: [\n'}, [
  'ERR_YAML_INVALID cluster.yaml',
]);
test('a key given twice is refused', refuses, {'cluster.yaml': 'a: 1\na: 1\n'}, [
  'ERR_YAML_INVALID cluster.yaml',
]);
test('an alias bomb is refused', refuses, {
  'cluster.yaml': ['l0: &l0 [x]', ...Array.from({length: 9}, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(9)}]`)].join('\n'),
}, ['ERR_YAML_LIMIT cluster.yaml']); // prettier-ignore
test('an empty cluster.yaml is refused', refuses, {'cluster.yaml': ''}, [
  'ERR_CONFIG_VALUE cluster.yaml',
]);
test('a list instead of a map is refused', refuses, {'cluster.yaml': '- a\n'}, [
  'ERR_CONFIG_VALUE cluster.yaml',
]);
test('keys named like members of Object.prototype are unknown', refuses, {
  'cluster.yaml': `${JSON.stringify(minimal)}\n`.replace('"kind"', '"__proto__":{},"constructor":1,"kind"'),
}, ['ERR_CONFIG_UNKNOWN_KEY cluster.yaml __proto__', 'ERR_CONFIG_UNKNOWN_KEY cluster.yaml constructor']); // prettier-ignore
test('a missing cluster.yaml is refused', refuses, {'cluster.yaml': undefined}, [
  'ERR_CONFIG_FILE_MISSING cluster.yaml',
]);
test('a missing hosts.yaml is refused', refuses, {'hosts.yaml': undefined}, [
  'ERR_CONFIG_FILE_MISSING hosts.yaml',
]);
test('a missing file of spec.inventory is refused where it is named', refuses, spec({inventory: 'no.yaml'}), [
  'ERR_CONFIG_FILE_MISSING cluster.yaml spec.inventory',
]); // prettier-ignore
test('a directory as inventory is refused', refuses, {...spec({inventory: 'dir'}), 'dir/x': ''}, [
  'ERR_CONFIG_FILE_UNREADABLE cluster.yaml spec.inventory',
]);
test(
  'a file that is too large is refused',
  refuses,
  {'hosts.yaml': `#${'x'.repeat(1024 * 1024)}`},
  ['ERR_CONFIG_FILE_UNREADABLE hosts.yaml'],
);
test('another apiVersion is refused', refuses, {'cluster.yaml': {...minimal, apiVersion: 'v1'}}, [
  'ERR_CONFIG_VALUE cluster.yaml apiVersion',
]);
test('a missing version of Kubernetes is refused', refuses, {'cluster.yaml': {...minimal, spec: {kubernetes: {}}}}, [
  'ERR_CONFIG_KEY_MISSING cluster.yaml spec.kubernetes.version',
]); // prettier-ignore
test('a version of Kubernetes that was never tried is refused', refuses, spec({kubernetes: {version: '1.35.0'}}), [
  'ERR_CONFIG_VERSION_UNSUPPORTED cluster.yaml spec.kubernetes.version',
]); // prettier-ignore
test('a name that Kubernetes would not take is refused', refuses, {'cluster.yaml': {...minimal, metadata: {name: 'Lab_1'}}}, [
  'ERR_CONFIG_VALUE cluster.yaml metadata.name',
]); // prettier-ignore
test('a field of the kubelet that we set is refused', refuses, spec({kubelet: {config: {clusterDNS: []}}}), [
  'ERR_CONFIG_KEY_RESERVED cluster.yaml spec.kubelet.config.clusterDNS',
]); // prettier-ignore
test(
  'a mistyped field of the kubelet is refused',
  refuses,
  spec({kubelet: {config: {maxPod: 5}}}),
  ['ERR_CONFIG_UNKNOWN_KEY cluster.yaml spec.kubelet.config.maxPod'],
);
test('a registry URL with credentials is refused', refuses, spec({registry: {url: 'http://u:p@x:5000'}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.registry.url',
]); // prettier-ignore
test('a registry URL with a path is refused', refuses, spec({registry: {url: 'http://x/k8s'}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.registry.url',
]);
test('an amount of memory that is none is refused', refuses, spec({preflight: {memoryMinimum: '2 GB'}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.preflight.memoryMinimum',
]); // prettier-ignore
test('a CIDR with host bits is refused', refuses, spec({network: {podCIDR: '10.244.1.0/16'}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.network.podCIDR',
]);
test('overlapping networks are refused', refuses, spec({network: {podCIDR: '10.96.0.0/16'}}), [
  'ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.serviceCIDR',
]);
test(
  'a network that holds a host is refused',
  refuses,
  spec({network: {podCIDR: '10.80.0.0/12'}}),
  ['ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.podCIDR'],
);
test('a network that holds the endpoint is refused', refuses, spec({controlPlane: {endpoint: {host: '10.96.0.5'}}}), [
  'ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.serviceCIDR',
]); // prettier-ignore
test('a network that holds the registry is refused', refuses, spec({registry: {url: 'http://10.97.0.5:5000'}}), [
  'ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.serviceCIDR',
]); // prettier-ignore
test('a network that holds the package repository is refused', refuses, {
  ...spec({os: {packageRepository: {url: 'https://10.244.9.9/debian', suite: 'trixie', publicKeyFile: 'key.asc'}}}),
  'key.asc': '-----BEGIN PGP PUBLIC KEY BLOCK-----',
}, ['ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.podCIDR']); // prettier-ignore
test('a pod network too small for the hosts is refused', refuses, spec({network: {podCIDR: '10.244.0.0/24'}}), [
  'ERR_CONFIG_CIDR_TOO_SMALL cluster.yaml spec.network.podCIDR',
]); // prettier-ignore
test('more pods than a node has addresses for are refused', refuses, spec({kubelet: {config: {maxPods: 251}}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.kubelet.config.maxPods',
]); // prettier-ignore
test('a kubelet whose health kubeadm cannot ask for is refused', refuses, spec({kubelet: {config: {healthzPort: 0}}}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.kubelet.config.healthzPort',
]); // prettier-ignore
test('kernel settings that the kubelet would not start with are refused', refuses, spec({
  kubelet: {config: {protectKernelDefaults: true}},
  os: {sysctls: {'vm.overcommit_memory': 2, 'kernel/panic': 60, 'vm.panic_on_oom': 0}},
}), [
  'ERR_CONFIG_VALUE cluster.yaml spec.os.sysctls."vm.overcommit_memory"',
  'ERR_CONFIG_VALUE cluster.yaml spec.os.sysctls."kernel/panic"',
]); // prettier-ignore
test('the limit of maxPods is named, and taken', async t => {
  const files = (maxPods: number) => spec({kubelet: {config: {maxPods}}});
  await t.throwsAsync(load(t, files(251)), {message: /at most 250, since a node has a \/24.*, found 251/}); // prettier-ignore
  t.like(await load(t, files(250)), {kubeletConfig: {maxPods: 250}});
});

test('an unsupported version does not hide an overlap', refuses, spec({kubernetes: {version: '1.35.0'}, network: {podCIDR: '10.96.0.0/16'}}), [
  'ERR_CONFIG_VERSION_UNSUPPORTED cluster.yaml spec.kubernetes.version',
  'ERR_CONFIG_CIDR_OVERLAP cluster.yaml spec.network.serviceCIDR',
]); // prettier-ignore

test("Ansible's name of a key is refused", refuses, host({ansible_host: '10.89.0.11', address: '10.89.0.11'}), [
  `ERR_CONFIG_UNKNOWN_KEY hosts.yaml ${h1}.ansible_host`,
]); // prettier-ignore
test('an address for a whole group is refused', refuses, {'hosts.yaml': {all: {...twoHosts.all, vars: {address: '10.89.0.1'}}}}, [
  'ERR_CONFIG_UNKNOWN_KEY hosts.yaml all.vars.address',
]); // prettier-ignore
test('a group outside of all is refused', refuses, {'hosts.yaml': {...twoHosts, kube_node: {}}}, [
  'ERR_CONFIG_UNKNOWN_KEY hosts.yaml kube_node',
]);
test('a port out of range is refused', refuses, host({address: '10.89.0.11', port: 65536}), [
  `ERR_CONFIG_VALUE hosts.yaml ${h1}.port`,
]);
test('a loopback internalAddress is refused', refuses, host({internalAddress: '127.0.0.1'}), [
  `ERR_CONFIG_VALUE hosts.yaml ${h1}.internalAddress`,
]);
test('a host known by name only is refused without internalAddress', refuses, host({address: 'h1.example'}), [
  `ERR_CONFIG_KEY_MISSING hosts.yaml ${h1}`,
]); // prettier-ignore
test('a host reached over loopback is refused without internalAddress', refuses, host({address: '127.0.0.1', port: 2222}), [
  `ERR_CONFIG_KEY_MISSING hosts.yaml ${h1}`,
]); // prettier-ignore
test('a host key that is none is refused', refuses, host({address: '10.89.0.11', hostKey: 'ssh-dss AAAA'}), [
  `ERR_CONFIG_VALUE hosts.yaml ${h1}.hostKey`,
]); // prettier-ignore
test(
  'a taint without effect is refused',
  refuses,
  host({address: '10.89.0.11', taints: [{key: 'a'}]}),
  [`ERR_CONFIG_KEY_MISSING hosts.yaml ${h1}.taints[0].effect`],
);
test(
  'a missing private key is refused',
  refuses,
  host({address: '10.89.0.11', privateKeyFile: 'id_no'}),
  [`ERR_CONFIG_FILE_MISSING hosts.yaml ${h1}.privateKeyFile`],
);
test(
  'a directory as private key is refused',
  refuses,
  host({address: '10.89.0.11', privateKeyFile: '.'}),
  [`ERR_CONFIG_FILE_UNREADABLE hosts.yaml ${h1}.privateKeyFile`],
);
test('the text of a private key is refused, and not printed', async t => {
  const text = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n';
  const files = host({address: '10.89.0.11', privateKeyFile: text});
  const error = await t.throwsAsync(load(t, files), {code: 'ERR_CONFIG_VALUE'});
  t.false(error.message.includes('c2VjcmV0'));
});
test('credentials of a URL are not printed', async t => {
  const files = spec({registry: {url: 'http://user:c2VjcmV0@x:5000/y'}});
  const error = await t.throwsAsync(load(t, files), {code: 'ERR_CONFIG_VALUE'});
  t.false(error.message.includes('c2VjcmV0'));
});
test('a host name that Kubernetes would not take is refused', refuses, {'hosts.yaml': {all: {children: {kube_node: {hosts: {'n[1:3]': {}}}}}}}, [
  'ERR_CONFIG_VALUE hosts.yaml all.children.kube_node.hosts."n[1:3]"',
]); // prettier-ignore
test('two hosts with one address are refused', refuses, host({address: '10.89.0.12'}), [
  'ERR_CONFIG_DUPLICATE_ADDRESS hosts.yaml all.children.kube_node.hosts.h2.address',
]);
test('two hosts with one internalAddress are refused', refuses, host({address: 'x', port: 23, internalAddress: '10.89.0.12'}), [
  'ERR_CONFIG_DUPLICATE_ADDRESS hosts.yaml all.children.kube_node.hosts.h2.address',
]); // prettier-ignore
test('an inventory without hosts is refused', refuses, {'hosts.yaml': {all: {}}}, [
  'ERR_CONFIG_NO_CONTROL_PLANE hosts.yaml all',
]);
test('a cluster without control plane is refused', refuses, {
  'hosts.yaml': {all: {children: {kube_node: {hosts: {h2: {address: '10.89.0.12'}}}}}},
}, ['ERR_CONFIG_NO_CONTROL_PLANE hosts.yaml all']); // prettier-ignore
test('two control planes are refused for now, and nothing else is said', refuses, {
  'hosts.yaml': {all: {children: {kube_control_plane: {hosts: {h1: {address: '10.89.0.11'}, h2: {address: '10.89.0.12'}}}}}},
}, ['ERR_CONTROL_PLANES_UNSUPPORTED hosts.yaml all.children.kube_control_plane.hosts.h2']); // prettier-ignore
test('a host without role is refused', refuses, {
  'hosts.yaml': {all: {...twoHosts.all, hosts: {h3: {address: '10.89.0.13'}}}},
}, ['ERR_CONFIG_HOST_WITHOUT_ROLE hosts.yaml all.hosts.h3']); // prettier-ignore
test('etcd outside of the control planes is refused', refuses, {
  'hosts.yaml': {all: {children: {...twoHosts.all.children, etcd: {hosts: {h2: null}}}}},
}, ['ERR_CONFIG_ETCD_UNSUPPORTED hosts.yaml all.children.kube_node.hosts.h2']); // prettier-ignore
test('a group inside itself is refused', refuses, {
  'hosts.yaml': {all: {children: {...twoHosts.all.children, a: {children: {b: null}}, b: {children: {a: null}}}}},
}, [
  'ERR_CONFIG_GROUP_CYCLE hosts.yaml all.children.a',
  'ERR_CONFIG_GROUP_CYCLE hosts.yaml all.children.a.children.b',
]); // prettier-ignore
test(
  'a file for a group that does not exist is refused',
  refuses,
  {'group_vars/kube_nodes.yaml': ''},
  ['ERR_CONFIG_UNKNOWN_GROUP group_vars/kube_nodes.yaml'],
);
test('a file for a host that does not exist is refused', refuses, {'host_vars/h3.yaml': ''}, [
  'ERR_CONFIG_UNKNOWN_HOST host_vars/h3.yaml',
]);
test(
  'two files for one host are refused',
  refuses,
  {'host_vars/h1.yaml': '', 'host_vars/h1.yml': ''},
  ['ERR_CONFIG_FILE_UNREADABLE host_vars/h1.yml'],
);
test('a file of another format is refused', refuses, {'group_vars/all.json': '{}'}, [
  'ERR_CONFIG_FILE_UNREADABLE group_vars/all.json',
]);
test('a mistake in group_vars is named there', refuses, {'group_vars/kube_node.yaml': {prot: 1}}, [
  'ERR_CONFIG_UNKNOWN_KEY group_vars/kube_node.yaml prot',
]);

const inline = [{name: 'a', roles: ['control-plane'], address: '10.89.0.11'}];
test('hosts.yaml beside spec.hosts is refused', refuses, spec({hosts: inline}), [
  'ERR_CONFIG_TWO_INVENTORIES cluster.yaml spec.hosts',
]);
test('group_vars beside spec.hosts is refused', refuses, {...spec({hosts: inline}), 'hosts.yaml': undefined, 'group_vars/all.yaml': ''}, [
  'ERR_CONFIG_TWO_INVENTORIES cluster.yaml spec.hosts',
]); // prettier-ignore
test('spec.inventory beside spec.hosts is refused', refuses, {...spec({hosts: inline, inventory: 'x'}), 'hosts.yaml': undefined}, [
  'ERR_CONFIG_TWO_INVENTORIES cluster.yaml spec.hosts',
]); // prettier-ignore
test('a name used twice in spec.hosts is refused', refuses, {...spec({hosts: [...inline, {...inline[0], roles: ['worker'], address: '10.89.0.12'}]}), 'hosts.yaml': undefined}, [
  'ERR_CONFIG_VALUE cluster.yaml spec.hosts[1].name',
]); // prettier-ignore
test('an empty spec.hosts is refused', refuses, {...spec({hosts: []}), 'hosts.yaml': undefined}, [
  'ERR_CONFIG_VALUE cluster.yaml spec.hosts',
]);

const repository = {url: 'http://10.0.0.2/debian', suite: 'trixie', publicKeyFile: 'site.asc'};
test('a missing repository key is refused', refuses, spec({os: {packageRepository: repository}}), [
  'ERR_CONFIG_FILE_MISSING cluster.yaml spec.os.packageRepository.publicKeyFile',
]);
test('a repository key that is no public key is refused', refuses, {...spec({os: {packageRepository: repository}}), 'site.asc': 'x'}, [
  'ERR_CONFIG_VALUE cluster.yaml spec.os.packageRepository.publicKeyFile',
]); // prettier-ignore

test('a private key that others may read is refused', async t => {
  const directory = await writeFiles(t, {...defaults, ...host({address: '10.89.0.11', privateKeyFile: 'id_x'}), id_x: 'key'}); // prettier-ignore
  for (const mode of [0o640, 0o604]) {
    await chmod(join(directory, 'id_x'), mode);
    await t.throwsAsync(loadCluster({file: join(directory, 'cluster.yaml')}), {
      code: 'ERR_CONFIG_KEY_PERMISSIONS',
    });
  }
});

test('all problems of all files are reported together, in the order of the files', async t => {
  const files = {
    ...spec({network: {prox: {}, podCIDR: '10.96.0.0/16'}, registry: {}}),
    ...host({address: '10.89.0.12', port: 0, privateKeyFile: 'id_no'}),
    'group_vars/kube_node.yaml': {usr: 'x'},
  };
  t.deepEqual(await placedProblemsOf(t, files), [
    'ERR_CONFIG_CIDR_OVERLAP cluster.yaml:8 spec.network.serviceCIDR',
    'ERR_CONFIG_UNKNOWN_KEY cluster.yaml:9 spec.network.prox',
    'ERR_CONFIG_KEY_MISSING cluster.yaml:11 spec.registry.url',
    'ERR_CONFIG_UNKNOWN_KEY group_vars/kube_node.yaml:1 usr',
    `ERR_CONFIG_VALUE hosts.yaml:7 ${h1}.port`,
    `ERR_CONFIG_FILE_MISSING hosts.yaml:8 ${h1}.privateKeyFile`,
  ]);
});

test('problems of several kinds have a code of their own, and each says what was meant', async t => {
  const files = spec({network: {prox: {}}, runtime: {name: 'docker'}});
  const error = await t.throwsAsync(load(t, files), {instanceOf: ConfigurationError});
  t.is(error.code, 'ERR_CONFIG_INVALID');
  t.is(error.problems[0]?.hint, 'did you mean "proxy"?');
  t.regex(
    error.message,
    /cluster\.yaml:9:5 spec\.network\.prox: unknown key; did you mean "proxy"\?/,
  );
});

test('every problem of the configuration exits with 10', t => {
  for (const [code, exit] of Object.entries(provisionerErrors)) {
    if (/^ERR_(CONFIG|YAML|CONTROL_PLANES)_/.test(code)) t.is(exit, 10, code);
  }
});
