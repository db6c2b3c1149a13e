import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {cpus, hostname} from 'node:os';
import test from 'ava';
import {FACTS_SCRIPT} from '#provisioner/facts/facts-script';
import {parseFacts, parseStateFact} from '#provisioner/facts/parse-facts';
import {emptyHostState, formatHostState} from '#provisioner/host-state/host-state';
import {shells} from '#test/folder-host';

for (const shell of shells) {
  test(`${shell}: the facts of this machine make sense`, t => {
    const before = Math.floor(Date.now() / 1000);
    const output = execFileSync(shell, ['-s'], {input: FACTS_SCRIPT, encoding: 'utf8'});
    const facts = parseFacts(output);
    t.is(facts.hostname, hostname());
    t.not(facts.os.id, '');
    t.not(facts.prettyName, '');
    t.true(['amd64', 'arm64'].includes(facts.arch ?? ''));
    t.is(facts.bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
    t.true(facts.cpuCount >= 1 && facts.cpuCount <= cpus().length);
    t.true(facts.memoryBytes > 64 * 1024 ** 2);
    t.true(facts.clockSeconds >= before && facts.clockSeconds < before + 3600);
    t.deepEqual(
      facts.addresses.find(({address}) => address === '127.0.0.1'),
      {address: '127.0.0.1', interface: 'lo'},
    );
    t.true((facts.freeBytes['/'] ?? 0) > 0);
    t.true(facts.listeningPorts.every(port => port > 0 && port < 32_768));
  });
}

const output = (lines: Readonly<Record<string, string | readonly string[]>>): string =>
  Object.entries(lines)
    .flatMap(([key, value]) => [value].flat().map(text => `${key}\t${text}\n`))
    .join('');

const read = test.macro(
  (t, lines: Parameters<typeof output>[0], expected: Partial<ReturnType<typeof parseFacts>>) => {
    t.like(parseFacts(output(lines)), expected);
  },
);

test('Debian is read with its family', read, {os: ['PRETTY_NAME="Debian GNU/Linux 13 (trixie)"', 'VERSION_ID="13"', 'ID=debian']}, {
  os: {id: 'debian', idLike: [], version: '13'},
  prettyName: 'Debian GNU/Linux 13 (trixie)',
}); // prettier-ignore
test('a family of two is read', read, {os: ['ID="rocky"', "ID_LIKE='rhel fedora'"]}, {
  os: {id: 'rocky', idLike: ['rhel', 'fedora'], version: ''},
}); // prettier-ignore
test('x86-64 is amd64', read, {arch: 'x86_64'}, {arch: 'amd64'});
test('aarch64 is arm64', read, {arch: 'aarch64'}, {arch: 'arm64'});
test('another machine type is none of ours', read, {arch: 'riscv64'}, {arch: undefined});
test('cgroup2fs is version 2', read, {cgroup: 'cgroup2fs'}, {cgroupVersion: 2});
test('tmpfs below /sys/fs/cgroup is version 1', read, {cgroup: 'tmpfs'}, {cgroupVersion: 1});
test('memory is in bytes', read, {'memory-kib': '2048'}, {memoryBytes: 2_097_152});
test('ports are read as hexadecimal, once, without ephemeral ones, sorted', read, {'port-hex': ['1F90', '0016', '1F90', '8000']}, {listeningPorts: [22, 8080]}); // prettier-ignore
test('free space is blocks times their size', read, {free: ['/ 10 4096', '/var/lib ']}, {
  freeBytes: {'/': 40_960},
}); // prettier-ignore
test('templates of /etc/hosts are listed', read, {'hosts-template': ['/etc/cloud/templates/hosts.debian.tmpl']}, {
  hostsTemplates: ['/etc/cloud/templates/hosts.debian.tmpl'],
}); // prettier-ignore
test('an address is read with its interface', read, {address: '10.0.0.1\teth0'}, {
  addresses: [{address: '10.0.0.1', interface: 'eth0'}],
}); // prettier-ignore
test('firewalls are read', read, {firewall: ['firewalld', 'ufw']}, {
  firewalls: ['firewalld', 'ufw'],
}); // prettier-ignore
test('name servers are read, also loopback', read, {nameserver: ['127.0.0.53', '10.0.0.1']}, {
  nameServers: ['127.0.0.53', '10.0.0.1'],
}); // prettier-ignore
test('a runtime that does not answer has unknown images', read, {'runtime-socket': '/run/containerd/containerd.sock'}, {
  existing: {...parseFacts('').existing, runtimeSockets: ['/run/containerd/containerd.sock']},
}); // prettier-ignore
test('a runtime without images has none', read, {images: 'yes'}, {
  existing: {...parseFacts('').existing, images: []},
}); // prettier-ignore
test('images of our own runtime are read from its JSON', read, {
  'cri-images': Buffer.from(
    JSON.stringify({
      images: [
        {
          id: 'sha256:9',
          repoTags: ['registry.k8s.io/pause:3.10.2', 'pause:x'],
          repoDigests: ['registry.k8s.io/pause@sha256:1'],
        },
        {id: 'sha256:8', repoDigests: ['dangling@sha256:2']},
      ],
    }),
  ).toString('base64'),
}, {
  existing: {
    ...parseFacts('').existing,
    images: [
      {reference: 'registry.k8s.io/pause:3.10.2', digests: ['sha256:1']},
      {reference: 'pause:x', digests: ['sha256:1']},
    ],
  },
}); // prettier-ignore
test('what a cluster leaves is read', read, {
  'kubelet-conf': 'yes',
  'admin-conf': 'yes',
  manifest: ['etcd.yaml', 'kube-apiserver.yaml'],
  'etcd-data': 'yes',
  'etcd-lost-found': 'yes',
  pki: 'yes',
  occupied: ['/etc/cni'],
  'network-file': ['10-calico.conflist'],
  'start-drop-in': ['kubelet.service /etc/systemd/system/kubelet.service.d/a b.conf'],
  images: 'yes',
  image: ['registry.k8s.io/pause:3.10.2\tsha256:1'],
}, {
  existing: {
    runtimeSockets: [],
    kubeletConf: true,
    adminConf: true,
    manifests: ['etcd.yaml', 'kube-apiserver.yaml'],
    etcdData: true,
    etcdLostFound: true,
    pki: true,
    occupied: ['/etc/cni'],
    networkFiles: ['10-calico.conflist'],
    startDropIns: [
      {unit: 'kubelet.service', path: '/etc/systemd/system/kubelet.service.d/a b.conf'},
    ],
    images: [{reference: 'registry.k8s.io/pause:3.10.2', digests: ['sha256:1']}],
  },
}); // prettier-ignore
test('unknown lines are passed over', read, {surprise: 'x', systemd: 'yes'}, {systemd: true});
test('missing commands are listed', read, {missing: ['tar', 'flock']}, {
  missingCommands: ['tar', 'flock'],
}); // prettier-ignore

const stateLine = (text: string) => output({state: Buffer.from(text).toString('base64')});

test('a host that we never touched has an empty state', t => {
  t.deepEqual(parseStateFact('hostname\th1\n', 'h1', 'lab'), emptyHostState('lab'));
});

test('the state of a host comes along with its facts', t => {
  const state = {...emptyHostState('other'), pending: ['file:/a']};
  t.deepEqual(parseStateFact(stateLine(formatHostState(state)), 'h1', 'lab'), state);
});

for (const [title, line] of [
  ['damaged', stateLine('{"version":')],
  ['empty', output({state: ''})],
  ['newer', stateLine(JSON.stringify({...emptyHostState('lab'), version: 2}))],
  ['too large', output({state: 'too-large'})],
] as const) {
  test(`a state that is ${title} is refused with the name of the host`, t => {
    t.throws(() => parseStateFact(line, 'h7', 'lab'), {
      code: 'ERR_HOST_STATE_DAMAGED',
      message: /^h7: /,
    });
  });
}
