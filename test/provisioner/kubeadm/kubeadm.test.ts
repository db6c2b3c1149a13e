import {execFileSync} from 'node:child_process';
import test from 'ava';
import {Secret} from '#shared/secret';
import {formatYamlDocuments} from '#shared/yaml';
import {
  discoveryKubeconfig,
  initDocuments,
  initKeys,
  joinDocuments,
} from '#provisioner/kubeadm/configuration';
import {kubeadmResetScript} from '#provisioner/kubeadm/reset-script';
import type {Cluster, Host} from '#provisioner/role/cluster';
import {initDigest} from '#provisioner/phases/kubeadm-init';
import {aCluster, aHost} from '#test/a-cluster';
import {shells} from '#test/folder-host';
import {isGolden} from '#test/golden';

const token = new Secret('abcdef.0123456789abcdef');
const cluster = aCluster({certSANs: ['k8s.example.org', '127.0.0.1']});
const [h1 = aHost('h1'), h2 = aHost('h2')] = cluster.hosts;
const golden = (name: string) => new URL(`golden/${name}.yaml`, import.meta.url);
const discoveryPath = '/run/slipway/discovery.conf';

test('the documents for kubeadm init are as in the golden file', t => {
  isGolden(t, formatYamlDocuments(initDocuments(cluster, h1, {token})), golden('init'));
});

test('the document for kubeadm join is as in the golden file', t => {
  const documents = joinDocuments(cluster, h2, {token, discoveryPath});
  isGolden(t, formatYamlDocuments(documents), golden('join'));
});

test('the kubeconfig for discovery is as in the golden file, and holds no credential', t => {
  const text = formatYamlDocuments([discoveryKubeconfig(cluster, 'Q0EK')]);
  isGolden(t, text, golden('discovery'));
  t.notRegex(text, /token|client-key|password/);
});

/** Documents of init and join by kind, for what changes them. */
function documents(changes: Partial<Cluster>, host: Host = h1) {
  const changed = {...cluster, ...changes};
  const all = [
    ...initDocuments(changed, host, {token}),
    ...joinDocuments(changed, host, {token, discoveryPath}),
  ] as readonly {readonly kind: string; readonly [key: string]: unknown}[];
  return Object.fromEntries(all.map(each => [each.kind, each]));
}

test('only what was said of fields that kubeadm looks at is said to kubeadm, the rest is in the drop-in', t => {
  const kubelet = (kubeletConfig: Cluster['kubeletConfig']) =>
    documents({kubeletConfig})['KubeletConfiguration'];
  t.false('failCgroupV1' in (kubelet({}) ?? {}));
  t.like(kubelet({failCgroupV1: false, maxPods: 50}), {failCgroupV1: false});
  t.false('maxPods' in (kubelet({maxPods: 50}) ?? {}));
});

test('kubeadm waits for the kubelet where it answers', t => {
  const kubeletConfig = {healthzBindAddress: '0.0.0.0', healthzPort: 10_300};
  t.like(documents({kubeletConfig})['KubeletConfiguration'], kubeletConfig);
});

test('to say the default of a key that only init reads is no change of it', t => {
  const kubeletConfig = {healthzBindAddress: '127.0.0.1', healthzPort: 10_248};
  t.deepEqual(initKeys({...cluster, kubeletConfig}, h1), initKeys(cluster, h1));
});

test('a control plane that is a worker, too, has no taint', t => {
  const taints = (host: Host) =>
    documents({}, host)['InitConfiguration']?.['nodeRegistration'] as {taints: unknown[]};
  t.deepEqual(taints({...h1, isWorker: true}).taints, []);
  t.is(taints(h1).taints.length, 1);
  t.deepEqual(taints(h2).taints, []);
});

test('checks that cluster.yaml ignores are ignored by kubeadm, too', t => {
  const preflight = {...cluster.preflight, ignore: ['SystemVerification']};
  for (const kind of ['InitConfiguration', 'JoinConfiguration']) {
    t.like(documents({preflight})[kind], {
      nodeRegistration: {ignorePreflightErrors: ['SystemVerification']},
    });
  }
});

test('what one host is excused at init is added to what cluster.yaml ignores', t => {
  const preflight = {...cluster.preflight, ignore: ['SystemVerification']};
  const ignore = ['DirAvailable--var-lib-etcd'];
  const [init] = initDocuments({...cluster, preflight}, h1, {token, ignore});
  t.like(init, {
    nodeRegistration: {ignorePreflightErrors: ['SystemVerification', 'DirAvailable--var-lib-etcd']},
  });
});

test('kubeadm is told the socket of the runtime that the host has', t => {
  const socket = (host: Host, kind: string) =>
    (documents({}, host)[kind]?.['nodeRegistration'] as {criSocket: string}).criSocket;
  for (const kind of ['InitConfiguration', 'JoinConfiguration']) {
    t.is(socket(h1, kind), 'unix:///run/containerd/containerd.sock');
    t.is(socket({...h1, runtime: 'slipway'}, kind), 'unix:///run/slipway/cri.sock');
  }
  t.true(kubeadmResetScript('unix:///x').includes('--cri-socket unix:///x '));
});

test('every name of the API server is in its certificate once', t => {
  const certSANs = ['10.89.0.11', '127.0.0.1', 'api.lab', 'h1', 'localhost'];
  const made = documents({certSANs: ['localhost', 'h1']})['ClusterConfiguration'];
  t.deepEqual(made?.['apiServer'], {certSANs});
});

test('the digest of init does not depend on the token, and does on what init reads', t => {
  t.is(initDigest(cluster, h1), initDigest(cluster, h1));
  t.not(initDigest(cluster, h1), initDigest({...cluster, name: 'other'}, h1));
});

for (const shell of shells) {
  test(`${shell}: the script that undoes kubeadm has no syntax error`, t => {
    t.notThrows(() =>
      execFileSync(shell, ['-n'], {input: kubeadmResetScript('unix:///run/slipway/cri.sock')}),
    );
  });
}
