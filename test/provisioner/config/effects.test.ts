// A key that the schema accepts has an effect: each is set here to something other than its
// default, and the cluster must show it. The list is compared with the schema itself.
import test from 'ava';
import {z} from 'zod';
import {clusterSchema, DEFAULT_RUNTIME} from '#provisioner/config/cluster-schema';
import {hostSettings} from '#provisioner/config/hosts-schema';
import type {Cluster} from '#provisioner/role/cluster';
import {aKeyPair} from '#test/a-ca';
import {defaults, load, minimal, withSpec, type Files} from './fixture.ts';

interface Effect {
  readonly files: Files;
  readonly field: (cluster: Cluster) => unknown;
  readonly expected: unknown;
}

const armoured = '-----BEGIN PGP PUBLIC KEY BLOCK-----\n';
const repository = {url: 'http://10.0.0.2/debian', suite: 'trixie', publicKeyFile: 'site.asc'};

const otherRuntime = DEFAULT_RUNTIME === 'slipway' ? 'containerd' : 'slipway';

const company = aKeyPair({commonName: 'company'});
const sourceOf = (cluster: Cluster): unknown => cluster.certificates.issuers[0]?.source;
const ownCa = {
  certificate: {fromFile: 'ca.pem'},
  privateKey: {fromFile: '~/id_ca'},
};

/** The pair as it was loaded, its key uncovered. */
function keyPairOf(cluster: Cluster): unknown {
  const source = cluster.certificates.issuers[0]?.source;
  const pair = source?.kind === 'ca-key-pair' ? source.keyPair : undefined;
  return {certificate: pair?.certificate, privateKey: pair?.privateKey.reveal()};
}

const issuerEffects: Readonly<Record<string, Effect>> = {
  name: issuer(
    {name: 'own', selfSigned: {}},
    cluster => cluster.certificates.issuers.map(({name, namespace}) => [name, namespace]),
    [['own', undefined]],
  ),
  namespace: issuer(
    {namespace: 'web', selfSigned: {}},
    cluster => cluster.certificates.issuers[0]?.namespace,
    'web',
  ),
  'selfSigned.crlDistributionPoints': issuer(
    {selfSigned: {crlDistributionPoints: ['http://crl.lab/x']}},
    sourceOf,
    {kind: 'self-signed', crlDistributionPoints: ['http://crl.lab/x']},
  ),
  'ca.generate.commonName': issuer({ca: {generate: {commonName: 'Lab CA'}}}, sourceOf, {
    kind: 'generated-ca',
    commonName: 'Lab CA',
    duration: '87600h',
  }),
  'ca.generate.duration': issuer({ca: {generate: {duration: '8760h'}}}, sourceOf, {
    kind: 'generated-ca',
    commonName: 'lab a',
    duration: '8760h',
  }),
  'ca.secretName': issuer({ca: {secretName: 'theirs'}}, sourceOf, {
    kind: 'ca-secret',
    secretName: 'theirs',
  }),
  'ca.certificate.fromFile': issuer({ca: ownCa}, keyPairOf, company),
  'ca.privateKey.fromFile': issuer({ca: ownCa}, keyPairOf, company),
  'ca.certificate.fromEnv': issuer(
    {ca: {...ownCa, certificate: {fromEnv: 'TEST_CA'}}},
    keyPairOf,
    company,
  ),
  'ca.privateKey.fromEnv': issuer(
    {ca: {...ownCa, privateKey: {fromEnv: 'TEST_CA_KEY'}}},
    keyPairOf,
    company,
  ),
};

const clusterEffects: Readonly<Record<string, Effect>> = {
  'metadata.name': {
    files: {'cluster.yaml': {...minimal, metadata: {name: 'other'}}},
    field: cluster => cluster.name,
    expected: 'other',
  },
  'spec.kubernetes.version': spec({}, cluster => cluster.kubernetesVersion, '1.36.3'),
  'spec.inventory': {
    files: {
      ...spec({inventory: 'x.yaml'}).files,
      'x.yaml': defaults['hosts.yaml'],
      'hosts.yaml': undefined,
    },
    field: cluster => cluster.hosts.length,
    expected: 2,
  },
  'spec.hosts': {
    files: {
      ...spec({hosts: [{name: 'a', roles: ['control-plane'], address: '10.0.0.1'}]}).files,
      'hosts.yaml': undefined,
    },
    field: cluster => cluster.hosts.map(host => [host.name, host.isControlPlane, host.isWorker]),
    expected: [['a', true, false]],
  },
  'spec.controlPlane.endpoint.host': spec(
    {controlPlane: {endpoint: {host: 'api.lab'}}},
    cluster => cluster.endpoint.host,
    'api.lab',
  ),
  'spec.controlPlane.endpoint.port': spec(
    {controlPlane: {endpoint: {port: 7443}}},
    cluster => cluster.endpoint.port,
    7443,
  ),
  'spec.controlPlane.certSANs': spec(
    {controlPlane: {certSANs: ['*.lab', '10.0.0.9']}},
    cluster => cluster.certSANs,
    ['*.lab', '10.0.0.9'],
  ),
  'spec.network.podCIDR': spec(
    {network: {podCIDR: '10.200.0.0/16'}},
    cluster => cluster.network.podCIDR,
    '10.200.0.0/16',
  ),
  'spec.network.serviceCIDR': spec(
    {network: {serviceCIDR: '172.20.0.16/28'}},
    cluster => [cluster.network.serviceCIDR, cluster.network.dnsAddress],
    ['172.20.0.16/28', '172.20.0.26'],
  ),
  'spec.network.dnsDomain': spec(
    {network: {dnsDomain: 'k8s.lab'}},
    cluster => cluster.network.dnsDomain,
    'k8s.lab',
  ),
  'spec.network.cni.name': spec(
    {network: {cni: {name: 'flannel'}}},
    cluster => cluster.network.cni.name,
    'flannel',
  ),
  'spec.network.proxy.mode': spec(
    {network: {proxy: {mode: 'iptables'}}},
    cluster => cluster.network.proxy.mode,
    'iptables',
  ),
  'spec.network.proxy.conntrack.maxPerCore': spec(
    {network: {proxy: {conntrack: {maxPerCore: 0}}}},
    cluster => cluster.network.proxy.conntrack,
    {maxPerCore: 0, min: 131072},
  ),
  'spec.network.proxy.conntrack.min': spec(
    {network: {proxy: {conntrack: {min: 0}}}},
    cluster => cluster.network.proxy.conntrack,
    {maxPerCore: 32768, min: 0},
  ),
  'spec.runtime.name': spec(
    {runtime: {name: otherRuntime}},
    cluster => cluster.hosts.map(({runtime}) => runtime),
    [otherRuntime, otherRuntime],
  ),
  'spec.runtime.restrictOomScoreAdj': spec(
    {runtime: {restrictOomScoreAdj: true}},
    cluster => cluster.runtime.restrictOomScoreAdj,
    true,
  ),
  'spec.kubelet.config': spec(
    {kubelet: {config: {failCgroupV1: false, evictionHard: {'nodefs.available': '1%'}}}},
    cluster => cluster.kubeletConfig,
    {failCgroupV1: false, evictionHard: {'nodefs.available': '1%'}},
  ),
  'spec.os.sysctls': spec(
    {os: {sysctls: {'net.core.somaxconn': 4096, 'net.ipv4.ip_local_port_range': '1024 65000'}}},
    cluster => cluster.os.sysctls,
    {'net.core.somaxconn': '4096', 'net.ipv4.ip_local_port_range': '1024 65000'},
  ),
  ...Object.fromEntries(
    Object.entries({
      url: 'http://10.0.0.2/debian',
      suite: 'trixie',
      components: ['main', 'site'],
      publicKeyFile: armoured,
    }).map(([key, expected]) => {
      const packageRepository = {...repository, components: ['main', 'site']};
      const field = key === 'publicKeyFile' ? 'publicKey' : key;
      return [
        `spec.os.packageRepository.${key}`,
        {
          files: {...spec({os: {packageRepository}}).files, 'site.asc': armoured},
          field: (cluster: Cluster): unknown =>
            new Map<string, unknown>(Object.entries(cluster.os.packageRepository ?? {})).get(field),
          expected,
        },
      ];
    }),
  ),
  'spec.artifacts.source': spec(
    {artifacts: {source: 'bundle'}},
    cluster => cluster.artifactsSource,
    'bundle',
  ),
  'spec.registry.url': spec(
    {registry: {url: 'http://10.0.0.2:5000/'}},
    cluster => cluster.registryUrl,
    'http://10.0.0.2:5000',
  ),
  'spec.certificates.enabled': spec(
    {certificates: {enabled: false}},
    cluster => cluster.certificates.enabled,
    false,
  ),
  ...Object.fromEntries(
    Object.entries(issuerEffects).map(([key, effect]) => [
      `spec.certificates.issuers.${key}`,
      effect,
    ]),
  ),
  'spec.preflight.ignore': spec(
    {preflight: {ignore: ['SystemVerification']}},
    cluster => cluster.preflight.ignore,
    ['SystemVerification'],
  ),
  'spec.preflight.memoryMinimum': spec(
    {preflight: {memoryMinimum: '2G'}},
    cluster => cluster.preflight.memoryMinimumBytes,
    2e9,
  ),
};

const hostKey = `ssh-ed25519 AAAA${'x'.repeat(64)}`;
const taint = {key: 'example.com/gpu', value: 'yes', effect: 'NoExecute'};
const hostEffects: Readonly<Record<string, Effect>> = {
  address: host({address: '10.9.9.9'}, cluster => cluster.hosts[0]?.address, '10.9.9.9'),
  internalAddress: host(
    {address: 'x', internalAddress: '10.9.9.8'},
    cluster => [cluster.hosts[0]?.address, cluster.hosts[0]?.internalAddress],
    ['x', '10.9.9.8'],
  ),
  port: host({port: 2222}, cluster => cluster.hosts[0]?.port, 2222),
  user: host({user: 'admin'}, cluster => cluster.hosts[0]?.user, 'admin'),
  privateKeyFile: {
    files: {...host({privateKeyFile: ['id_a']}).files, id_a: 'key'},
    field: cluster => cluster.hosts[0]?.privateKeyPaths.map(path => path.replace(/.*\//, '')),
    expected: ['id_a'],
  },
  hostKey: host({hostKey}, cluster => cluster.hosts[0]?.hostKeys, [hostKey]),
  runtime: host({runtime: otherRuntime}, cluster => cluster.hosts[0]?.runtime, otherRuntime),
  labels: host({labels: {'a.b/c': 'd'}}, cluster => cluster.hosts[0]?.labels, {'a.b/c': 'd'}),
  'taints.key': host({taints: [taint]}, cluster => cluster.hosts[0]?.taints[0]?.key, taint.key),
  'taints.value': host({taints: [taint]}, cluster => cluster.hosts[0]?.taints[0]?.value, 'yes'),
  'taints.effect': host(
    {taints: [taint]},
    cluster => cluster.hosts[0]?.taints[0]?.effect,
    'NoExecute',
  ),
};

for (const [key, {files, field, expected}] of Object.entries({...clusterEffects, ...hostEffects})) {
  test(`${key} has an effect`, async t => {
    const environment = {TEST_CA: company.certificate, TEST_CA_KEY: company.privateKey};
    t.deepEqual(field(await load(t, files, {environment})), expected);
  });
}

test('the list above has every key of cluster.yaml', t => {
  const keys = leavesOf(z.toJSONSchema(clusterSchema, {io: 'input'}) as Node);
  const constants = ['apiVersion', 'kind'];
  t.deepEqual(
    Object.keys(clusterEffects).sort(),
    keys.filter(key => !constants.includes(key)).sort(),
  );
});

test('the list above has every key of a host', t => {
  const keys = leavesOf(z.toJSONSchema(hostSettings, {io: 'input'}) as Node);
  t.deepEqual(Object.keys(hostEffects).sort(), [...keys].sort());
});

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly documentedAsOne?: boolean;
}

function leavesOf(node: Node): readonly string[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const inner = child.documentedAsOne === true ? [] : leavesOf(child.items ?? child);
    return inner.length === 0 ? [key] : inner.map(path => `${key}.${path}`);
  });
}

function spec(
  keys: Readonly<Record<string, unknown>>,
  field: Effect['field'] = cluster => cluster,
  expected?: unknown,
): Effect {
  return {files: {'cluster.yaml': withSpec(keys)}, field, expected};
}

function issuer(
  keys: Readonly<Record<string, unknown>>,
  field: Effect['field'],
  expected: unknown,
): Effect {
  const {files, ...effect} = spec(
    {certificates: {issuers: [{name: 'a', ...keys}]}},
    field,
    expected,
  );
  const {certificate, privateKey} = company;
  return {...effect, files: {...files, 'ca.pem': certificate, 'home/id_ca': privateKey}};
}

function host(
  keys: Readonly<Record<string, unknown>>,
  field: Effect['field'] = cluster => cluster,
  expected?: unknown,
): Effect {
  const settings = {address: '10.89.0.11', ...keys};
  const files = {'hosts.yaml': {all: {children: {kube_control_plane: {hosts: {h1: settings}}}}}};
  return {files, field, expected};
}
