import {spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {formatYamlDocuments} from '#shared/yaml';
import {planAddons, type Addon} from '#provisioner/addons/addon';
import {corefile} from '#provisioner/addons/cluster-dns';
import {installScript} from '#provisioner/addons/flannel';
import type {Cluster} from '#provisioner/role/cluster';
import {aCluster, aHost} from '#test/a-cluster';

const images = {
  flannel: 'ghcr.io/flannel-io/flannel:v0.28.10',
  coredns: 'registry.k8s.io/coredns/coredns:v1.14.3',
};

function plan(cluster: Cluster = aCluster(), upstream = false): readonly Addon[] {
  return planAddons(cluster, {images, upstream});
}

// To write them anew after a change that was meant: UPDATE_GOLDEN=1 npx ava test/provisioner/addons
for (const {name, objects} of plan()) {
  test(`the manifests of ${name} are as in the golden file`, t => {
    const path = new URL(`golden/${name}.yaml`, import.meta.url);
    const rendered = formatYamlDocuments(objects);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, rendered);
    t.is(rendered, readFileSync(path, 'utf8'));
  });
}

test('names are resolved on nodes with the taints of the inventory, too', t => {
  const taint = {key: 'dedicated', value: 'database', effect: 'NoExecute'} as const;
  const cluster = aCluster({hosts: [aHost('h1', {isControlPlane: true, taints: [taint]})]});
  const text = JSON.stringify(plan(cluster));
  t.true(text.includes('{"operator":"Exists","key":"dedicated","effect":"NoExecute"}'));
  t.false(JSON.stringify(plan()).includes('dedicated'));
});

test('digests stay when nothing changed, and change with image or network', t => {
  const digests = (addons: readonly Addon[]): readonly string[] => addons.map(({digest}) => digest);
  const {network} = aCluster();
  const [flannel, dns] = digests(plan());
  t.deepEqual(digests(plan()), [flannel, dns]);
  const iptables = {...network, proxy: {...network.proxy, mode: 'iptables'}} as const;
  const [otherFlannel, sameDns] = digests(plan(aCluster({network: iptables})));
  t.not(otherFlannel, flannel);
  t.is(sameDns, dns);
  t.not(digests(plan(aCluster(), true))[1], dns);
});

test('a host more changes no add-on of a cluster that has two', t => {
  const {hosts} = aCluster();
  t.deepEqual(plan(aCluster({hosts: [...hosts, aHost('h4')]})), plan());
});

test('flannel writes rules in the language of kube-proxy', t => {
  const modes = (['nftables', 'iptables'] as const).map(mode => {
    const {network} = aCluster();
    const [flannel] = plan(aCluster({network: {...network, proxy: {...network.proxy, mode}}}));
    const text = JSON.stringify(flannel);
    return [text.includes(String.raw`\"EnableNFTables\": true`), text.includes('xtables')];
  });
  t.deepEqual(modes, [
    [true, false],
    [false, true],
  ]);
});

test('cluster DNS forwards nothing where hosts have no name server', t => {
  t.false(corefile('cluster.local', false).includes('forward'));
  t.false(corefile('cluster.local', false).includes('fallthrough'));
  t.true(corefile('cluster.local', true).includes('forward . /etc/resolv.conf'));
  t.true(corefile('cluster.local', true).includes('    loop\n'));
});

test('cluster DNS has one pod in a cluster of one host', t => {
  const hosts = [aHost('h1', {isControlPlane: true})];
  const [, dns] = plan(aCluster({hosts}));
  t.like(
    dns?.objects.find(({kind}) => kind === 'Deployment'),
    {spec: {replicas: 1}},
  );
});

test('cluster DNS has nothing that kubeadm would take for its own', t => {
  const [, dns] = plan();
  t.notRegex(JSON.stringify(dns), /k8s-app|kube-dns|"name":"coredns","namespace"/);
});

test("flannel's hook takes an old CNI configuration away until the subnet is known", t => {
  const directory = mkdtempSync(join(tmpdir(), 'flannel-hook-'));
  t.teardown(() => {
    rmSync(directory, {recursive: true});
  });
  const [subnet, source, target] = ['subnet.env', 'cni-conf.json', '10-flannel.conflist'].map(
    name => join(directory, name),
  ) as [string, string, string];
  writeFileSync(source, 'new');
  writeFileSync(target, 'old');
  const script = installScript({subnet, source, target});
  // Its pause, so that the test sees what is there while it waits and then goes on.
  const pause = `sleep() { ls ${directory} > ${directory}/seen; touch ${subnet}; }`;
  t.is(spawnSync('sh', ['-c', `${pause}\n${script}`]).status, 0);
  t.false(readFileSync(join(directory, 'seen'), 'utf8').includes('10-flannel.conflist'));
  t.is(readFileSync(target, 'utf8'), 'new');
  t.false(readdirSync(directory).some(name => name.endsWith('.new')));
});

test("flannel's hook fails when the subnet never comes, and leaves no configuration", t => {
  const directory = mkdtempSync(join(tmpdir(), 'flannel-hook-'));
  t.teardown(() => {
    rmSync(directory, {recursive: true});
  });
  const target = join(directory, 'target');
  const script = installScript({subnet: join(directory, 'no'), source: '/dev/null', target});
  t.is(spawnSync('sh', ['-c', `sleep() { :; }\n${script}`]).status, 1);
  t.false(existsSync(target));
});
