import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {createServer, type AddressInfo} from 'node:net';
import {join} from 'node:path';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {ContainerState, MountPropagation, NamespaceMode} from '#runtime/cri/gen/cri-v1_pb';
import {
  aPod,
  containerConfig,
  execute,
  exited,
  logOf,
  podConfig,
  shell,
  statusOf,
} from '#test/runtime/a-pod';
import {daemonSuite, eventually} from '#test/runtime/daemon-suite';
import {connectSpdy, mustConnectSpdy, type ClientStream, type SpdyClient} from '#test/spdy-client';
import test, {type ExecutionContext} from 'ava';

// What a container gets of its request: user, mounts, limits, streams; each through the daemon.
const {daemon} = daemonSuite(test);

const MIB = 1024n * 1024n;

test('the user is found by name, by uid and by the image, and shown in the status', async t => {
  const pod = await aPod(daemon());
  const who = async (context: object) => {
    const containerId = await pod.run({context});
    const {user} = await statusOf(daemon(), containerId);
    const {uid, gid, supplementalGroups} = user?.linux ?? {};
    return [
      await execute(daemon(), containerId, 'id -u; id -g; id -G'),
      uid,
      gid,
      supplementalGroups,
    ];
  };
  t.deepEqual(await who({runAsUsername: 'web', supplementalGroups: [3000n]}), [
    '1000\n1001\n1001 2000 3000',
    1000n,
    1001n,
    [1001n, 2000n, 3000n],
  ]);
  t.deepEqual(await who({runAsUser: {value: 4711n}, runAsGroup: {value: 4712n}}), [
    '4711\n4712\n4712',
    4711n,
    4712n,
    [4712n],
  ]);
  t.deepEqual(await who({runAsUsername: 'web', supplementalGroupsPolicy: 1}), [
    '1000\n1001\n1001',
    1000n,
    1001n,
    [1001n],
  ]);
  await t.throwsAsync(pod.create({context: {runAsUsername: 'nobody-knows'}}), {
    code: 'INVALID_ARGUMENT',
  });
});

test('mounts: read-write, read-only, a single file, and a source that has to be made', async t => {
  const folder = join(daemon().folder, 'volumes');
  await mkdir(join(folder, 'data'), {recursive: true});
  await writeFile(join(folder, 'file'), 'text');
  const pod = await aPod(daemon());
  const mounts = [
    {containerPath: '/data', hostPath: join(folder, 'data')},
    {containerPath: '/data/ro', hostPath: folder, readonly: true},
    {containerPath: '/etc/one', hostPath: join(folder, 'file')},
    {containerPath: '/made', hostPath: join(folder, 'a/b/c')},
  ];
  const containerId = await pod.run({mounts});
  await execute(daemon(), containerId, 'echo here > /data/written; echo there > /made/too');
  t.is(await readFile(join(folder, 'data/written'), 'utf8'), 'here\n');
  t.is(await readFile(join(folder, 'a/b/c/too'), 'utf8'), 'there\n');
  t.is((await stat(join(folder, 'a/b'))).mode & 0o777, 0o755);
  t.is(await execute(daemon(), containerId, 'cat /etc/one'), 'text');
  await t.throwsAsync(execute(daemon(), containerId, 'touch /data/ro/x'));
  const status = await statusOf(daemon(), containerId);
  t.deepEqual(
    status.mounts.map(({containerPath, hostPath, readonly}) => ({
      containerPath,
      hostPath,
      readonly,
    })),
    mounts.map(({readonly = false, ...mount}) => ({...mount, readonly})),
  );
});

test("a propagation that the host's mount does not have is refused", async t => {
  const pod = await aPod(daemon());
  const folder = join(daemon().folder, 'private');
  for (const propagation of [
    MountPropagation.PROPAGATION_BIDIRECTIONAL,
    MountPropagation.PROPAGATION_HOST_TO_CONTAINER,
  ]) {
    const mounts = [{containerPath: '/mnt', hostPath: folder, propagation}];
    await t.throwsAsync(pod.create({mounts}), {code: 'INVALID_ARGUMENT'});
  }
  const mounts = [{containerPath: '/mnt', hostPath: folder, mountOptions: ['noexec']}];
  await t.throwsAsync(pod.create({mounts}), {code: 'UNIMPLEMENTED'});
});

test('a volume of the image is a folder, also when no layer has it', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run({context: {readonlyRootfs: true}});
  const owner = await execute(daemon(), containerId, 'stat -c "%F %a %u:%g" /srv/volume');
  t.is(owner, 'directory 755 0:0');
});

test('CDI devices are refused by name', async t => {
  const pod = await aPod(daemon());
  await t.throwsAsync(pod.create({CDIDevices: [{name: 'vendor.example/gpu=0'}]}), {
    code: 'UNIMPLEMENTED',
    message: /vendor\.example\/gpu=0/,
  });
});

test('a read-only root, no new privileges and dropped capabilities hold', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run({
    context: {
      readonlyRootfs: true,
      noNewPrivs: true,
      capabilities: {dropCapabilities: ['ALL']},
      seccomp: {profileType: 0},
    },
  });
  await t.throwsAsync(execute(daemon(), containerId, 'touch /x'));
  const status = await execute(
    daemon(),
    containerId,
    'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status',
  );
  t.deepEqual(
    status.split('\n').map(line => line.split(/\s+/)[1]),
    ['0000000000000000', '1', '2'],
  );
});

test('limits hold, an update changes them, and the status shows both', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const containerId = await pod.run({
    resources: {
      memoryLimitInBytes: 64n * MIB,
      cpuShares: 512n,
      cpuQuota: 50_000n,
      cpuPeriod: 100_000n,
    },
  });
  const limits = async () => {
    const {resources} = await statusOf(daemon(), containerId);
    const {memoryLimitInBytes, cpuShares, cpuQuota} = resources?.linux ?? {};
    return [memoryLimitInBytes, cpuShares, cpuQuota];
  };
  t.deepEqual(await limits(), [64n * MIB, 512n, 50_000n]);
  await runtime.updateContainerResources({containerId, linux: {memoryLimitInBytes: 96n * MIB}});
  t.deepEqual(await limits(), [96n * MIB, 512n, 50_000n]);
  const {stats} = await runtime.containerStats({containerId});
  const {usageBytes, availableBytes} = stats?.memory ?? {};
  t.true((availableBytes?.value ?? 0n) + (usageBytes?.value ?? 0n) > 90n * MIB);
  await daemon().stop('SIGKILL');
  await daemon().start();
  t.deepEqual(await limits(), [96n * MIB, 512n, 50_000n]);
  await daemon().cri().runtime.stopContainer({containerId, timeout: 0n});
  await t.throwsAsync(
    daemon()
      .cri()
      .runtime.updateContainerResources({containerId, linux: {cpuShares: 2n}}),
    {code: 'FAILED_PRECONDITION'},
  );
});

test('containers run on the runtime handler of their pod', async t => {
  const {runtime} = daemon().cri();
  const {podSandboxId} = await runtime.runPodSandbox({
    config: podConfig(daemon()),
    runtimeHandler: 'crun',
  });
  const create = () => runtime.createContainer({podSandboxId, config: containerConfig()});
  if (hasUnifiedControllers()) {
    // crun says so itself: it does not run where v1 and v2 both have controllers.
    const error = await t.throwsAsync(create());
    t.regex(error.message, /hybrid mode/);
    return;
  }
  const {containerId} = await create();
  await runtime.startContainer({containerId});
  t.is(await execute(daemon(), containerId, 'echo $FROM_IMAGE'), 'yes');
  const {info} = await runtime.containerStatus({containerId, verbose: true});
  t.is((JSON.parse(info['info'] ?? '{}') as {runtimeHandler: string}).runtimeHandler, 'crun');
  await runtime.stopContainer({containerId, timeout: 1n});
});

test('a pod may have many containers that start, end and are made anew beside each other', async t => {
  const pod = await aPod(daemon());
  const sidecar = await pod.run();
  const done = await Promise.all(
    [0, 1, 2, 3].map(async code => exited(daemon(), await pod.run(shell(`exit ${code}`)))),
  );
  t.deepEqual(
    done.map(({exitCode}) => exitCode),
    [0, 1, 2, 3],
  );
  const name = `again-${pod.id.slice(0, 6)}`;
  for (const attempt of [0, 1, 2]) {
    const id = await pod.run(shell(`exit ${attempt}`, {metadata: {name, attempt}}));
    t.is((await exited(daemon(), id)).exitCode, attempt);
  }
  t.is((await statusOf(daemon(), sidecar)).state, ContainerState.CONTAINER_RUNNING);
});

test('thirty pods at once, each with its container, and all of them away again', async t => {
  const {runtime} = daemon().cri();
  const pods = await Promise.all(Array.from({length: 30}, () => aPod(daemon())));
  const ids = await Promise.all(pods.map(pod => pod.run(shell('echo $HOSTNAME; sleep 1000'))));
  t.is(new Set(ids).size, 30);
  const {stats} = await runtime.listContainerStats({});
  t.is(stats.length, 30);
  await Promise.all(ids.map(containerId => runtime.stopContainer({containerId, timeout: 5n})));
  await Promise.all(pods.map(pod => pod.remove()));
  t.deepEqual((await runtime.listContainers({})).containers, []);
});

test('exec streams both ways and reports the exit code', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run();
  const {url} = await daemon()
    .cri()
    .runtime.exec({
      containerId,
      cmd: ['sh', '-c', 'cat; echo bad >&2; exit 9'],
      stdin: true,
      stdout: true,
      stderr: true,
    });
  const client = await spdy(t, url);
  const {error, stdin, stdout, stderr} = openStreams(client, [
    'error',
    'stdin',
    'stdout',
    'stderr',
  ]);
  stdin?.write('through');
  stdin?.end();
  t.is((await stdout?.received)?.toString(), 'through');
  t.is((await stderr?.received)?.toString(), 'bad\n');
  const report = JSON.parse((await error?.received)?.toString() ?? '') as {
    readonly reason: string;
    readonly details: {readonly causes: readonly {readonly message: string}[]};
  };
  t.is(report.reason, 'NonZeroExitCode');
  t.is(report.details.causes[0]?.message, '9');
  const again = await connectSpdy(url, ['v4.channel.k8s.io']);
  t.is('status' in again && again.status, 404);
});

test('exec with a terminal has one, and follows its size', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run();
  const {url} = await daemon()
    .cri()
    .runtime.exec({
      containerId,
      cmd: ['sh', '-c', 'test -t 0 && echo terminal; sleep 1000'],
      tty: true,
      stdin: true,
      stdout: true,
    });
  const client = await spdy(t, url);
  const {stdin, stdout, resize} = openStreams(client, ['error', 'stdin', 'stdout', 'resize']);
  resize?.write(JSON.stringify({Width: 132, Height: 43}));
  await eventually(() => stdout?.soFar().toString() === 'terminal\r\n');
  stdin?.write('\u0003'); // Ctrl-C, which only a terminal makes a signal of
  t.is((await stdout?.received)?.toString().startsWith('terminal'), true);
});

test("attach joins the container's own streams", async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run(
    shell('while read line; do echo got $line; done; echo end', {stdin: true, stdinOnce: true}),
  );
  const request = {containerId, stdin: true, stdout: true, stderr: true};
  const {url} = await daemon().cri().runtime.attach(request);
  const client = await spdy(t, url);
  const {stdin, stdout} = openStreams(client, ['error', 'stdin', 'stdout', 'stderr']);
  stdin?.write('one\n');
  await eventually(() => stdout?.soFar().toString() === 'got one\n');
  stdin?.end();
  t.is((await exited(daemon(), containerId)).exitCode, 0);
  t.is(await logOf(daemon(), containerId), 'got one\nend\n');
});

test('port-forward leads to a port of the pod', async t => {
  const server = createServer(socket => socket.end('hello\n')).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  const pod = await aPod(daemon(), {network: NamespaceMode.NODE});
  const {url} = await daemon()
    .cri()
    .runtime.portForward({podSandboxId: pod.id, port: [port]});
  const client = await spdy(t, url, 'portforward.k8s.io');
  const headers = {port: String(port), requestid: '0'};
  client.open({...headers, streamtype: 'error'}).end();
  const data = client.open({...headers, streamtype: 'data'});
  data.end();
  t.is((await data.received).toString(), 'hello\n');
});

test('streams need something to stream, and a container that runs', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const containerId = await pod.create();
  const bare = {containerId, cmd: ['true']};
  await t.throwsAsync(runtime.exec(bare), {code: 'INVALID_ARGUMENT'});
  await t.throwsAsync(runtime.exec({...bare, stdout: true}), {code: 'FAILED_PRECONDITION'});
  await t.throwsAsync(runtime.attach({containerId, stdout: true}), {code: 'FAILED_PRECONDITION'});
  const both = {...bare, tty: true, stdout: true, stderr: true};
  await t.throwsAsync(runtime.exec(both), {code: 'INVALID_ARGUMENT'});
  await runtime.stopPodSandbox({podSandboxId: pod.id});
  await t.throwsAsync(runtime.portForward({podSandboxId: pod.id}), {code: 'FAILED_PRECONDITION'});
});

async function spdy(
  t: ExecutionContext,
  url: string,
  protocol = 'v4.channel.k8s.io',
): Promise<SpdyClient> {
  const client = await mustConnectSpdy(url, [protocol]);
  t.teardown(() => {
    client.close();
  });
  return client;
}

function openStreams(
  client: SpdyClient,
  kinds: readonly string[],
): Readonly<Record<string, ClientStream>> {
  return Object.fromEntries(kinds.map(kind => [kind, client.open({streamtype: kind})]));
}

function hasUnifiedControllers(): boolean {
  const {hybrid, root} = cgroupLayout();
  return hybrid && readFileSync(join(root, 'unified/cgroup.controllers'), 'utf8').trim() !== '';
}
