import {join} from 'node:path';
import test from 'ava';
import {DEFAULT_RUNTIME} from '#provisioner/config/cluster-schema';
import {loadCluster} from '#provisioner/config/load';
import {defaults, load, problemsOf, twoHosts, withSpec, writeFiles} from './fixture.ts';

test('two small files make a cluster with every default applied', async t => {
  const {directory, hosts, ...cluster} = await load(t);
  t.true(directory.startsWith('/'));
  t.deepEqual(cluster, {
    name: 'lab',
    kubernetesVersion: '1.36.3',
    endpoint: {host: '10.89.0.11', port: 6443},
    certSANs: [],
    network: {
      podCIDR: '10.244.0.0/16',
      serviceCIDR: '10.96.0.0/12',
      dnsDomain: 'cluster.local',
      dnsAddress: '10.96.0.10',
      cni: {name: 'flannel'},
      proxy: {mode: 'nftables', conntrack: {maxPerCore: 32768, min: 131072}},
    },
    runtime: {restrictOomScoreAdj: false},
    kubeletConfig: {},
    os: {sysctls: {}, packageRepository: undefined},
    artifactsSource: 'packages',
    registryUrl: undefined,
    certificates: {enabled: true, issuers: []},
    preflight: {ignore: [], memoryMinimumBytes: 1700 * 2 ** 20},
  });
  const [h1, h2] = hosts;
  t.deepEqual(h1, {
    name: 'h1',
    address: '10.89.0.11',
    internalAddress: '10.89.0.11',
    port: 22,
    user: 'root',
    privateKeyPaths: [],
    hostKeys: [],
    groups: ['kube_control_plane'],
    isControlPlane: true,
    isWorker: false,
    runtime: DEFAULT_RUNTIME,
    labels: {},
    taints: [],
  });
  t.deepEqual([h2?.name, h2?.isControlPlane, h2?.isWorker], ['h2', false, true]);
});

test("the sample inventory loads, so that it can't rot", async t => {
  const file = join(import.meta.dirname, '../../../inventory/sample/cluster.yaml');
  const {hosts, endpoint} = await loadCluster({file});
  t.deepEqual(
    hosts.map(({name}) => name),
    ['node1', 'node2', 'node3'],
  );
  t.is(endpoint.host, 'api.sample.internal');
  const node3 = hosts[2];
  t.deepEqual(node3?.labels, {'topology.kubernetes.io/zone': 'rack-b'});
  t.is(node3?.taints.length, 1);
});

test('a host in kube_control_plane and kube_node is both', async t => {
  const {hosts} = await load(t, {
    'hosts.yaml': {
      all: {
        hosts: {h1: {address: '10.89.0.11'}},
        children: {kube_control_plane: {hosts: {h1: null}}, kube_node: {hosts: {h1: null}}},
      },
    },
  });
  t.deepEqual(
    hosts.map(host => [host.isControlPlane, host.isWorker]),
    [[true, true]],
  );
});

test('hosts can be listed in cluster.yaml', async t => {
  const hosts = [
    {name: 'b', roles: ['worker'], address: '10.89.0.12', labels: {zone: 'x'}},
    {name: 'a', roles: ['control-plane', 'worker'], address: '10.89.0.11'},
  ];
  const cluster = await load(t, {'cluster.yaml': withSpec({hosts}), 'hosts.yaml': undefined});
  t.deepEqual(
    cluster.hosts.map(host => [host.name, host.isControlPlane, host.isWorker, host.groups]),
    [
      ['a', true, true, ['kube_control_plane', 'kube_node']],
      ['b', false, true, ['kube_node']],
    ],
  );
  t.deepEqual(cluster.hosts[1]?.labels, {zone: 'x'});
});

test('later layers replace earlier ones key by key and never merge', async t => {
  const {hosts} = await load(t, {
    'hosts.yaml': {
      all: {
        vars: {user: 'all', port: 1, labels: {from: 'all', all: 'x'}},
        hosts: {h1: {address: '10.89.0.11'}, h2: {address: '10.89.0.12', user: 'host'}},
        children: {
          kube_control_plane: {hosts: {h1: null}},
          kube_node: {hosts: {h2: null}},
          alpha: {vars: {user: 'alpha', port: 3}, hosts: {h1: null}},
          beta: {vars: {user: 'beta'}, hosts: {h1: null}},
          outer: {vars: {user: 'outer'}, children: {inner: {hosts: {h2: null}}}},
          inner: {vars: {user: 'inner', port: 4}},
        },
      },
    },
    'group_vars/all.yaml': {port: 2},
    'group_vars/inner.yml': {labels: {from: 'inner'}},
    'group_vars/README.md': 'not read',
    'host_vars/h2.yaml': {port: 5},
  });
  const picked = hosts.map(({user, port, labels}) => ({user, port, labels}));
  t.deepEqual(picked, [
    {user: 'beta', port: 3, labels: {from: 'all', all: 'x'}},
    {user: 'host', port: 5, labels: {from: 'inner'}},
  ]);
  t.deepEqual(hosts[1]?.groups, ['inner', 'kube_node', 'outer']);
});

test('a private key starts at the file that names it, at home, or at the root', async t => {
  const directory = await writeFiles(t, {
    ...defaults,
    'cluster.yaml': withSpec({inventory: 'sub/hosts.yaml'}),
    'sub/hosts.yaml': {all: {...twoHosts.all, vars: {privateKeyFile: 'id_a'}}},
    'sub/host_vars/h2.yaml': {privateKeyFile: ['../id_b', '~/id_c']},
    'sub/id_a': 'key',
    'sub/id_b': 'key',
    'home/id_c': 'key',
  });
  const homeDirectory = join(directory, 'home');
  const {hosts} = await loadCluster({file: join(directory, 'cluster.yaml'), homeDirectory});
  t.deepEqual(
    hosts.map(host => host.privateKeyPaths),
    [[join(directory, 'sub/id_a')], [join(directory, 'sub/id_b'), join(directory, 'home/id_c')]],
  );
});

test('~/.ssh/id_ed25519 is tried where no key is named and it exists', async t => {
  const {hosts, directory} = await load(t, {'home/.ssh/id_ed25519': 'key'});
  t.deepEqual(hosts[0]?.privateKeyPaths, [join(directory, 'home/.ssh/id_ed25519')]);
});

test('2,000 hosts load, and 2,001 do not', async t => {
  const names = (count: number) =>
    Object.fromEntries(
      Array.from({length: count}, (_, n) => [`w${n}`, {address: `10.50.${n >> 8}.${n & 255}`}]),
    );
  const hosts = (count: number) => ({
    all: {
      children: {
        kube_control_plane: {hosts: {h1: {address: '10.89.0.11'}}},
        kube_node: {hosts: names(count)},
      },
    },
  });
  const spec = withSpec({network: {podCIDR: '172.16.0.0/12'}});
  const cluster = await load(t, {'cluster.yaml': spec, 'hosts.yaml': hosts(1999)});
  t.is(cluster.hosts.length, 2000);
  const problems = await problemsOf(t, {'cluster.yaml': spec, 'hosts.yaml': hosts(2000)});
  t.regex(problems[0] ?? '', /^ERR_CONFIG_HOSTS_TOO_MANY hosts.yaml /);
});

test('a runtime is said for all hosts, a group or one host; the nearest word counts', async t => {
  const hosts = {h1: {address: '10.89.0.11'}, h2: {address: '10.89.0.12'}};
  const h3 = {address: '10.89.0.13', runtime: 'slipway'};
  const cluster = await load(t, {
    'cluster.yaml': withSpec({runtime: {name: 'slipway'}}),
    'hosts.yaml': {
      all: {
        children: {
          kube_control_plane: {hosts: {h1: hosts.h1}},
          kube_node: {vars: {runtime: 'containerd'}, hosts: {h2: hosts.h2, h3}},
        },
      },
    },
  });
  t.deepEqual(
    cluster.hosts.map(({runtime}) => runtime),
    ['slipway', 'containerd', 'slipway'],
  );
});
