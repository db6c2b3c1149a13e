import {once} from 'node:events';
import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {createLog} from '#shared/log';
import {openPodNetwork, type PodNetworkIdentity} from '#runtime/network/pod-network';
import {pinNamespaces, unpinNamespaces, withNetworkNamespace} from '#runtime/sys/namespace';
import {connectTcpInNamespace} from '#runtime/sys/socket';
import {writeProgram, writePrograms} from '#test/program-file';
import {runtimePrograms} from '#test/runtime-programs';
import {
  bridgeNetwork,
  leftPairs,
  nftFolder,
  ownNetwork,
  type OwnNetwork,
} from '#test/runtime/own-network';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

// The module by itself with the real plugins; the plugins run inside a network of their own.

const {signal} = new AbortController();
const BRIDGE = 'sct10';
const HOST_PORT = 18_080;
const folder = temporaryFolder();
let own: OwnNetwork;
let at: (...names: readonly string[]) => string;

test.before('plugins and a network for them are made', async () => {
  const {path} = await folder;
  at = (...names) => join(path, ...names);
  own = await ownNetwork(`${BRIDGE}-${process.pid}`);
  const {cniBinDirectory} = await runtimePrograms(path, signal);
  const nft = await nftFolder(at('nft'));
  await mkdir(at('bin'));
  const scripts = (await readdir(cniBinDirectory)).map(plugin => {
    const program = `${own.enter.join(' ')} ${join(cniBinDirectory, plugin)}`;
    return [plugin, `#!/bin/sh\nexport PATH=${nft}:$PATH\nexec ${program}\n`] as const;
  });
  writePrograms(at('bin'), Object.fromEntries(scripts));
});

test.after.always(async () => {
  await own[Symbol.asyncDispose]();
  await (await folder)[Symbol.asyncDispose]();
});

test.beforeEach(async () => {
  await rm(at('conf'), {recursive: true, force: true});
  await mkdir(at('conf'));
  await configure(bridgeNetwork(at(), {bridge: BRIDGE, subnet: '10.213.10.0/24'}));
});

test.afterEach.always('nothing is left', async t => {
  t.is(await leftPairs(own), '');
  const leases = await readdir(at('ipam', BRIDGE)).catch(() => []);
  t.deepEqual(leases.filter(name => name.startsWith('10.')), []); // prettier-ignore
  t.deepEqual(await readdir(at('cache')), []);
});

test('a pod gets an address and a host port, and gives both back', async t => {
  using pod = newPod('pod-1');
  using network = open();
  const portMappings = [
    {protocol: 'tcp', containerPort: 80, hostPort: HOST_PORT, hostIp: ''},
  ] as const;
  const identity = {...pod.identity, portMappings};
  const {addresses} = await network.add(identity, signal);
  t.is(addresses.length, 1);
  t.regex(addresses[0] ?? '', /^10\.213\.10\.\d+$/);

  const server = createServer(socket => socket.end('hello'));
  withNetworkNamespace(identity.networkNamespace, () => server.listen(80));
  await once(server, 'listening');
  const socket = await connectTcpInNamespace(own.path, HOST_PORT, signal);
  t.is(Buffer.concat(await socket.toArray()).toString(), 'hello');
  socket.destroy();
  server.close();

  await network.remove(identity, signal);
  await t.throwsAsync(connectTcpInNamespace(own.path, HOST_PORT, signal), {code: 'ECONNREFUSED'});
});

test('many pods at once get addresses of their own', async t => {
  using network = open();
  const pods = Array.from({length: 10}, (_, index) => newPod(`many-${index}`));
  const added = await Promise.all(pods.map(({identity}) => network.add(identity, signal)));
  t.is(new Set(added.flatMap(({addresses}) => addresses)).size, 10);
  await Promise.all(pods.map(({identity}) => network.remove(identity, signal)));
  for (const pod of pods) pod[Symbol.dispose]();
});

test('a chain that fails at its end leaves nothing of its beginning', async t => {
  writeProgram(at('bin/last'), '#!/bin/sh\ncat > /dev/null\n[ "$CNI_COMMAND" = DEL ]\n');
  const network = bridgeNetwork(at(), {bridge: BRIDGE, subnet: '10.213.10.0/24'});
  await configure({...network, plugins: [...network.plugins, {type: 'last'}]});
  using pod = newPod('pod-2');
  using opened = open();
  await t.throwsAsync(opened.add(pod.identity, signal), {code: 'ERR_NETWORK_PLUGIN_FAILED'});
});

test('a pod whose namespace is gone gives its address back', async t => {
  using network = open();
  const pod = newPod('pod-3');
  await network.add(pod.identity, signal);
  pod[Symbol.dispose]();
  await t.notThrowsAsync(network.remove(pod.identity, signal));
});

test('a pod is removed by the configuration that it was added with', async t => {
  using pod = newPod('pod-4');
  {
    using network = open();
    await network.add(pod.identity, signal);
  }
  await configure({cniVersion: '1.0.0', name: 'other', plugins: [{type: 'no-such-plugin'}]});
  using network = open();
  await t.notThrowsAsync(network.remove(pod.identity, signal));
});

test('what a reboot has left is given back', async t => {
  const pod = newPod('pod-5');
  {
    using network = open();
    await network.add(pod.identity, signal);
  }
  pod[Symbol.dispose]();
  using network = open();
  await t.notThrowsAsync(network.collectGarbage(new Set()));
});

async function configure(network: object): Promise<void> {
  await writeFile(at('conf/10-pods.conflist'), JSON.stringify(network));
}

function open() {
  const network = openPodNetwork({
    confDirectory: at('conf'),
    binDirectories: [at('bin')],
    cacheDirectory: at('cache'),
    log: createLog({level: 'error', write: line => process.stderr.write(line)}),
    startingMs: 0,
  });
  return Object.assign(network, {
    [Symbol.dispose]: () => {
      network.close();
    },
  });
}

function newPod(sandboxId: string): {readonly identity: PodNetworkIdentity} & Disposable {
  const directory = at('namespaces', sandboxId);
  pinNamespaces({directory, kinds: ['net']});
  return {
    identity: {
      sandboxId,
      namespace: 'default',
      name: sandboxId,
      uid: `uid-${sandboxId}`,
      networkNamespace: join(directory, 'net'),
      portMappings: [],
    },
    [Symbol.dispose]: () => {
      unpinNamespaces(directory);
    },
  };
}
