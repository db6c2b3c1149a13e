import {mkdir, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ContainerState, PodSandboxState} from '#runtime/cri/gen/cri-v1_pb';
import {mount, unmount} from '#runtime/sys/mount';
import {isAlive, type ProcessIdentity} from '#runtime/sys/processes';
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
import {daemonSuite, eventually, leftOvers} from '#test/runtime/daemon-suite';
import {fillDisk} from '#test/full-disk';
import test from 'ava';

// What a daemon finds that starts where another one was killed, or the machine.
const {daemon} = daemonSuite(test);

test('after kill -9 the next daemon knows what ran, what ended and how, and the log is whole', async t => {
  const pod = await aPod(daemon(), {labels: {keep: 'me'}});
  const running = await pod.run(shell('i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done'));
  const ended = await pod.run(shell('exit 5'));
  await exited(daemon(), ended);
  const gate = join(daemon().state, 'gate');
  await mkdir(gate);
  const mounts = [{hostPath: gate, containerPath: '/gate'}];
  const script = 'while [ ! -e /gate/open ]; do sleep 0.02; done; exit 6';
  const ending = await pod.run({...shell(script), mounts});
  const created = await pod.create();
  await daemon().stop('SIGKILL');
  await writeFile(join(gate, 'open'), '');
  await eventually(async () => (await readdir(join(daemon().state, 'exits'))).includes(ending));
  await daemon().start();

  const {runtime} = daemon().cri();
  t.is((await statusOf(daemon(), running)).state, ContainerState.CONTAINER_RUNNING);
  t.is((await statusOf(daemon(), created)).state, ContainerState.CONTAINER_CREATED);
  t.is((await statusOf(daemon(), ended)).exitCode, 5);
  t.deepEqual((await statusOf(daemon(), ending)).exitCode, 6);
  t.deepEqual((await runtime.podSandboxStatus({podSandboxId: pod.id})).status?.labels, {
    keep: 'me',
  });
  t.is(await execute(daemon(), running, 'echo alive'), 'alive');
  await runtime.startContainer({containerId: created});
  const request = {podSandboxId: pod.id, config: containerConfig(), sandboxConfig: pod.config};
  await t.notThrowsAsync(runtime.createContainer(request));
  await runtime.stopContainer({containerId: running, timeout: 0n});
  t.is((await statusOf(daemon(), running)).exitCode, 137);
  const lines = (await logOf(daemon(), running)).trim().split('\n').map(Number);
  t.deepEqual(
    lines,
    Array.from({length: lines.length}, (_, index) => index + 1),
  );
});

test('a daemon that was killed at any moment leaves nothing behind that the next one cannot remove', async t => {
  for (let delayMs = 0; delayMs < 120; delayMs += 12) {
    const config = podConfig(daemon());
    const {runtime} = daemon().cri();
    const work = (async () => {
      const {podSandboxId} = await runtime.runPodSandbox({config});
      const {containerId} = await runtime.createContainer({
        podSandboxId,
        config: containerConfig(),
        sandboxConfig: config,
      });
      await runtime.startContainer({containerId});
    })().catch(() => undefined);
    await new Promise(resolve => setTimeout(resolve, delayMs));
    await daemon().stop('SIGKILL');
    await work;
    await daemon().start();
    const retried = daemon().cri().runtime;
    const {items} = await retried.listPodSandbox({});
    for (const {id} of items) await retried.removePodSandbox({podSandboxId: id});
    await eventually(async () => (await leftOvers(daemon())).length === 0);
  }
  t.pass();
});

test('a record that cannot be read is set aside with a line in the log', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run({command: ['true']});
  await exited(daemon(), containerId);
  await daemon().stop('SIGKILL');
  await writeFile(join(daemon().root, 'containers', containerId, 'status.json'), '{"version":1,');
  await daemon().start();
  t.regex(daemon().log(), /a record cannot be read and is set aside/);
  await t.throwsAsync(statusOf(daemon(), containerId), {code: 'NOT_FOUND'});
  await rm(join(daemon().root, 'containers', '.quarantine'), {recursive: true});
});

test('after a reboot everything is ended, and what it held is given back', async t => {
  const pod = await aPod(daemon());
  const running = await pod.run();
  const ended = await pod.run(shell('exit 5'));
  await exited(daemon(), ended);
  await daemon().reboot();
  await daemon().start();
  const status = await statusOf(daemon(), running);
  t.is(status.state, ContainerState.CONTAINER_EXITED);
  t.not(status.exitCode, 0);
  t.is((await statusOf(daemon(), ended)).exitCode, 5);
  const {items} = await daemon().cri().runtime.listPodSandbox({});
  t.deepEqual(
    items.map(({id, state}) => [id, state]),
    [[pod.id, PodSandboxState.SANDBOX_NOTREADY]],
  );
});

test('the exit code of a container that ends while the daemon starts is not lost', async t => {
  const pod = await aPod(daemon());
  const containerId = await pod.run(shell('while [ ! -e /open ]; do sleep 0.02; done; exit 7'));
  const {conmon, init} = await processesOf(join(daemon().root, 'containers', containerId));
  process.kill(conmon.pid, 'SIGSTOP'); // it has yet to see the end
  await execute(daemon(), containerId, 'touch /open');
  await eventually(() => !isAlive(init));
  await daemon().stop('SIGKILL');
  await daemon().start();
  t.is((await statusOf(daemon(), containerId)).state, ContainerState.CONTAINER_RUNNING);
  process.kill(conmon.pid, 'SIGCONT');
  t.is((await exited(daemon(), containerId)).exitCode, 7);
});

/** As the record of a container names them. */
async function processesOf(
  directory: string,
): Promise<{readonly conmon: ProcessIdentity; readonly init: ProcessIdentity}> {
  const text = await readFile(join(directory, 'status.json'), 'utf8');
  const {record} = JSON.parse(text) as {record: Awaited<ReturnType<typeof processesOf>>};
  return record;
}

test('on a full disk containers and pods end and are removed, and the next daemon knows how', async t => {
  const [containers = '', sandboxes = ''] = ['containers', 'sandboxes'].map(name =>
    join(daemon().root, name),
  );
  await daemon().stop();
  for (const target of [containers, sandboxes]) {
    mount({source: 'records', target, type: 'tmpfs', data: 'size=256k,mode=700'});
  }
  await daemon().start();
  try {
    const [pod, other] = [await aPod(daemon()), await aPod(daemon())];
    const [first, second] = [await pod.run(), await other.run()];
    await fillDisk(sandboxes);
    await fillDisk(containers, {leave: 1}); // for what conmon writes of the first one
    await daemon().cri().runtime.stopContainer({containerId: first, timeout: 0n});
    t.is((await statusOf(daemon(), first)).exitCode, 137);
    await daemon().cri().runtime.stopPodSandbox({podSandboxId: other.id});
    t.is((await statusOf(daemon(), second)).state, ContainerState.CONTAINER_EXITED);
    t.regex(daemon().log(), /the disk is full: a container ended without a record/);
    await daemon().stop('SIGKILL');
    await daemon().start();
    t.is((await statusOf(daemon(), first)).exitCode, 137);
    t.is((await statusOf(daemon(), second)).state, ContainerState.CONTAINER_EXITED);
    await daemon().cri().runtime.removeContainer({containerId: first});
    for (const each of [pod, other]) await each.remove();
  } finally {
    await daemon().stop();
    for (const target of [containers, sandboxes]) unmount(target, {detach: true});
    await daemon().start();
  }
});

test('a restart in order keeps containers too', async t => {
  const pod = await aPod(daemon());
  const running = await pod.run();
  await daemon().stop();
  await daemon().start();
  t.is(await execute(daemon(), running, 'echo alive'), 'alive');
  t.is((await daemon().cri().runtime.podSandboxStatus({podSandboxId: pod.id})).status?.state, 0);
});
