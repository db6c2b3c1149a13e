import {readdirSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import test from 'ava';
import {sha256Hex} from '#shared/digest';
import {rolesByPhase} from '#roles';
import type {Cluster, Host} from '#provisioner/role/cluster';
import {type Resource, resourceId} from '#provisioner/role/resource';
import {isFor} from '#provisioner/role/role';
import {loadConfig} from '#runtime/config/load';
import {parseRegistriesConf} from '#runtime/image/registries/registries-conf';
import {loadTemplates} from '#provisioner/template/templates';
import {aCluster, aHost} from '#test/a-cluster';
import {isGolden} from '#test/golden';
import {someFacts} from '#test/some-facts';
import {temporaryFolder} from '#test/temporary-folder';

const templates = new URL('../../templates', import.meta.url).pathname;
const render = await loadTemplates(templates);
const roles = Object.values(rolesByPhase).flat();
const artifact = (name: string) => ({version: '1.0', sha256: sha256Hex(name), sizeBytes: 1_000});

const cluster = aCluster({
  registryUrl: 'http://10.89.0.2:5000',
  kubeletConfig: {maxPods: 50},
  os: {
    sysctls: {'vm.max_map_count': '262144'},
    packageRepository: {
      url: 'http://10.89.0.2/debian',
      suite: 'trixie',
      components: ['main'],
      publicKey: '-----BEGIN PGP PUBLIC KEY BLOCK-----\n',
    },
  },
});
const [h1 = aHost('h1'), h2 = aHost('h2')] = cluster.hosts;
const ours = {...h2, runtime: 'slipway' as const};

function resourcesOf(of: Cluster, host: Host, isMember = false): readonly Resource[] {
  return roles
    .filter(role => isFor(role, host))
    .flatMap(role =>
      role.resources({cluster: of, host, facts: someFacts(), isMember, artifact, render}),
    );
}

/** Resources as a person reads them: contents as lines, modes as octal numbers. */
function describe(of: Cluster, host: Host): string {
  const phases = Object.entries(rolesByPhase).map(([phase, own]) => {
    const resources = own
      .filter(role => isFor(role, host))
      .flatMap(role =>
        role.resources({cluster: of, host, facts: someFacts(), isMember: false, artifact, render}),
      );
    return `## ${phase}\n${resources.map(describeOne).join('')}`;
  });
  return phases.join('\n');
}

function describeOne(resource: Resource): string {
  const {kind: _kind, ...fields} = resource;
  const id = resourceId(resource);
  if (resource.kind === 'file') {
    const lines = resource.content.trimEnd().split('\n');
    return `${id} ${resource.mode.toString(8)}\n${lines.map(line => `    ${line}`.trimEnd()).join('\n')}\n`;
  }
  const rest = Object.entries(fields)
    .filter(([key]) => !['path', 'name', 'key', 'sha256', 'sizeBytes'].includes(key))
    .map(([key, value]) => {
      if (key === 'mode') return `mode=${Number(value).toString(8)}`;
      return `${key}=${JSON.stringify(value)}`;
    });
  return `${[id, ...rest].join(' ')}\n`;
}

for (const [name, host] of [
  ['control-plane', h1],
  ['worker', h2],
  ['slipway-worker', ours],
] as const) {
  test(`what a ${name} must have is as in the golden file`, t => {
    isGolden(t, describe(cluster, host), new URL(`golden/${name}.txt`, import.meta.url));
  });

  test(`every resource of a ${name} is named once, and units restart on what is there`, t => {
    const resources = resourcesOf(cluster, host);
    const ids = resources.map(resourceId);
    t.is(new Set(ids).size, ids.length);
    for (const resource of resources) {
      if (resource.kind !== 'unit') continue;
      for (const id of resource.restartOn) t.true(ids.includes(id), `${resource.name}: ${id}`);
    }
  });
}

test('another worker changes no resource of the hosts that are there', t => {
  const grown = {...cluster, hosts: [...cluster.hosts, aHost('h4', {labels: {disk: 'ssd'}})]};
  for (const host of cluster.hosts) {
    t.deepEqual(resourcesOf(grown, host), resourcesOf(cluster, host));
  }
});

test('another address of one worker changes that worker only', t => {
  const moved = {...h2, internalAddress: '10.89.0.99'};
  const hosts = cluster.hosts.map(host => (host.name === 'h2' ? moved : host));
  const changed = {...cluster, hosts};
  t.notDeepEqual(resourcesOf(changed, moved), resourcesOf(cluster, h2));
  for (const host of cluster.hosts.filter(({name}) => name !== 'h2')) {
    t.deepEqual(resourcesOf(changed, host), resourcesOf(cluster, host));
  }
});

test('without a repository and a registry of its own a cluster writes no file for them', t => {
  const bare = {
    ...cluster,
    registryUrl: undefined,
    os: {sysctls: {}, packageRepository: undefined},
  };
  for (const host of [h2, ours]) {
    const paths = resourcesOf(bare, host).map(resourceId).join('\n');
    t.notRegex(paths, /apt|certs\.d|registries/);
  }
});

test('an endpoint that is an address needs no name in /etc/hosts', t => {
  const byAddress = {...cluster, endpoint: {host: '10.89.0.11', port: 6443}};
  const block = resourcesOf(byAddress, h2).find(({kind}) => kind === 'line-block');
  t.like(block, {lines: ['10.89.0.12 h2']});
});

test('names outlive a boot at which cloud-init writes /etc/hosts from a template', t => {
  const template = '/etc/cloud/templates/hosts.debian.tmpl';
  const facts = someFacts({hostsTemplates: [template]});
  const input = {cluster, host: h2, facts, isMember: false, artifact, render};
  const blocks = roles
    .flatMap(role => role.resources(input))
    .filter(resource => resource.kind === 'line-block');
  t.deepEqual(
    blocks.map(({path}) => path),
    ['/etc/hosts', template],
  );
  t.deepEqual(blocks[1]?.lines, blocks[0]?.lines);
});

test('kernel settings are the last word at boot, and come after the modules that they belong to', t => {
  const os = {...cluster.os, sysctls: {'net.netfilter.nf_conntrack_max': '1000000'}};
  const ids = resourcesOf({...cluster, os}, h2).map(resourceId);
  const [file = ''] = ids.filter(id => id.startsWith('file:/etc/sysctl.d/'));
  const others = ['/etc/sysctl.d/99-sysctl.conf', '/usr/lib/sysctl.d/99-protect-links.conf'];
  for (const other of others) t.true(basename(file) > basename(other), other);
  const setting = ids.indexOf('sysctl:net.netfilter.nf_conntrack_max');
  t.true(ids.includes('module:nf_conntrack'));
  t.true(ids.indexOf('module:nf_conntrack') < setting);
});

test('a kubelet that protects kernel settings finds those that it wants', t => {
  const settings = (kubeletConfig: Cluster['kubeletConfig']) =>
    resourcesOf({...cluster, kubeletConfig}, h2).flatMap(each =>
      each.kind === 'sysctl' ? [`${each.key}=${each.value}`] : [],
    );
  const before = settings({protectKernelDefaults: false});
  t.deepEqual(before, settings({}));
  const added = settings({protectKernelDefaults: true}).filter(each => !before.includes(each));
  t.deepEqual(added, [
    'kernel.keys.root_maxbytes=25000000',
    'kernel.keys.root_maxkeys=1000000',
    'kernel.panic=10',
    'kernel.panic_on_oops=1',
    'vm.overcommit_memory=1',
    'vm.panic_on_oom=0',
  ]);
});

test('swap is left alone where the kubelet is told to run with it', t => {
  const hasSwap = (kubeletConfig: Cluster['kubeletConfig']) =>
    resourcesOf({...cluster, kubeletConfig}, h2).some(({kind}) => kind === 'swap');
  t.true(hasSwap({}));
  t.true(hasSwap({failSwapOn: true}));
  t.false(hasSwap({failSwapOn: false, memorySwap: {swapBehavior: 'LimitedSwap'}}));
});

test('settings that Kubernetes depends on win over those of the kubelet in cluster.yaml', t => {
  const mine = {
    ...cluster,
    kubeletConfig: {cgroupDriver: 'cgroupfs', clusterDomain: 'x', maxPods: 9},
  };
  const file = resourcesOf(mine, h2).find(
    resource => resource.kind === 'file' && resource.path.endsWith('10-slipway.conf'),
  );
  const content = file?.kind === 'file' ? file.content : '';
  t.regex(content, /^cgroupDriver: systemd$/m);
  t.regex(content, /^clusterDomain: cluster\.local$/m);
  t.regex(content, /^maxPods: 9$/m);
});

test('roles announce every artifact that they ask for', t => {
  for (const role of roles) {
    const asked: string[] = [];
    const spy = (name: string) => {
      asked.push(name);
      return artifact(name);
    };
    role.resources({cluster, host: h1, facts: someFacts(), isMember: false, artifact: spy, render});
    t.deepEqual(asked.sort(), [...(role.artifacts ?? [])].sort(), role.name);
  }
});

test('every template is used, and gets every value that it names', t => {
  const used = new Set<string>();
  const spy: typeof render = (name, values) => {
    used.add(name);
    const text = render(name, values);
    t.notRegex(text, /undefined|\[object|&(amp|quot|#x27);|\{\{/, name);
    return text;
  };
  for (const role of roles) {
    role.resources({cluster, host: h1, facts: someFacts(), isMember: false, artifact, render: spy});
  }
  const all = readdirSync(templates, {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.hbs'))
    .map(name => name.replace(/\.hbs$/, ''));
  t.deepEqual([...used].sort(), all.sort());
});

test('a kubelet runs where kubeadm has ended well, and is left to kubeadm elsewhere', t => {
  const kubelet = (isMember: boolean) =>
    resourcesOf(cluster, h1, isMember).find(
      resource => resource.kind === 'unit' && resource.name === 'kubelet.service',
    );
  t.like(kubelet(true), {running: 'yes'});
  // A run that died in kubeadm has left kubelet.conf, and not always what a kubelet needs.
  t.like(kubelet(false), {running: 'unmanaged'});
});

test('a host has one runtime: no program, file or unit of the other', t => {
  const ids = (host: Host) => resourcesOf(cluster, host).map(resourceId).join('\n');
  t.notRegex(ids(h2), /slipway-cri|conmon|crun|glib/);
  t.notRegex(ids(ours), /containerd/);
  t.regex(ids(ours), /^unit:slipway-cri\.service$/m);
});

test('the kubelet talks to the runtime of its host, and starts after it', t => {
  for (const [host, socket, unit] of [
    [h2, 'unix:///run/containerd/containerd.sock', 'containerd.service'],
    [ours, 'unix:///run/slipway/cri.sock', 'slipway-cri.service'],
  ] as const) {
    const text = (path: string) =>
      resourcesOf(cluster, host).flatMap(each =>
        each.kind === 'file' && each.path.endsWith(path) ? [each.content] : [],
      )[0] ?? '';
    t.true(text('10-slipway.conf').includes(`containerRuntimeEndpoint: ${socket}\n`));
    t.regex(text('kubelet.service'), new RegExp(`^After=.* ${unit.replace('.', '\\.')}$`, 'm'));
  }
});

test('a daemon that fails fast again and again is started again all the same', t => {
  for (const host of [h2, ours]) {
    const units = resourcesOf(cluster, host).flatMap(each =>
      each.kind === 'file' && each.path.endsWith('.service') ? [each.content] : [],
    );
    t.is(units.length, 2, 'the runtime and the kubelet');
    for (const unit of units) t.regex(unit, /^\[Unit\]\n[^[]*^StartLimitIntervalSec=0$/m);
  }
});

test('GLib is asked for by the name that the distribution has for it', t => {
  const nameOn = (id: string, version: string) => {
    const facts = someFacts({os: {id, idLike: [], version}});
    const input = {cluster, host: ours, facts, isMember: false, artifact, render};
    const all = roles.filter(role => isFor(role, ours)).flatMap(role => role.resources(input));
    return all.map(resourceId).find(name => name.startsWith('package:libglib'));
  };
  t.is(nameOn('debian', '12'), 'package:libglib2.0-0');
  t.is(nameOn('ubuntu', '22.04'), 'package:libglib2.0-0');
  t.is(nameOn('debian', '13'), 'package:libglib2.0-0t64');
  t.is(nameOn('ubuntu', '24.04'), 'package:libglib2.0-0t64');
  t.is(nameOn('debian', ''), 'package:libglib2.0-0t64', 'testing and unstable have no number');
});

test('a changed program of the daemon restarts it, one that it starts does not', t => {
  const unit = resourcesOf(cluster, ours).find(each => each.kind === 'unit');
  const restartOn = unit?.kind === 'unit' ? unit.restartOn.join('\n') : '';
  t.regex(restartOn, /slipway-cri\.mjs/);
  t.regex(restartOn, /bin\/node/);
  t.notRegex(restartOn, /conmon|catatonit|crun|runc/);
});

test('a kubelet asks our own runtime for stats, unless cluster.yaml says otherwise', t => {
  const gates = (host: Host, kubeletConfig: Cluster['kubeletConfig']) =>
    resourcesOf({...cluster, kubeletConfig}, host).flatMap(each =>
      each.kind === 'file' && each.path.endsWith('10-slipway.conf')
        ? [...each.content.matchAll(/^ {2}(\w+): (true|false)$/gm)].map(([, name, on]) => `${name ?? ''}=${on ?? ''}`) // prettier-ignore
        : [],
    );
  const gate = 'PodAndContainerStatsFromCRI';
  t.deepEqual(gates(ours, {}), [`${gate}=true`]);
  t.deepEqual(gates(ours, {featureGates: {Other: true, [gate]: false}}), [`${gate}=false`, 'Other=true']); // prettier-ignore
  t.deepEqual(gates(h2, {}), []);
});

test('what is written for the daemon is what the daemon reads', async t => {
  await using folder = await temporaryFolder();
  const contentOf = (of: Cluster, name: string) =>
    resourcesOf(of, ours).flatMap(each =>
      each.kind === 'file' && each.path.endsWith(name) ? [each.content] : [],
    )[0] ?? '';
  const read = async (of: Cluster) => {
    const file = join(folder.path, 'cri.toml');
    await writeFile(file, contentOf(of, 'cri.toml'));
    return await loadConfig({file, runtime: undefined, flags: {}});
  };
  const config = await read(cluster);
  t.is(config.registriesFile, '/etc/slipway/registries.conf');
  t.deepEqual(Object.keys(config.runtimes).sort(), ['crun', 'runc']);
  t.is(`unix://${config.socket}`, 'unix:///run/slipway/cri.sock');
  const sent = await read({...cluster, registryUrl: undefined});
  t.not(sent.registriesFile, config.registriesFile);
  t.true(sent.pinnedImages.length > config.pinnedImages.length, 'nobody could send them again');
  const {conf} = parseRegistriesConf(contentOf(cluster, 'registries.conf'), 'registries.conf');
  t.deepEqual(conf.rules, [
    {
      prefix: '*',
      insecure: false,
      blocked: false,
      mirrors: [{location: '10.89.0.2:5000', insecure: true, pullFrom: 'all'}],
    },
  ]);
});
