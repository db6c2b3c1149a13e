import {mkdir, readFile, rm} from 'node:fs/promises';
import {CodedError, isErrno} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import {
  ContainerState,
  NamespaceMode,
  PodSandboxState,
  type Container,
  type PodSandbox,
} from '../cri/gen/cri-v1_pb.ts';
import type {CommandErrorCode} from '../errors.ts';
import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';

/** By this label the second half finds what the first one made, whatever happened in between. */
const LABEL = {'slipway.dev/smoke': 'true'};
const NAME = 'slipway-smoke';
const LOG_DIRECTORY = `/var/log/pods/${NAME}`;
const LOG_FILE = 'smoke.log';
const GREETING = 'smoke: started';
const STEP_TIMEOUT_MS = 60_000;
const STOP_SECONDS = 5;

/** A shell that says that it runs and ends as soon as it is asked to. */
const COMMAND = ['/bin/sh', '-c', `trap 'exit 0' TERM; echo '${GREETING}'; sleep 3600 & wait`];

/**
 * Proves the daemon: version, status, a pod in the host's network, a container, exec, log; then that
 * they are still there, can be used, stopped and removed. `start` and `finish` do one half each, so
 * that the daemon can be restarted in between.
 */
export async function smokeCommand(context: CommandContext): Promise<number> {
  const {words, output} = context;
  const [half = 'both', ...more] = words;
  if (!['start', 'finish', 'both'].includes(half) || more.length > 0) {
    throw usage('smoke takes "start", "finish" or nothing for both');
  }
  if (half !== 'finish') await start(context);
  if (half !== 'start') await finish(context);
  output.write(half === 'start' ? 'smoke: a pod runs\n' : 'smoke: passed\n');
  return 0;
}

async function start(context: CommandContext): Promise<void> {
  const {client, options} = context;
  const {image} = options;
  if (image === undefined)
    throw usage('smoke start needs an image with a shell', 'add --image IMAGE');
  const limits = limitsOf(context);
  const {runtimeApiVersion} = await client.runtime.version({}, limits);
  demand(runtimeApiVersion === 'v1', `Version says API "${runtimeApiVersion}", not v1`);
  const {status} = await client.runtime.status({}, limits);
  const ready = status?.conditions.find(({type}) => type === 'RuntimeReady');
  demand(
    ready?.status === true,
    `Status says that the runtime is not ready: ${ready?.message ?? ''}`,
  );
  await client.runtime.runtimeConfig({}, limits);
  await removePods(context);
  const present = await client.image.imageStatus({image: {image}}, limits);
  if (present.image === undefined) await client.image.pullImage({image: {image}}, limits);
  await startPod(context, image);
  await proveContainer(context);
}

async function finish(context: CommandContext): Promise<void> {
  const container = await proveContainer(context);
  const {client} = context;
  const stopping = {containerId: container.id, timeout: BigInt(STOP_SECONDS)};
  await client.runtime.stopContainer(stopping, limitsOf(context));
  const {status} = await client.runtime.containerStatus(
    {containerId: container.id},
    limitsOf(context),
  );
  demand(
    status?.state === ContainerState.CONTAINER_EXITED && status.exitCode === 0,
    `the container that was stopped has state ${status?.state ?? '?'}, exit code ${status?.exitCode ?? '?'}`,
  );
  await removePods(context);
  const {containers} = await client.runtime.listContainers(
    {filter: {labelSelector: LABEL}},
    limitsOf(context),
  );
  demand(containers.length === 0, 'the container is there although its pod was removed');
  await rm(LOG_DIRECTORY, {recursive: true, force: true});
}

async function startPod(context: CommandContext, image: string): Promise<void> {
  const {client} = context;
  const namespaceOptions = {
    network: NamespaceMode.NODE, // there may be no network plugin yet
    pid: NamespaceMode.CONTAINER,
    ipc: NamespaceMode.POD,
  };
  await rm(LOG_DIRECTORY, {recursive: true, force: true});
  await mkdir(LOG_DIRECTORY, {recursive: true});
  const sandboxConfig = {
    metadata: {name: NAME, namespace: 'kube-system', uid: NAME, attempt: 0},
    labels: LABEL,
    logDirectory: LOG_DIRECTORY,
    linux: {securityContext: {namespaceOptions}},
  };
  const limits = limitsOf(context);
  const {podSandboxId} = await client.runtime.runPodSandbox({config: sandboxConfig}, limits);
  const config = {
    metadata: {name: 'smoke', attempt: 0},
    image: {image},
    command: COMMAND,
    labels: LABEL,
    logPath: LOG_FILE,
    linux: {securityContext: {namespaceOptions}},
  };
  const {containerId} = await client.runtime.createContainer(
    {podSandboxId, config, sandboxConfig},
    limits,
  );
  await client.runtime.startContainer({containerId}, limits);
}

/** The one pod and container, running, with exec and log. */
async function proveContainer(context: CommandContext): Promise<Container> {
  const {client} = context;
  const limits = limitsOf(context);
  const pods = await listPods(context);
  const ready = pods.filter(({state}) => state === PodSandboxState.SANDBOX_READY);
  demand(ready.length === 1, `${ready.length} smoke pods are ready, not one`);
  const {containers} = await client.runtime.listContainers(
    {filter: {labelSelector: LABEL}},
    limits,
  );
  const [container, ...more] = containers;
  demand(more.length === 0, `there are ${containers.length} smoke containers, not one`);
  if (container?.state !== ContainerState.CONTAINER_RUNNING) {
    throw failed('the smoke container does not run');
  }
  const {stdout, exitCode} = await client.runtime.execSync(
    {containerId: container.id, cmd: ['/bin/sh', '-c', 'echo exec; exit 7'], timeout: 30n},
    limits,
  );
  const said = Buffer.from(stdout).toString();
  demand(said === 'exec\n' && exitCode === 7, `exec answered ${JSON.stringify(said)}, ${exitCode}`);
  await waitForLog(context);
  return container;
}

async function waitForLog({signal}: CommandContext): Promise<void> {
  await waitFor(
    async () => {
      try {
        const text = await readFile(`${LOG_DIRECTORY}/${LOG_FILE}`, 'utf8');
        return text.includes(`stdout F ${GREETING}`) ? true : undefined;
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return undefined;
        throw error;
      }
    },
    {signal, timeoutMs: STEP_TIMEOUT_MS},
  ).catch((error: unknown) => {
    if (signal.aborted) throw error;
    throw failed(`${LOG_DIRECTORY}/${LOG_FILE} never said "${GREETING}"`);
  });
}

async function removePods(context: CommandContext): Promise<void> {
  const {client} = context;
  for (const {id} of await listPods(context)) {
    await client.runtime.stopPodSandbox({podSandboxId: id}, limitsOf(context));
    await client.runtime.removePodSandbox({podSandboxId: id}, limitsOf(context));
  }
}

async function listPods(context: CommandContext): Promise<readonly PodSandbox[]> {
  const filter = {labelSelector: LABEL};
  return (await context.client.runtime.listPodSandbox({filter}, limitsOf(context))).items;
}

function limitsOf({signal, options}: CommandContext) {
  return {signal, timeoutMs: options.timeoutMs ?? STEP_TIMEOUT_MS};
}

function demand(holds: boolean, what: string): void {
  if (!holds) throw failed(what);
}

function failed(what: string): CodedError<CommandErrorCode> {
  return new CodedError('ERR_SMOKE_FAILED', what, {
    hint: 'read "journalctl -u slipway-cri"; "slipway-cri reset" removes what is left',
  });
}
