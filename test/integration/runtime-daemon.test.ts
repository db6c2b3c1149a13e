import {access, readFile, rename} from 'node:fs/promises';
import {
  ContainerEventType,
  ContainerState,
  PodSandboxState,
  type ContainerEventResponse,
} from '#runtime/cri/gen/cri-v1_pb';
import {
  aPod,
  containerConfig,
  execute,
  exited,
  logOf,
  podConfig,
  runStubborn,
  shell,
  statusOf,
} from '#test/runtime/a-pod';
import {BUSYBOX_IMAGE} from '#test/runtime/busybox-archive';
import {daemonSuite, eventually} from '#test/runtime/daemon-suite';
import test from 'ava';

// The daemon with a CRI client, and nothing else: pods of the host's network, no registry.
const {daemon} = daemonSuite(test);

test('Version and Status say who we are and that we are ready', async t => {
  const {runtime} = daemon().cri();
  const {runtimeName, runtimeApiVersion, version} = await runtime.version({});
  t.deepEqual(
    {runtimeName, runtimeApiVersion, version},
    {
      runtimeName: 'slipway',
      runtimeApiVersion: 'v1',
      version: '0.1.0',
    },
  );
  const {status, runtimeHandlers, info} = await runtime.status({verbose: true});
  const conditions = status?.conditions.map(({type, status: holds, reason}) => [
    type,
    holds,
    reason,
  ]);
  t.deepEqual(conditions, [
    ['RuntimeReady', true, ''],
    ['NetworkReady', false, 'NetworkPluginNotReady'],
  ]);
  t.deepEqual(runtimeHandlers.map(({name}) => name).sort(), ['', 'crun', 'runc']);
  t.truthy(info['config']);
  t.is((await runtime.runtimeConfig({})).linux?.cgroupDriver, 1);
  await t.notThrowsAsync(runtime.updateRuntimeConfig({}));
});

test('an imported image is listed, and found by its names and its id', async t => {
  const {image} = daemon().cri();
  const {images} = await image.listImages({});
  t.deepEqual(
    images.map(({repoTags}) => repoTags),
    [[BUSYBOX_IMAGE]],
  );
  const id = images[0]?.id ?? '';
  for (const name of [BUSYBOX_IMAGE, id, id.slice('sha256:'.length, 20)]) {
    t.is((await image.imageStatus({image: {image: name}})).image?.id, id, name);
  }
  t.is((await image.imageStatus({image: {image: 'example.com/none:1'}})).image, undefined);
  const {imageFilesystems} = await image.imageFsInfo({});
  t.true((imageFilesystems[0]?.usedBytes?.value ?? 0n) > 1_000_000n);
});

test('a pod lives: run, create, start, exec, log, stop, remove', async t => {
  const {runtime} = daemon().cri();
  const labels = {app: 'web', 'a.b/c': 'ü'};
  const annotations = {note: '{"a": 1}\n'};
  const pod = await aPod(daemon(), {labels, annotations});
  const {status} = await runtime.podSandboxStatus({podSandboxId: pod.id});
  t.is(status?.state, PodSandboxState.SANDBOX_READY);
  t.deepEqual(status?.labels, labels);
  t.deepEqual(status?.annotations, annotations);

  const containerId = await pod.create(
    shell('trap "exit 3" TERM; echo out; echo err >&2; while true; do sleep 0.05; done', {labels}),
  );
  t.is((await statusOf(daemon(), containerId)).state, ContainerState.CONTAINER_CREATED);
  await runtime.startContainer({containerId});
  const running = await statusOf(daemon(), containerId);
  t.is(running.state, ContainerState.CONTAINER_RUNNING);
  t.true(running.startedAt >= running.createdAt);
  t.deepEqual(running.labels, labels);

  const result = await runtime.execSync({
    containerId,
    cmd: ['sh', '-c', 'echo $FROM_IMAGE; echo bad >&2; exit 7'],
    timeout: 5n,
  });
  t.is(result.exitCode, 7);
  t.is(Buffer.from(result.stdout).toString(), 'yes\n');
  t.is(Buffer.from(result.stderr).toString(), 'bad\n');

  await eventually(async () => (await logOf(daemon(), containerId)).includes('err'));
  await runtime.stopContainer({containerId, timeout: 10n});
  const ended = await statusOf(daemon(), containerId);
  t.is(ended.state, ContainerState.CONTAINER_EXITED);
  t.deepEqual([ended.exitCode, ended.reason], [3, 'Error']);
  t.true(ended.finishedAt >= ended.startedAt);
  t.deepEqual((await logOf(daemon(), containerId)).split('\n').sort(), ['', 'err', 'out']);

  await runtime.removeContainer({containerId});
  await t.throwsAsync(statusOf(daemon(), containerId), {code: 'NOT_FOUND'});
  t.true(await exists(running.logPath));
  await runtime.stopPodSandbox({podSandboxId: pod.id});
  const stopped = await runtime.podSandboxStatus({podSandboxId: pod.id});
  t.is(stopped.status?.state, PodSandboxState.SANDBOX_NOTREADY);
  await runtime.removePodSandbox({podSandboxId: pod.id});
  await t.throwsAsync(runtime.podSandboxStatus({podSandboxId: pod.id}), {code: 'NOT_FOUND'});
});

test('stops and removals of what is not there are success; questions about it are not', async t => {
  const {runtime, image} = daemon().cri();
  const id = 'ab'.repeat(32);
  await t.notThrowsAsync(runtime.stopPodSandbox({podSandboxId: id}));
  await t.notThrowsAsync(runtime.removePodSandbox({podSandboxId: id}));
  await t.notThrowsAsync(runtime.stopContainer({containerId: id, timeout: 1n}));
  await t.notThrowsAsync(runtime.removeContainer({containerId: id}));
  await t.notThrowsAsync(image.removeImage({image: {image: 'example.com/none:1'}}));
  for (const call of [
    () => runtime.podSandboxStatus({podSandboxId: id}),
    () => runtime.containerStatus({containerId: id}),
    () => runtime.startContainer({containerId: id}),
    () => runtime.execSync({containerId: id, cmd: ['true']}),
    () => runtime.exec({containerId: id, cmd: ['true'], stdout: true}),
    () => runtime.attach({containerId: id, stdout: true}),
    () => runtime.portForward({podSandboxId: id}),
    () => runtime.reopenContainerLog({containerId: id}),
    () => runtime.updateContainerResources({containerId: id, linux: {cpuShares: 2n}}),
    () => runtime.containerStats({containerId: id}),
    () => runtime.podSandboxStats({podSandboxId: id}),
    () => runtime.createContainer({podSandboxId: id, config: containerConfig()}),
  ]) {
    await t.throwsAsync(call, {code: 'NOT_FOUND'}, call.toString());
  }
});

test('requests without what they need are refused, and leave nothing', async t => {
  const {runtime, image} = daemon().cri();
  const pod = await aPod(daemon());
  const podSandboxId = pod.id;
  const mount = {containerPath: '/mnt', hostPath: 'relative'};
  for (const call of [
    () => runtime.runPodSandbox({}),
    () => runtime.runPodSandbox({config: {metadata: {name: 'a', namespace: 'b', attempt: 0}}}),
    () =>
      runtime.runPodSandbox({config: podConfig(daemon(), {hostname: 'x'.repeat(65), network: 0})}),
    () => runtime.runPodSandbox({config: podConfig(daemon(), {logDirectory: 'logs'})}),
    () => runtime.runPodSandbox({config: podConfig(daemon(), {pid: 3})}),
    () => runtime.runPodSandbox({config: podConfig(daemon()), runtimeHandler: 'none'}),
    () => runtime.runPodSandbox({config: podConfig(daemon(), {sysctls: {'vm.swappiness': '1'}})}),
    () => runtime.createContainer({podSandboxId}),
    () => runtime.createContainer({podSandboxId, config: containerConfig({logPath: '../../x'})}),
    () => runtime.createContainer({podSandboxId, config: containerConfig({mounts: [mount]})}),
    () => runtime.createContainer({podSandboxId, config: containerConfig({image: {}})}),
    () => image.pullImage({}),
    () => image.removeImage({image: {image: ''}}),
  ]) {
    await t.throwsAsync(call, {code: 'INVALID_ARGUMENT'}, call.toString());
  }
  const none = containerConfig({image: {image: 'example.com/none:1'}});
  await t.throwsAsync(runtime.createContainer({podSandboxId, config: none}), {code: 'NOT_FOUND'});
  for (const call of [
    () => runtime.checkpointContainer({}),
    () => runtime.checkpointPod({}),
    () => runtime.restorePod({}),
    () => runtime.listMetricDescriptors({}),
    () => runtime.listPodSandboxMetrics({}),
  ]) {
    await t.throwsAsync(call, {code: 'UNIMPLEMENTED'}, call.toString());
  }
  t.deepEqual((await runtime.listContainers({})).containers, []);
});

test('a repeated RunPodSandbox or CreateContainer gives the same id', async t => {
  const {runtime} = daemon().cri();
  const config = podConfig(daemon());
  const ids = await Promise.all([1, 2, 3].map(() => runtime.runPodSandbox({config})));
  ids.push(await runtime.runPodSandbox({config}));
  t.is(new Set(ids.map(({podSandboxId}) => podSandboxId)).size, 1);
  const podSandboxId = ids[0]?.podSandboxId ?? '';
  const request = {podSandboxId, config: containerConfig(), sandboxConfig: config};
  const made = await Promise.all([1, 2].map(() => runtime.createContainer(request)));
  made.push(await runtime.createContainer(request));
  t.is(new Set(made.map(({containerId}) => containerId)).size, 1);
  await runtime.startContainer({containerId: made[0]?.containerId ?? ''});
  await t.throwsAsync(runtime.createContainer(request), {code: 'ALREADY_EXISTS'});
  await runtime.stopPodSandbox({podSandboxId});
  await t.throwsAsync(runtime.runPodSandbox({config}), {code: 'ALREADY_EXISTS'});
});

test('work goes on when its caller goes away, and the retry gets its result', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const request = {podSandboxId: pod.id, config: containerConfig(), sandboxConfig: pod.config};
  await t.throwsAsync(runtime.createContainer(request, {timeoutMs: 5}), {
    code: 'DEADLINE_EXCEEDED',
  });
  const {containerId} = await runtime.createContainer(request);
  const {containers} = await runtime.listContainers({});
  t.deepEqual(
    containers.map(({id}) => id),
    [containerId],
  );
});

test('lists are filtered by id, prefix, state, sandbox and labels', async t => {
  const {runtime} = daemon().cri();
  const one = await aPod(daemon(), {labels: {app: 'one', tier: 'x'}});
  const two = await aPod(daemon(), {labels: {app: 'two', tier: 'x'}});
  await runtime.stopPodSandbox({podSandboxId: two.id});
  const pods = async (filter: object) =>
    (await runtime.listPodSandbox({filter})).items.map(({id}) => id).sort();
  const both = [one.id, two.id].sort();
  t.deepEqual(await pods({}), both);
  t.deepEqual(await pods({labelSelector: {tier: 'x'}}), both);
  t.deepEqual(await pods({labelSelector: {app: 'one', tier: 'x'}}), [one.id]);
  t.deepEqual(await pods({labelSelector: {app: 'one', tier: 'y'}}), []);
  t.deepEqual(await pods({state: {state: PodSandboxState.SANDBOX_READY}}), [one.id]);
  t.deepEqual(await pods({state: {state: PodSandboxState.SANDBOX_NOTREADY}}), [two.id]);
  t.deepEqual(await pods({id: two.id.slice(0, 12)}), [two.id]);
  t.deepEqual(await pods({id: 'ff'}), []);

  const created = await one.create({labels: {c: '1'}});
  const running = await one.run({labels: {c: '2'}});
  const containers = async (filter: object) =>
    (await runtime.listContainers({filter})).containers.map(({id}) => id).sort();
  t.deepEqual(await containers({podSandboxId: one.id.slice(0, 12)}), [created, running].sort());
  t.deepEqual(await containers({podSandboxId: two.id}), []);
  t.deepEqual(await containers({state: {state: ContainerState.CONTAINER_CREATED}}), [created]);
  t.deepEqual(await containers({state: {state: ContainerState.CONTAINER_RUNNING}}), [running]);
  t.deepEqual(await containers({state: {state: ContainerState.CONTAINER_EXITED}}), []);
  t.deepEqual(await containers({labelSelector: {c: '2'}}), [running]);
  t.deepEqual(await containers({id: running.slice(0, 10), podSandboxId: one.id}), [running]);

  const streamed: string[] = [];
  for await (const {podSandboxes} of runtime.streamPodSandboxes({})) {
    streamed.push(...podSandboxes.map(({id}) => id));
  }
  t.deepEqual(streamed.sort(), both);
});

test('how a container ended is told: exit code, reason, message', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const good = await exited(daemon(), await pod.run({command: ['true']}));
  t.deepEqual([good.exitCode, good.reason], [0, 'Completed']);
  const bad = await exited(daemon(), await pod.run(shell('exit 42')));
  t.deepEqual([bad.exitCode, bad.reason], [42, 'Error']);
  const killed = await pod.run();
  await runtime.stopContainer({containerId: killed, timeout: 0n});
  t.deepEqual((await statusOf(daemon(), killed)).exitCode, 137);
  const hungry = await exited(
    daemon(),
    await pod.run(
      shell('a=x; while true; do a=$a$a$a$a; done', {
        resources: {memoryLimitInBytes: 16n * 1024n * 1024n},
      }),
    ),
  );
  t.deepEqual([hungry.exitCode, hungry.reason], [137, 'OOMKilled']);
});

test('a command that is not there fails, and leaves no container', async t => {
  const pod = await aPod(daemon());
  const error = await t.throwsAsync(pod.create({command: ['/no/such/program']}));
  t.regex(error.message, /no such file/);
  t.deepEqual((await daemon().cri().runtime.listContainers({})).containers, []);
});

test('StopContainer sends the stop signal, waits, then kills; an earlier deadline wins', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const containerId = await runStubborn(daemon(), pod);
  const startedMs = performance.now();
  const patient = runtime.stopContainer({containerId, timeout: 60n});
  await runtime.stopContainer({containerId, timeout: 1n});
  await patient;
  const tookMs = performance.now() - startedMs;
  t.true(tookMs >= 900 && tookMs < 10_000, `${tookMs} ms`);
  t.is((await statusOf(daemon(), containerId)).exitCode, 137);
});

test('a pod is stopped with all that runs in it, also while a container is being made', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const running = await runStubborn(daemon(), pod);
  const made = pod.create().then(
    () => 'made',
    (error: unknown) => (error as {readonly reason?: string}).reason,
  );
  await runtime.stopPodSandbox({podSandboxId: pod.id});
  t.true(['made', 'ERR_SANDBOX_NOT_READY'].includes((await made) ?? ''));
  t.is((await statusOf(daemon(), running)).state, ContainerState.CONTAINER_EXITED);
  await t.throwsAsync(pod.create(), {code: 'FAILED_PRECONDITION'});
  await t.notThrowsAsync(runtime.stopPodSandbox({podSandboxId: pod.id}));
});

test('RemovePodSandbox ends and removes everything that runs', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  await Promise.all([pod.run(), pod.run()]);
  await runtime.removePodSandbox({podSandboxId: pod.id});
  t.deepEqual((await runtime.listContainers({})).containers, []);
  t.deepEqual((await runtime.listPodSandbox({})).items, []);
});

test('ExecSync: its time limit kills, what is missing fails, an ended container refuses', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const containerId = await pod.run();
  const slow = runtime.execSync({containerId, cmd: ['sleep', '100'], timeout: 1n});
  await t.throwsAsync(slow, {code: 'DEADLINE_EXCEEDED'});
  t.is(await execute(daemon(), containerId, 'ps | grep -c "[s]leep 100$" || true'), '0');
  await t.throwsAsync(runtime.execSync({containerId, cmd: ['/no/such'], timeout: 5n}));
  await t.throwsAsync(runtime.execSync({containerId, cmd: []}), {code: 'INVALID_ARGUMENT'});
  await runtime.stopContainer({containerId, timeout: 0n});
  await t.throwsAsync(runtime.execSync({containerId, cmd: ['true']}), {
    code: 'FAILED_PRECONDITION',
  });
});

test('a log that was moved away is begun anew, and loses no line', async t => {
  const {runtime} = daemon().cri();
  const pod = await aPod(daemon());
  const containerId = await pod.run(
    shell('i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done'),
  );
  const {logPath} = await statusOf(daemon(), containerId);
  await eventually(async () => (await readFile(logPath, 'utf8')).includes(' F 5\n'));
  await rename(logPath, `${logPath}.1`);
  await runtime.reopenContainerLog({containerId});
  t.true(await exists(logPath));
  await eventually(async () => (await readFile(logPath, 'utf8')).length > 200);
  await runtime.stopContainer({containerId, timeout: 0n});
  const whole = (await readFile(`${logPath}.1`, 'utf8')) + (await readFile(logPath, 'utf8'));
  const numbers = [...whole.matchAll(/ F (\d+)$/gm)].map(([, number]) => Number(number));
  t.deepEqual(
    numbers,
    Array.from({length: numbers.length}, (_, index) => index + 1),
  );
  await t.throwsAsync(runtime.reopenContainerLog({containerId}), {code: 'FAILED_PRECONDITION'});
});

test('GetContainerEvents tells the whole life of a pod, with its state each time', async t => {
  const {runtime} = daemon().cri();
  const caller = new AbortController();
  const events: ContainerEventResponse[] = [];
  const reading = (async () => {
    for await (const event of runtime.getContainerEvents({}, {signal: caller.signal})) {
      events.push(event);
    }
  })().catch(() => undefined);
  const warm = await aPod(daemon()); // until the first event comes the stream may not stand yet
  await warm.remove();
  await eventually(() => events.length > 0 || warm.remove().then(() => false));
  await eventually(
    () => events.at(-1)?.containerEventType === ContainerEventType.CONTAINER_DELETED_EVENT,
  );
  events.length = 0;

  const pod = await aPod(daemon());
  const containerId = await pod.run({command: ['true']});
  await exited(daemon(), containerId);
  await runtime.removeContainer({containerId});
  await pod.remove();
  const kinds = ['created', 'started', 'stopped', 'deleted'];
  await eventually(() => events.length >= 8);
  caller.abort();
  await reading;
  t.deepEqual(
    events.map(event => [
      event.containerId === pod.id ? 'pod' : 'container',
      kinds[event.containerEventType],
      event.podSandboxStatus?.state,
      event.containersStatuses.map(({state}) => state),
    ]),
    [
      ['pod', 'created', 0, []],
      ['pod', 'started', 0, []],
      ['container', 'created', 0, [0]],
      ['container', 'started', 0, [1]],
      ['container', 'stopped', 0, [2]],
      ['container', 'deleted', 0, []],
      ['pod', 'stopped', 1, []],
      ['pod', 'deleted', 1, []],
    ],
  );
});

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
