import {randomBytes} from 'node:crypto';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {CodedError} from '#shared/errors';
import {createContainer as launch} from '../conmon/launch.ts';
import type {CallContext} from '../cri/handlers.ts';
import type {CreateContainerRequest} from '../cri/gen/cri-v1_pb.ts';
import type {RuntimeErrorCode} from '../errors.ts';
import type {StoredImage} from '../image/image-store.ts';
import {hostDevices, preparedDevices} from '../host/devices.ts';
import {encodeSpec} from '../spec/oci-spec.ts';
import type {Container} from '../store/container.ts';
import {containerName} from '../store/names.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {UndoStack} from '../store/undo.ts';
import {allOrFirstFailure} from './all-or-first-failure.ts';
import {planContainer, type ContainerPlan} from './container-plan.ts';
import {prepareMounts} from './container-mounts.ts';
import {checkContainerRequest, type CheckedContainer} from './container-request.ts';
import {localhostSeccomp} from './container-seccomp.ts';
import type {Dependencies} from './dependencies.ts';
import {makeImageVolumes} from './image-volumes.ts';
import {sandboxNotFound, sandboxNotReady} from './invalid.ts';
import {placeMonitor, removeMonitorCgroup} from './monitor-cgroup.ts';
import {refuseSelinuxLabel} from './unsupported.ts';

/**
 * CRI v1 CreateContainer. A retry with the same name joins the work in progress, or gets the id of
 * the created container; the work goes on when its caller goes away, until the pod is stopped.
 */
export async function createContainer(
  request: CreateContainerRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<{readonly containerId: string}> {
  const checked = checkContainerRequest(request);
  const sandbox = deps.sandboxes.find(request.podSandboxId);
  if (!sandbox) throw sandboxNotFound(request.podSandboxId);
  const {selinuxOptions} = checked.config.linux?.securityContext ?? {};
  refuseSelinuxLabel(selinuxOptions, deps.host(sandbox.metadata.runtimeHandler));
  const name = containerName(checked.metadata, sandbox.metadata.pod);
  const containerId = await deps.work.join(name, signal, async () => {
    const existing = deps.containers.named(name);
    if (existing) return createdId(existing);
    return deps.queues.of(sandbox.id).run({
      name: `create container ${checked.metadata.name}`,
      interruptible: true,
      run: interrupted => create({checked, sandbox, name}, interrupted, deps),
    });
  });
  return {containerId};
}

function createdId({id, metadata, status}: Container): string {
  if (status.state === 'created') return id;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_NAME_RESERVED',
    `the name ${metadata.name} belongs to container ${id}, which is ${status.state}`,
    {hint: 'remove that container, or use the next attempt number'},
  );
}

interface Creation {
  readonly checked: CheckedContainer;
  readonly sandbox: Sandbox;
  readonly name: string;
}

async function create(
  {checked, sandbox, name}: Creation,
  interrupted: AbortSignal,
  deps: Dependencies,
): Promise<string> {
  if (sandbox.status.state !== 'ready') throw sandboxNotReady(sandbox.id);
  const image = deps.images.resolve(checked.image.image);
  if (!image) throw imageNotFound(checked.image.image);
  const id = randomBytes(32).toString('hex');
  const undo = new UndoStack(deps.log);
  try {
    const parts = await prepare(id, {checked, image, undo}, deps);
    interrupted.throwIfAborted();
    makeImageVolumes(parts.rootfs, image.config.volumes);
    const plan = planContainer({id, name, checked, sandbox, image, ...parts}, deps);
    const container = await write(plan, undo, deps);
    interrupted.throwIfAborted();
    await launchContainer(container, {plan, interrupted, undo}, deps);
    undo.commit();
    deps.events.container('created', {id, sandboxId: sandbox.id});
    return id;
  } catch (error) {
    await undo.unwind();
    throw error;
  }
}

/** What takes time and does not depend on each other: the root file system, and the host's paths. */
async function prepare(
  id: string,
  {
    checked: {config},
    image,
    undo,
  }: {readonly checked: CheckedContainer; readonly image: StoredImage; readonly undo: UndoStack},
  deps: Dependencies,
) {
  undo.defer('remove the root file system of the container', () => deps.images.removeRootfs(id));
  const context = config.linux?.securityContext;
  const [rootfs, mounts, devices, all, seccomp] = await allOrFirstFailure([
    deps.images.prepareRootfs(id, image),
    prepareMounts(config.mounts),
    preparedDevices(config.devices),
    context?.privileged ? hostDevices() : [],
    localhostSeccomp(context),
  ]);
  const {mountpoint} = rootfs;
  return {rootfs: mountpoint, mounts, devices, hostDevices: all, localhostSeccomp: seccomp};
}

/** The record, before anything runs; and what conmon and the OCI runtime read. */
async function write(
  {metadata, spec}: ContainerPlan,
  undo: UndoStack,
  deps: Dependencies,
): Promise<Container> {
  const bundle = deps.layout.bundle(metadata.id);
  undo.defer('remove the bundle of the container', () =>
    rm(bundle, {recursive: true, force: true}),
  );
  undo.defer('remove the record of the container', () => deps.containers.remove(metadata.id));
  const [container] = await allOrFirstFailure([
    deps.containers.add(metadata),
    mkdir(bundle, {recursive: true, mode: 0o700}).then(() =>
      writeFile(join(bundle, 'config.json'), encodeSpec(spec), {mode: 0o600}),
    ),
    metadata.logPath === '' ? undefined : mkdir(dirname(metadata.logPath), {recursive: true}),
  ]);
  return container;
}

async function launchContainer(
  container: Container,
  {
    plan: {metadata, resources},
    interrupted,
    undo,
  }: {
    readonly plan: ContainerPlan;
    readonly interrupted: AbortSignal;
    readonly undo: UndoStack;
  },
  deps: Dependencies,
): Promise<void> {
  const {id, logPath} = metadata;
  const runtime = deps.runtimes.get(metadata.runtimeHandler);
  undo.defer('remove the cgroup of its monitor', () => removeMonitorCgroup(metadata, deps));
  const {pid, pidStartTime, conmonPid, conmonStartTime} = await launch({
    conmonPath: deps.config.conmon,
    runtime,
    id,
    name: metadata.name,
    bundle: deps.layout.bundle(id),
    logPath: logPath === '' ? '/dev/null' : logPath,
    persistDirectory: container.directory,
    exitsDirectory: deps.layout.exits,
    terminal: metadata.tty,
    stdin: metadata.stdin,
    leaveStdinOpen: !metadata.stdinOnce,
    ...(deps.config.logSizeMax > 0 ? {logSizeMax: deps.config.logSizeMax} : {}),
    placeMonitor: monitor => placeMonitor(monitor, metadata, deps),
    signal: AbortSignal.any([interrupted, deps.ending]),
  });
  undo.defer('end the container', () => runtime.delete(id, {force: true}));
  await container.update(status => ({
    ...status,
    state: 'created',
    init: {pid, startTime: pidStartTime},
    conmon: {pid: conmonPid, startTime: conmonStartTime},
    resources,
  }));
}

function imageNotFound(name: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_IMAGE_NOT_FOUND', `no image ${JSON.stringify(name)} on this node`, {
    hint: `pull it first: slipway-cri pull ${name}`,
  });
}
