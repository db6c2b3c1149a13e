import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {createLog} from '#shared/log';
import {
  openPodNetwork,
  type PodNetwork,
  type PodNetworkIdentity,
} from '#runtime/network/pod-network';
import {callPlugin} from '#runtime/network/plugin';
import {waitFor} from '#shared/wait-for';
import {eventually} from '#test/eventually';
import {FAKE_RESULT, type FakeNetwork, fakeNetwork, type PluginCallSeen} from '#test/fake-plugins';
import test, {type ExecutionContext} from 'ava';

const {signal} = new AbortController();
const TIMEOUT_MS = 20_000;

const conf = (...types: readonly string[]): object => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: types.map(type => ({type})),
});

/** Any namespace will do: fake plugins do not enter it. */
const NAMESPACE = '/proc/self/ns/net';

const pod = (fields: Partial<PodNetworkIdentity> = {}): PodNetworkIdentity => ({
  sandboxId: 'a1',
  namespace: 'default',
  name: 'web',
  uid: 'u-1',
  networkNamespace: NAMESPACE,
  portMappings: [],
  ...fields,
});

interface Opened {
  readonly network: PodNetwork;
  readonly logged: readonly string[];
}

function open(t: ExecutionContext, fake: FakeNetwork, {startingMs = 0} = {}): Opened {
  const logged: string[] = [];
  const log = createLog({level: 'debug', write: line => void logged.push(line)});
  const network = openPodNetwork({...fake, log, startingMs});
  t.teardown(() => {
    network.close();
  });
  return {network, logged};
}

const summary = (calls: readonly PluginCallSeen[]): readonly string[] =>
  calls.map(({plugin, command}) => `${plugin} ${command}`);

/** Polls as the kubelet does, but faster. */
async function until(network: PodNetwork, ready: boolean, message = /(?:)/): Promise<void> {
  const probe = () => {
    const state = network.readiness();
    const isIt = state.ready === ready && (state.ready || message.test(state.message));
    return Promise.resolve(isIt ? true : undefined);
  };
  await waitFor(probe, {signal, timeoutMs: TIMEOUT_MS, intervalMs: 20});
}

test('add() calls the chain in order, each plugin with the result before it', async t => {
  await using fake = await fakeNetwork('one', 'two');
  await fake.configure('10-pods.conflist', conf('one', 'two'));
  const {network} = open(t, fake);
  t.deepEqual(await network.add(pod(), signal), {addresses: ['10.1.0.9', 'fd00::9']});
  const [one, two, ...others] = await fake.calls();
  t.deepEqual(others, []);
  t.like(one, {
    plugin: 'one',
    command: 'ADD',
    containerId: 'a1',
    networkNamespace: NAMESPACE,
    interfaceName: 'eth0',
    arguments:
      'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;' +
      'K8S_POD_INFRA_CONTAINER_ID=a1;K8S_POD_UID=u-1',
  });
  t.deepEqual(one?.input, {type: 'one', name: 'pods', cniVersion: '1.0.0'});
  t.deepEqual(two?.input, {
    type: 'two',
    name: 'pods',
    cniVersion: '1.0.0',
    prevResult: FAKE_RESULT,
  });
});

test('remove() calls the chain in reverse with the result of add()', async t => {
  await using fake = await fakeNetwork('one', 'two');
  await fake.configure('10-pods.conflist', conf('one', 'two'));
  const {network} = open(t, fake);
  await network.add(pod(), signal);
  await network.remove(pod(), signal);
  const removing = (await fake.calls()).slice(2);
  t.deepEqual(summary(removing), ['two DEL', 'one DEL']);
  for (const {input} of removing) t.deepEqual(input['prevResult'], FAKE_RESULT);
  t.deepEqual(await readdir(fake.cacheDirectory), []);
});

test('remove() uses the configuration of add(), whatever it is by then', async t => {
  await using fake = await fakeNetwork('old', 'new');
  await fake.configure('10-pods.conflist', conf('old'));
  const {network} = open(t, fake);
  await network.add(pod(), signal);
  await fake.configure('10-pods.conflist', conf('new'));
  await until(network, true);
  network.close();
  const later = open(t, fake).network;
  await later.add(pod({sandboxId: 'b2'}), signal);
  await later.remove(pod(), signal);
  t.deepEqual(summary(await fake.calls()), ['old ADD', 'new ADD', 'old DEL']);
});

test('remove() of a pod that was never added, or twice, succeeds', async t => {
  await using fake = await fakeNetwork('one');
  const {network} = open(t, fake);
  await network.remove(pod(), signal);
  await fake.configure('10-pods.conflist', conf('one'));
  await until(network, true);
  await network.add(pod(), signal);
  await network.remove(pod(), signal);
  await network.remove(pod(), signal);
  t.pass();
});

test('remove() gives plugins no namespace when it is gone', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  const {network} = open(t, fake);
  const networkNamespace = join(fake.cacheDirectory, 'net');
  await network.add(pod({networkNamespace}), signal);
  await network.remove(pod({networkNamespace}), signal);
  t.deepEqual((await fake.calls()).map(call => call.networkNamespace), [networkNamespace, '']); // prettier-ignore
});

test('remove() goes on after a failure, keeps its record and succeeds later', async t => {
  await using fake = await fakeNetwork('one', 'two');
  await fake.configure('10-pods.conflist', conf('one', 'two'));
  const {network} = open(t, fake);
  await network.add(pod(), signal);
  await fake.script('two', 'DEL', 'echo broken >&2; exit 1');
  await t.throwsAsync(network.remove(pod(), signal), {code: 'ERR_NETWORK_PLUGIN_FAILED'});
  t.deepEqual(summary(await fake.calls()).slice(2), ['two DEL', 'one DEL']);
  t.deepEqual(await readdir(fake.cacheDirectory), ['a1.json']);
  await fake.script('two', 'DEL', 'true');
  await network.remove(pod(), signal);
  t.deepEqual(await readdir(fake.cacheDirectory), []);
});

test('what a failed add() has made is undone, and the plugin’s reason is told', async t => {
  await using fake = await fakeNetwork('one', 'two');
  await fake.configure('10-pods.conflist', conf('one', 'two'));
  await fake.script(
    'two',
    'ADD',
    `echo '{"code":11,"msg":"no more ports","details":"on x"}'; exit 1`,
  );
  const {network} = open(t, fake);
  const error = await t.throwsAsync(network.add(pod(), signal), {
    code: 'ERR_NETWORK_PLUGIN_FAILED',
  });
  t.regex(error.message, /two ADD.*error 11: no more ports \(on x\)/);
  t.deepEqual(summary(await fake.calls()), ['one ADD', 'two ADD', 'two DEL', 'one DEL']);
  t.deepEqual(await readdir(fake.cacheDirectory), []);
});

test('until a configuration has carried a pod, a failure says that the network is not ready', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  const {network} = open(t, fake, {startingMs: 60_000});
  const fail = () => fake.script('one', 'ADD', `echo '{"code":999,"msg":"no subnet.env"}'; exit 1`);
  // A kubelet (1.36) looks for these words: it tries again after 1 s, not 10.
  const late = {
    code: 'ERR_NETWORK_NOT_READY',
    message: /network is not ready: network plugin one ADD: error 999: no subnet[.]env/,
  };
  await fail();
  await t.throwsAsync(network.add(pod(), signal), late);
  await t.throwsAsync(network.add(pod(), signal), late);
  t.deepEqual(await readdir(fake.cacheDirectory), []);
  const identity = pod({name: 'a;K8S_POD_UID=b'});
  await t.throwsAsync(network.add(identity, signal), {code: 'ERR_REQUEST_INVALID'});
  await fake.script('one', 'ADD', 'true');
  await network.add(pod({sandboxId: 'b2'}), signal);
  await fail();
  await t.throwsAsync(network.add(pod(), signal), {code: 'ERR_NETWORK_PLUGIN_FAILED'});
  await fake.configure('05-new.conflist', {...conf('one'), name: 'new'});
  await eventually(async () => {
    const error = await t.throwsAsync(network.add(pod(), signal));
    return 'code' in error && error.code === late.code;
  });
});

test('answers that are no result are failures, and undone', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  const {network} = open(t, fake);
  const endless = 'head -c 3000000 /dev/zero | tr "\\0" " "';
  for (const shell of ['echo no json; exit 0', 'exit 0', 'echo []; exit 0', `${endless}; exit 0`]) {
    await fake.script('one', 'ADD', shell);
    await t.throwsAsync(network.add(pod(), signal), {code: 'ERR_NETWORK_PLUGIN_FAILED'}, shell);
  }
  await fake.script('one', 'ADD', `echo '{"ips":[]}'; exit 0`);
  await t.throwsAsync(network.add(pod(), signal), {code: 'ERR_NETWORK_PLUGIN_FAILED'});
  t.is(summary(await fake.calls()).filter(call => call === 'one DEL').length, 5);
  await fake.script('one', 'ADD', 'true');
  t.is((await network.add(pod(), signal)).addresses.length, 2);
});

test('a hanging plugin is killed with its children, and said', async t => {
  await using fake = await fakeNetwork('one');
  await fake.script('one', 'ADD', 'sleep 1000 & wait');
  const call = {...fake, command: 'ADD', type: 'one', variables: {}, input: {}, signal} as const;
  const error = await t.throwsAsync(callPlugin({...call, timeoutMs: 300}), {
    code: 'ERR_NETWORK_PLUGIN_FAILED',
  });
  t.regex(error.message, /killed after 0.3 s/);
});

test('an aborted add() is undone too', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  await fake.script('one', 'ADD', 'sleep 1000 & wait');
  const {network} = open(t, fake);
  const stop = new AbortController();
  const added = network.add(pod(), stop.signal);
  const called = async () => ((await fake.calls()).length > 0 ? true : undefined);
  await waitFor(called, {signal, timeoutMs: TIMEOUT_MS, intervalMs: 10});
  stop.abort(new RangeError('enough'));
  await t.throwsAsync(added, {instanceOf: RangeError});
  t.deepEqual(summary(await fake.calls()), ['one ADD', 'one DEL']);
});

test('plugins get the capabilities that they declare, and no others', async t => {
  await using fake = await fakeNetwork('one', 'two');
  const all = {portMappings: true, bandwidth: true, 'io.kubernetes.cri.pod-annotations': true};
  await fake.configure('10-pods.conflist', {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {type: 'one', capabilities: {portMappings: false}},
      {type: 'two', capabilities: all},
    ],
  });
  const {network, logged} = open(t, fake);
  const annotations = {'kubernetes.io/egress-bandwidth': '1M'};
  const mapping = {protocol: 'tcp', containerPort: 80} as const;
  const portMappings = [
    {...mapping, hostPort: 8080, hostIp: ''},
    {...mapping, hostPort: 8081, hostIp: '127.0.0.1'},
    {...mapping, hostPort: 0, hostIp: ''},
  ];
  await network.add(pod({annotations, portMappings, cgroupParent: '/kubepods'}), signal);
  const [one, two] = await fake.calls();
  t.false('runtimeConfig' in (one?.input ?? {}));
  t.deepEqual(two?.input['runtimeConfig'], {
    portMappings: [
      {protocol: 'tcp', containerPort: 80, hostPort: 8080},
      {protocol: 'tcp', containerPort: 80, hostPort: 8081, hostIP: '127.0.0.1'},
    ],
    bandwidth: {egressRate: 1_000_000, egressBurst: 2 ** 31 - 1},
    'io.kubernetes.cri.pod-annotations': annotations,
  });
  t.deepEqual(logged.filter(line => line.includes('no plugin of their network')), []); // prettier-ignore
});

test('host ports without a plugin for them are told once', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  const {network, logged} = open(t, fake);
  const portMappings = [{protocol: 'tcp', containerPort: 80, hostPort: 80, hostIp: ''}] as const;
  await network.add(pod({portMappings}), signal);
  await network.add(pod({sandboxId: 'b2', portMappings}), signal);
  t.is(logged.filter(line => line.includes('no plugin of their network')).length, 1);
});

test('a pod whose name would be two arguments is refused, and no plugin called', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  const {network} = open(t, fake);
  for (const identity of [
    pod({name: 'a;K8S_POD_UID=b'}),
    pod({annotations: {'kubernetes.io/ingress-bandwidth': 'fast'}}),
  ]) {
    await t.throwsAsync(network.add(identity, signal), {code: 'ERR_REQUEST_INVALID'});
  }
  t.deepEqual(await fake.calls(), []);
});

test('without a configuration the network is not ready, and add() refused', async t => {
  await using fake = await fakeNetwork('one');
  const {network} = open(t, fake);
  await until(network, false, /no valid network configuration/);
  await t.throwsAsync(network.add(pod(), signal), {code: 'ERR_NETWORK_NOT_READY'});
});

test('a configuration that comes, changes and goes is seen', async t => {
  await using fake = await fakeNetwork('one');
  const {network} = open(t, {...fake, confDirectory: join(fake.confDirectory, 'later')});
  await until(network, false, /no valid/);
  await fake.configure('later/10.conflist', conf('one'));
  await until(network, true);
  await fake.configure('later/10.conflist', '{"half');
  await until(network, false, /no valid/);
  await fake.configure('later/10.conflist', conf('one', 'late'));
  await until(network, false, /no network plugin "late"/);
  fake.install('late');
  await until(network, true);
  t.pass();
});

test('the first valid configuration by name is taken; others are passed over with a word', async t => {
  await using fake = await fakeNetwork('one', 'two');
  await fake.configure('00-readme.txt', 'not a configuration');
  await fake.configure('05-broken.conflist', '{');
  await fake.configure('06-huge.conf', `"${'x'.repeat(1024 * 1024)}"`);
  await mkdir(join(fake.confDirectory, '07-folder.json'));
  await fake.configure('10-first.conflist', conf('one'));
  await fake.configure('20-second.conflist', conf('two'));
  const {network, logged} = open(t, fake);
  await network.add(pod(), signal);
  t.deepEqual(summary(await fake.calls()), ['one ADD']);
  for (const name of ['05-broken', '06-huge', '07-folder']) {
    t.true(
      logged.some(line => line.includes(name) && line.includes('passed over')),
      name,
    );
  }
});

test('from CNI 1.1 on a plugin’s STATUS decides on readiness', async t => {
  await using fake = await fakeNetwork('one');
  await fake.script('one', 'STATUS', `echo '{"code":50,"msg":"daemon is not up"}'; exit 1`);
  await fake.configure('10-pods.conflist', {...conf('one'), cniVersion: '1.1.0'});
  const {network} = open(t, fake);
  await until(network, false, /daemon is not up/);
  await fake.script('one', 'STATUS', 'true');
  await until(network, true);
  t.is((await fake.calls()).filter(({command}) => command !== 'STATUS').length, 0);
});

test('collectGarbage() ends what no sandbox has, and nothing of this process', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', {...conf('one'), cniVersion: '1.1.0'});
  const before = open(t, fake).network;
  for (const sandboxId of ['kept', 'lost']) await before.add(pod({sandboxId}), signal);
  before.close();
  await writeFile(join(fake.cacheDirectory, 'damaged.json'), '{"format":');
  const {network} = open(t, fake);
  await network.add(pod({sandboxId: 'fresh'}), signal);
  const earlier = (await fake.calls()).length;
  await network.collectGarbage(new Set(['kept']));
  const calls = (await fake.calls()).slice(earlier).filter(({command}) => command !== 'STATUS');
  t.deepEqual(calls.filter(({command}) => command === 'DEL').map(call => call.containerId).sort(), ['damaged', 'lost']); // prettier-ignore
  const valid = ['kept', 'fresh'].map(containerID => ({containerID, ifname: 'eth0'}));
  t.deepEqual(calls.at(-1)?.input['cni.dev/valid-attachments'], valid);
  t.deepEqual((await readdir(fake.cacheDirectory)).sort(), ['fresh.json', 'kept.json']);
});

test('collectGarbage() tells a failure and tries it again next time', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  await open(t, fake).network.add(pod(), signal);
  await fake.script('one', 'DEL', 'exit 1');
  const {network, logged} = open(t, fake);
  await network.collectGarbage(new Set());
  t.true(logged.some(line => line.includes('not removed')));
  await fake.script('one', 'DEL', 'true');
  await network.collectGarbage(new Set());
  t.deepEqual(await readdir(fake.cacheDirectory), []);
});

test('a plugin gets the daemon’s environment without what concerns its unit', async t => {
  await using fake = await fakeNetwork('one');
  process.env['NOTIFY_SOCKET'] = '/run/systemd/notify';
  t.teardown(() => delete process.env['NOTIFY_SOCKET']);
  await fake.configure('10-pods.conflist', conf('one'));
  await open(t, fake).network.add(pod(), signal);
  t.is((await fake.calls())[0]?.notifySocket, '');
});

test('the record of an attachment is for root only', async t => {
  await using fake = await fakeNetwork('one');
  await fake.configure('10-pods.conflist', conf('one'));
  await open(t, fake).network.add(pod(), signal);
  const text = await readFile(join(fake.cacheDirectory, 'a1.json'), 'utf8');
  t.like(JSON.parse(text), {format: 1, attachment: {sandboxId: 'a1', result: FAKE_RESULT}});
});
