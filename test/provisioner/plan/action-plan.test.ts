import test from 'ava';
import {emptyHostState, type HostState} from '#provisioner/host-state/host-state';
import {initKeys, joinKeys} from '#provisioner/kubeadm/configuration';
import {
  changedKeys,
  describeHostActions,
  electFirst,
  INIT_ACTION,
  isMember,
  JOIN_ACTION,
  NODE_SETTINGS_ACTION,
  nodeSettingsDigest,
  planHostActions,
} from '#provisioner/plan/action-plan';
import type {Host} from '#provisioner/role/cluster';
import {aCluster, aHost} from '#test/a-cluster';
import {someFacts} from '#test/some-facts';

const images = {
  controlPlane: ['apiserver'],
  everyNode: ['pause', 'proxy'],
  addons: ['dns', 'proof'],
  proof: 'proof',
  digestsOf: () => [],
};
const controlPlane = (name: string) => aHost(name, {isControlPlane: true, isWorker: false});

function input(host: Host, actions: HostState['actions'] = {}, present?: readonly string[]) {
  const {existing} = someFacts();
  const found = present?.map(reference => ({reference, digests: []}));
  const facts = someFacts({existing: {...existing, images: found}});
  return {host, facts, state: {...emptyHostState('lab'), actions}};
}

const done = (keys?: Record<string, string>) => ({
  status: 'done' as const,
  digest: 'x',
  ...(keys ? {keys} : {}),
});
const pending = {status: 'pending' as const, digest: 'x'};

test('the first control plane is initialised and gets every image it lacks', t => {
  const planned = planHostActions(input(controlPlane('h1'), {}, ['pause']), {
    images,
    isFirst: true,
  });
  t.deepEqual(planned, {
    host: 'h1',
    images: ['apiserver', 'proxy'],
    addonImages: ['dns', 'proof'],
    smoke: false,
    init: true,
    join: false,
    undo: false,
    nodeSettings: false,
  });
});

test('an image of the right name that is another one is pulled again', t => {
  const {existing} = someFacts();
  const found = [{reference: 'pause', digests: ['sha256:1']}];
  const bare = input(aHost('h2'));
  const host = {...bare, facts: someFacts({existing: {...existing, images: found}})};
  const pulled = (locked: readonly string[]) => {
    const digestsOf = (reference: string) => (reference === 'pause' ? locked : []);
    return planHostActions(host, {images: {...images, digestsOf}, isFirst: false}).images;
  };
  t.deepEqual(pulled([]), ['proxy']);
  t.deepEqual(pulled(['sha256:0', 'sha256:1']), ['proxy']);
  t.deepEqual(pulled(['sha256:2']), ['pause', 'proxy']);
});

test('a worker joins and gets no image of the control plane', t => {
  const planned = planHostActions(input(aHost('h2')), {images, isFirst: false});
  t.like(planned, {images: ['pause', 'proxy'], init: false, join: true});
});

test('a host of our own runtime proves it with the image of the proof before kubeadm needs it', t => {
  const host = aHost('h2', {runtime: 'slipway'});
  const planned = planHostActions(input(host), {images, isFirst: false});
  t.like(planned, {images: ['proof', 'pause', 'proxy'], addonImages: ['dns'], smoke: true});
  const phases = describeHostActions(planned).map(({phase}) => phase);
  t.deepEqual(phases, ['images', 'images', 'images', 'smoke', 'addon-images', 'join']);
  const member = input(host, {[JOIN_ACTION]: done()});
  t.false(planHostActions(member, {images, isFirst: false}).smoke);
  const begun = input(host, {[JOIN_ACTION]: pending});
  const resumed = planHostActions(begun, {images, isFirst: false});
  t.like(resumed, {join: true, undo: true, smoke: false}, 'its kubelet may run, and ends our pod');
});

test('a member does nothing more; its kubelet looks after images', t => {
  const member = input(aHost('h2'), {[JOIN_ACTION]: done()});
  t.deepEqual(describeHostActions(planHostActions(member, {images, isFirst: false})), []);
});

test('an init or join that was not confirmed is planned again', t => {
  const first = input(controlPlane('h1'), {[INIT_ACTION]: pending});
  t.true(planHostActions(first, {images, isFirst: true}).init);
  const worker = input(aHost('h2'), {[JOIN_ACTION]: pending});
  t.true(planHostActions(worker, {images, isFirst: false}).join);
  t.false(isMember(worker.state));
});

test('labels and taints are planned when they differ from those that were set', t => {
  const labelled = aHost('h2', {labels: {disk: 'ssd'}});
  const joined = {[JOIN_ACTION]: done()};
  const settings = (host: Host, actions: HostState['actions']) =>
    planHostActions(input(host, actions), {images, isFirst: false}).nodeSettings;
  t.true(settings(labelled, joined));
  const set = {[NODE_SETTINGS_ACTION]: {...done(), digest: nodeSettingsDigest(labelled)}};
  t.false(settings(labelled, {...joined, ...set}));
  t.true(settings(aHost('h2'), {...joined, ...set}), 'a label was taken away');
  t.false(settings(aHost('h2'), joined), 'none wanted, none set');
});

test('every action is a line of the plan, in the phase that does it', t => {
  const labelled = {...controlPlane('h1'), labels: {disk: 'ssd'}};
  const planned = planHostActions(input(labelled), {images, isFirst: true});
  t.deepEqual(
    describeHostActions(planned).map(({phase, id}) => `${phase} ${id}`),
    [
      'images image:apiserver',
      'images image:pause',
      'images image:proxy',
      'addon-images image:dns',
      'addon-images image:proof',
      'init kubeadm-init',
      'node-settings node-settings',
    ],
  );
});

const elects = test.macro((t, hosts: ReturnType<typeof input>[], expected: string | undefined) => {
  t.is(electFirst(hosts)?.host.name, expected);
});

test('the first control plane by name is elected', elects, [
  input(controlPlane('h2')),
  input(controlPlane('h1')),
  input(aHost('h0')),
], 'h1'); // prettier-ignore
test('a control plane that a cluster runs on is elected before others', elects, [
  input(controlPlane('h1')),
  input(controlPlane('h2'), {[INIT_ACTION]: done()}),
], 'h2'); // prettier-ignore
test('an init that was not confirmed elects nobody', elects, [
  input(controlPlane('h1')),
  input(controlPlane('h2'), {[INIT_ACTION]: pending}),
], 'h1'); // prettier-ignore
test('without control planes nobody is elected', elects, [input(aHost('h1'))], undefined);

const first = controlPlane('h1');

test('changedKeys() accepts the cluster that init read', t => {
  const cluster = aCluster();
  const host = input(first, {[INIT_ACTION]: done({...initKeys(cluster, first)})});
  t.deepEqual(changedKeys(cluster, host), []);
});

const {network} = aCluster();
const changed = {
  'metadata.name': aCluster({name: 'other'}),
  'spec.controlPlane.endpoint': aCluster({endpoint: {host: 'api.other', port: 6443}}),
  'spec.controlPlane.certSANs': aCluster({certSANs: ['k8s.example.org']}),
  'spec.network.podCIDR': aCluster({network: {...network, podCIDR: '10.245.0.0/16'}}),
  'spec.network.serviceCIDR': aCluster({network: {...network, serviceCIDR: '10.112.0.0/12'}}),
  'spec.network.dnsDomain': aCluster({network: {...network, dnsDomain: 'other.local'}}),
  'spec.network.proxy.mode': aCluster({
    network: {...network, proxy: {...network.proxy, mode: 'iptables'}},
  }),
  'spec.network.proxy.conntrack': aCluster({
    network: {...network, proxy: {...network.proxy, conntrack: {maxPerCore: 1, min: 0}}},
  }),
  'spec.kubelet.config.healthzBindAddress': aCluster({
    kubeletConfig: {healthzBindAddress: '0.0.0.0'},
  }),
  'spec.kubelet.config.healthzPort': aCluster({kubeletConfig: {healthzPort: 10_300}}),
};

const changedHosts: Readonly<Record<string, Host>> = {
  'internalAddress of h1': {...first, internalAddress: '192.0.2.1'},
  'groups of h1': {...first, isWorker: !first.isWorker},
  'runtime of h1': {...first, runtime: 'slipway'},
};
const keysOfHosts = Object.fromEntries(Object.keys(changedHosts).map(key => [key, aCluster()]));

for (const [key, cluster] of Object.entries({...changed, ...keysOfHosts})) {
  test(`changedKeys() refuses another ${key} once the cluster is made, by name`, t => {
    const keys = {...initKeys(aCluster(), first)};
    const host = input(changedHosts[key] ?? first, {[INIT_ACTION]: done(keys)});
    const [error, ...others] = changedKeys(cluster, host);
    t.deepEqual([error?.code, others], ['ERR_INIT_KEY_CHANGED', []]);
    t.true(error?.message.includes(`${key} (was ${keys[key] ?? '?'}, is `));
  });
}

test('every key that only init reads has its refusal tested', t => {
  const tested = [...Object.keys(changed), ...Object.keys(changedHosts)];
  t.deepEqual(tested.sort(), Object.keys(initKeys(aCluster(), first)).sort());
});

test('changedKeys() refuses another name of a host, which its node has for ever', t => {
  const keys = {...initKeys(aCluster(), first)};
  const host = input({...first, name: 'cp1'}, {[INIT_ACTION]: done(keys)});
  const [error] = changedKeys(aCluster(), host);
  t.is(error?.code, 'ERR_INIT_KEY_CHANGED');
  t.regex(error?.message ?? '', /internalAddress of h1 \(was .*, is gone\)/);
});

test('changedKeys() lets a host be reached by another address, also where an older run recorded it', t => {
  const keys = {...initKeys(aCluster(), first), 'address of h1': first.address};
  const host = input({...first, address: '192.0.2.1'}, {[INIT_ACTION]: done(keys)});
  t.deepEqual(changedKeys(aCluster(), host), []);
});

test('changedKeys() lets keys change before the cluster is made', t => {
  const cluster = aCluster({name: 'other'});
  const keys = {...initKeys(aCluster(), first)};
  for (const actions of [{}, {[INIT_ACTION]: {...pending, keys}}]) {
    t.deepEqual(changedKeys(cluster, input(controlPlane('h1'), actions)), []);
  }
});

test('changedKeys() refuses another runtime of a host that has joined, by name', t => {
  const host = aHost('h2', {runtime: 'slipway'});
  const joined = {[JOIN_ACTION]: done({...joinKeys(host)})};
  t.deepEqual(changedKeys(aCluster(), input(host, joined)), []);
  const [error] = changedKeys(aCluster(), input({...host, runtime: 'containerd'}, joined));
  t.is(error?.code, 'ERR_JOIN_KEY_CHANGED');
  t.regex(error?.message ?? '', /^h2: .*runtime of h2 \(was slipway, is containerd\)/);
});
