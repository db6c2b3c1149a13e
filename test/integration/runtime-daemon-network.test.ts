import {readFile, readlink, rename, rm, symlink} from 'node:fs/promises';
import {join} from 'node:path';
import {NamespaceMode, PodSandboxState, Protocol} from '#runtime/cri/gen/cri-v1_pb';
import {run} from '#shared/local-process';
import {connectTcpInNamespace} from '#runtime/sys/socket';
import {writeProgram} from '#test/program-file';
import {aPod, execute, exited, podConfig, shell, statusOf} from '#test/runtime/a-pod';
import {daemonSuite, eventually} from '#test/runtime/daemon-suite';
import {
  bridgeNetwork,
  leftPairs,
  nftFolder,
  ownNetwork,
  type OwnNetwork,
} from '#test/runtime/own-network';
import test from 'ava';

// Pods on a bridge of their own: CNI, shared namespaces, host ports, what a reboot gives back.

const {signal} = new AbortController();
const network = NamespaceMode.POD;
let own: OwnNetwork;
let plugin: string;

const {daemon} = daemonSuite(test, {
  prepare: async folder => {
    plugin = join(folder, 'cni-bin/bridge');
    own = await ownNetwork(`sct7-${process.pid}`);
    const nft = await nftFolder(`${folder}/nft`);
    return {
      networks: {
        '10-pods.conflist': bridgeNetwork(folder, {bridge: 'sct7', subnet: '10.247.7.0/24'}),
      },
      enter: own.enter,
      environment: {PATH: `${nft}:${process.env['PATH'] ?? ''}`},
    };
  },
  cleanUp: async () => {
    await own[Symbol.asyncDispose]();
  },
});

test.afterEach.always('no address is left', async t => {
  t.is(await leftPairs(own), '');
});

test('a pod has an address, a name, its DNS, and loopback', async t => {
  const pod = await aPod(daemon(), {
    network,
    hostname: 'web-0',
    dnsConfig: {servers: ['10.0.0.10'], searches: ['a.test', 'b.test'], options: ['ndots:5']},
  });
  const {status} = await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id});
  t.regex(status?.network?.ip ?? '', /^10\.247\.7\.\d+$/);
  const containerId = await pod.run();
  t.regex(
    await execute(daemon(), containerId, 'ip -o -4 addr show eth0'),
    new RegExp(status?.network?.ip ?? '-'),
  );
  t.regex(await execute(daemon(), containerId, 'ip -o -4 addr show lo'), /127\.0\.0\.1/);
  t.is(
    await execute(daemon(), containerId, 'hostname; cat /etc/hostname; echo $HOSTNAME'),
    'web-0\nweb-0\nweb-0',
  );
  t.is(
    await execute(daemon(), containerId, 'cat /etc/resolv.conf'),
    'search a.test b.test\nnameserver 10.0.0.10\noptions ndots:5',
  );
  t.is(
    await execute(daemon(), containerId, 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start'),
    '0',
  );
});

test('containers of a pod share network, IPC, host name and shared memory, and no processes', async t => {
  const pod = await aPod(daemon(), {network});
  const [one, two] = [
    await pod.run(shell('nc -l -p 80 -e echo hello; sleep 1000')),
    await pod.run(),
  ];
  const namespaces = (id: string) =>
    execute(daemon(), id, 'for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done');
  const [first, second] = [
    (await namespaces(one)).split('\n'),
    (await namespaces(two)).split('\n'),
  ];
  t.deepEqual(first.slice(0, 3), second.slice(0, 3));
  t.not(first[3], second[3]);
  t.not(first[4], second[4]);
  await execute(daemon(), one, 'echo shared > /dev/shm/file');
  t.is(await execute(daemon(), two, 'cat /dev/shm/file'), 'shared');
  await eventually(
    async () => (await execute(daemon(), two, 'nc -w 1 127.0.0.1 80 || true')) === 'hello',
  );
});

test('pods reach each other, and have different addresses', async t => {
  const pods = await Promise.all([1, 2, 3, 4].map(() => aPod(daemon(), {network})));
  const addresses = await Promise.all(
    pods.map(async ({id}) => {
      const {status} = await daemon().cri().runtime.podSandboxStatus({podSandboxId: id});
      return status?.network?.ip ?? '';
    }),
  );
  t.is(new Set(addresses).size, 4);
  const containerId = await pods[0]?.run();
  await t.notThrowsAsync(
    execute(daemon(), containerId ?? '', `ping -c 1 -W 2 ${addresses[1] ?? ''}`),
  );
});

test('a pod with a shared PID namespace: its containers see each other, orphans are reaped', async t => {
  const pod = await aPod(daemon(), {network, pid: NamespaceMode.POD});
  const context = {namespaceOptions: {pid: NamespaceMode.POD}};
  const one = await pod.run(shell('sleep 1234', {context}));
  const two = await pod.run({context});
  t.regex(await execute(daemon(), two, 'ps'), /sleep 1234/);
  t.regex(await execute(daemon(), two, 'ps | head -2'), /1 65535 .*init -P/);
  await execute(daemon(), one, '(sleep 0.1 &)');
  await eventually(async () => !/ Z /.test(await execute(daemon(), two, 'ps')));
  await daemon().cri().runtime.stopContainer({containerId: one, timeout: 0n});
  t.is((await statusOf(daemon(), one)).exitCode, 137);
  t.notRegex(await execute(daemon(), two, 'ps'), /sleep 1234/);
});

test('what a container leaves running in a shared PID namespace ends with it', async t => {
  const pod = await aPod(daemon(), {network, pid: NamespaceMode.POD});
  const context = {namespaceOptions: {pid: NamespaceMode.POD}};
  const witness = await pod.run({context});
  const containerId = await pod.run(shell('(sleep 4321 &) ; sleep 0.2; exit 0', {context}));
  await exited(daemon(), containerId);
  await eventually(async () => !/sleep 4321/.test(await execute(daemon(), witness, 'ps')));
  t.pass();
});

test("host PID, host IPC and host network are the daemon's own", async t => {
  const pod = await aPod(daemon(), {
    network: NamespaceMode.NODE,
    pid: NamespaceMode.NODE,
    ipc: NamespaceMode.NODE,
  });
  const containerId = await pod.run({context: {namespaceOptions: {pid: NamespaceMode.NODE}}});
  t.regex(await execute(daemon(), containerId, 'ps'), new RegExp(`^ *${daemon().pid()} `, 'm'));
  await daemon().cri().runtime.stopContainer({containerId, timeout: 0n});
  t.is((await statusOf(daemon(), containerId)).exitCode, 137);
});

test('a container may join the processes of another one (kubectl debug --target)', async t => {
  const pod = await aPod(daemon(), {network});
  const target = await pod.run(shell('sleep 1111'));
  const debug = await pod.run({
    context: {namespaceOptions: {pid: NamespaceMode.TARGET, targetId: target}},
  });
  t.regex(await execute(daemon(), debug, 'ps'), /sleep 1111/);
  const stranger = await aPod(daemon(), {network});
  await t.throwsAsync(
    stranger.create({context: {namespaceOptions: {pid: NamespaceMode.TARGET, targetId: target}}}),
    {code: 'INVALID_ARGUMENT'},
  );
});

test("sysctls of the pod's own namespaces are set, those of the host are refused", async t => {
  const sysctls = {'net.core.somaxconn': '77', 'kernel.shm_rmid_forced': '1'};
  const pod = await aPod(daemon(), {network, sysctls});
  const containerId = await pod.run();
  t.is(
    await execute(
      daemon(),
      containerId,
      'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced',
    ),
    '77\n1',
  );
  await t.throwsAsync(aPod(daemon(), {sysctls: {'net.core.somaxconn': '77'}}), {
    code: 'INVALID_ARGUMENT',
  });
});

test('a host port leads to the pod, and is gone with it', async t => {
  const portMappings = [{protocol: Protocol.TCP, containerPort: 8080, hostPort: 18080}];
  const pod = await aPod(daemon(), {network, portMappings});
  await pod.run(shell('while true; do echo hello | nc -l -p 8080; done'));
  // The shell has yet to listen, and does not between two answers.
  const answer = () => readPort(18080).catch(() => undefined);
  await eventually(async () => (await answer()) === 'hello\n');
  await pod.remove();
  await t.throwsAsync(readPort(18080));
});

test('a network that is not there yet is said, and waited for', async t => {
  const {runtime} = daemon().cri();
  const conditions = async () => {
    const {status} = await runtime.status({});
    return status?.conditions.map(({type, status: holds, reason}) => [type, holds, reason]);
  };
  const file = join(daemon().folder, 'net.d/10-pods.conflist');
  t.deepEqual(await conditions(), [
    ['RuntimeReady', true, ''],
    ['NetworkReady', true, ''],
  ]);
  await rename(file, `${file}.away`);
  await eventually(async () => (await conditions())?.[1]?.[1] === false);
  t.is((await conditions())?.[1]?.[2], 'NetworkPluginNotReady');
  await t.notThrowsAsync(aPod(daemon()), 'the host network needs no plugin');
  const pod = aPod(daemon(), {network});
  await rename(`${file}.away`, file);
  t.truthy((await pod).id);
});

test('a plugin that fails leaves no sandbox, and the retry works', async t => {
  const {runtime} = daemon().cri();
  const config = podConfig(daemon(), {network});
  await withPlugin(
    '#!/bin/sh\necho \'{"code": 7, "msg": "no more addresses"}\'; exit 1\n',
    async () => {
      const error = await t.throwsAsync(runtime.runPodSandbox({config}));
      t.regex(error.message, /no more addresses/);
      t.deepEqual((await runtime.listPodSandbox({})).items, []);
    },
  );
  await t.notThrowsAsync(runtime.runPodSandbox({config}));
});

test('a plugin that hangs keeps its caller no longer than the caller wants', async t => {
  const {runtime} = daemon().cri();
  const config = podConfig(daemon(), {network});
  const pidFile = join(daemon().folder, 'plugin.pid');
  const script = `#!/bin/sh\necho $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 1000\n`;
  await withPlugin(script, async () => {
    await t.throwsAsync(runtime.runPodSandbox({config}, {timeoutMs: 300}), {
      code: 'DEADLINE_EXCEEDED',
    });
    const retry = t.throwsAsync(runtime.runPodSandbox({config}));
    await eventually(async () => (await readFile(pidFile, 'utf8').catch(() => '')) !== '');
    writeProgram(plugin, '#!/bin/sh\nexit 0\n'); // its DEL
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
    await retry;
  });
  t.truthy((await runtime.runPodSandbox({config})).podSandboxId);
});

test('after kill -9 pods keep their addresses, after a reboot they are given back', async t => {
  const pod = await aPod(daemon(), {network, pid: NamespaceMode.POD});
  const containerId = await pod.run();
  const before = await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id});
  await daemon().stop('SIGKILL');
  await daemon().start();
  const after = await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id});
  t.is(after.status?.network?.ip, before.status?.network?.ip);
  t.is(after.status?.state, PodSandboxState.SANDBOX_READY);
  t.regex(await execute(daemon(), containerId, 'ip -o -4 addr show eth0'), /10\.247\.7\./);

  await daemon().reboot();
  await daemon().start();
  const {status} = await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id});
  t.is(status?.state, PodSandboxState.SANDBOX_NOTREADY);
  await eventually(async () => {
    const {info} = await daemon()
      .cri()
      .runtime.podSandboxStatus({podSandboxId: pod.id, verbose: true});
    return info['info']?.includes('"networkReleased":true') ?? false;
  });
});

test('the end of the init of a shared PID namespace makes the sandbox unready', async t => {
  const pod = await aPod(daemon(), {network, pid: NamespaceMode.POD});
  const {info} = await daemon()
    .cri()
    .runtime.podSandboxStatus({podSandboxId: pod.id, verbose: true});
  const {pid} = JSON.parse(info['info'] ?? '{}') as {readonly pid: number};
  process.kill(pid, 'SIGKILL');
  await eventually(async () => {
    const {status} = await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id});
    return status?.state === PodSandboxState.SANDBOX_NOTREADY;
  });
  t.pass();
});

test("statistics show the pod's network", async t => {
  const pod = await aPod(daemon(), {network});
  const containerId = await pod.run(shell('while true; do sleep 0.01; done'));
  const {runtime} = daemon().cri();
  const {stats} = await runtime.podSandboxStats({podSandboxId: pod.id});
  t.is(stats?.linux?.network?.defaultInterface?.name, 'eth0');
  t.deepEqual(
    stats?.linux?.containers.map(({attributes}) => attributes?.id),
    [containerId],
  );
  const all = await runtime.listPodSandboxStats({filter: {id: pod.id}});
  t.is(all.stats.length, 1);
  const own = await runtime.containerStats({containerId});
  t.true((own.stats?.memory?.usageBytes?.value ?? 0n) > 0n);

  // As an interrupted StopPodSandbox leaves it; a kubelet dies of a network without its interface.
  const namespace = join(daemon().state, 'sandboxes', pod.id, 'ns/net');
  const remove = ['nsenter', `--net=${namespace}`, 'ip', 'link', 'delete', 'eth0'];
  const {exitCode} = await run(remove, {signal});
  t.is(exitCode, 0);
  const bare = await runtime.podSandboxStats({podSandboxId: pod.id});
  t.truthy(bare.stats?.linux?.cpu);
  t.is(bare.stats?.linux?.network, undefined);
});

/** What a port of the daemon's own network says. */
async function readPort(port: number): Promise<string> {
  const socket = await connectTcpInNamespace(own.path, port, signal);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** Has a script stand in for the bridge plugin meanwhile. */
async function withPlugin(script: string, check: () => Promise<void>): Promise<void> {
  const real = await readlink(plugin);
  writeProgram(plugin, script);
  try {
    await check();
  } finally {
    await rm(plugin);
    await symlink(real, plugin);
  }
}
