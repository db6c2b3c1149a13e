import {randomBytes} from 'node:crypto';
import {mkdirSync} from 'node:fs';
import {copyFile, mkdir, writeFile} from 'node:fs/promises';
import {CodedError} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import {podCgroupFor} from '../cgroup/paths.ts';
import type {CallContext} from '../cri/handlers.ts';
import type {RunPodSandboxRequest} from '../cri/gen/cri-v1_pb.ts';
import type {RuntimeErrorCode} from '../errors.ts';
import {networkNotReady} from '../network/network-not-ready.ts';
import {unpinNamespaces, pinNamespaces, type PinnedNamespace} from '../sys/namespace.ts';
import {mount, MountFlags} from '../sys/mount.ts';
import type {SandboxLayout} from '../store/layout.ts';
import type {ProcessIdentity, Sandbox, SandboxMetadata} from '../store/sandbox.ts';
import {UndoStack} from '../store/undo.ts';
import type {Dependencies} from './dependencies.ts';
import {allOrFirstFailure} from './all-or-first-failure.ts';
import {startSandboxInit, stopSandboxInit} from './sandbox-init.ts';
import {attachNetwork, detachNetwork} from './sandbox-network.ts';
import {detachMount, removeSandboxFolder} from './sandbox-release.ts';
import {parseSandboxRequest, type SandboxRequest} from './sandbox-request.ts';
import {refuseSelinuxLabel} from './unsupported.ts';

/** Longest time that a pod waits for the network plugin; the kubelet tries again afterwards. */
const NETWORK_READY_TIMEOUT_MS = 10_000;
/** As every other runtime has it; a pod that needs more mounts a memory volume over it. */
const SHM_BYTES = 64 * 1024 * 1024;
const HOST_RESOLV_CONF = '/etc/resolv.conf';

/**
 * CRI v1 RunPodSandbox. Success means READY. A retry with the same name joins the work in progress,
 * or gets the id of the ready sandbox; the work goes on when its caller goes away.
 */
export async function runPodSandbox(
  {config, runtimeHandler}: RunPodSandboxRequest,
  {signal}: CallContext,
  deps: Dependencies,
): Promise<{readonly podSandboxId: string}> {
  deps.runtimes.get(runtimeHandler);
  const {selinuxOptions} = config?.linux?.securityContext ?? {};
  refuseSelinuxLabel(selinuxOptions, deps.host(runtimeHandler));
  const request = parseSandboxRequest(config, runtimeHandler, {
    id: randomBytes(32).toString('hex'),
    createdAtNs: deps.clock.now(),
    defaultSysctls: deps.config.defaultSysctls,
  });
  const {name, cgroupParent} = request.metadata;
  podCgroupFor({
    layout: deps.cgroups,
    manager: deps.config.cgroupManager,
    parent: cgroupParent,
  }); // throws for a parent that containers could not have
  const podSandboxId = await deps.work.join(name, signal, async () => {
    const existing = deps.sandboxes.named(name);
    if (existing) return readyId(existing);
    return deps.queues.of(request.metadata.id).run({
      name: 'run sandbox',
      interruptible: false,
      run: () => createSandbox(request, deps),
    });
  });
  return {podSandboxId};
}

function readyId({id, metadata, status}: Sandbox): string {
  if (status.state === 'ready') return id;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_NAME_RESERVED',
    `the name ${metadata.name} belongs to sandbox ${id}, which has been stopped`,
    {hint: 'remove that sandbox, or use the next attempt number'},
  );
}

async function createSandbox(request: SandboxRequest, deps: Dependencies): Promise<string> {
  const {metadata} = request;
  const undo = new UndoStack(deps.log);
  try {
    await waitForNetwork(metadata, deps);
    const sandbox = await deps.sandboxes.add(metadata);
    undo.defer('remove the record of the sandbox', () => deps.sandboxes.remove(metadata.id));
    const paths = deps.layout.sandbox(metadata.id);
    undo.defer('remove the folder of the sandbox', () => removeSandboxFolder(paths));
    await mkdir(paths.namespaces, {recursive: true, mode: 0o711});
    isolate(request, paths, undo);
    const [addresses, , started] = await allOrFirstFailure([
      attach(metadata, deps, undo),
      writeFiles(request, paths),
      init(metadata, deps, undo),
    ]);
    await sandbox.update(status => ({...status, state: 'ready', addresses, ...started}));
    undo.commit();
    deps.events.sandbox('created', sandbox);
    deps.events.sandbox('started', sandbox);
    return metadata.id;
  } catch (error) {
    await undo.unwind();
    throw error;
  }
}

/** The kubelet starts pods the moment that the node is up; its network add-on may be seconds late. */
async function waitForNetwork({namespaces}: SandboxMetadata, deps: Dependencies): Promise<void> {
  if (namespaces.network !== 'pod') return;
  const state = deps.network.readiness();
  if (state.ready) return;
  const probe = () => Promise.resolve(deps.network.readiness().ready ? true : undefined);
  const limits = {signal: deps.ending, timeoutMs: NETWORK_READY_TIMEOUT_MS};
  await waitFor(probe, limits).catch((cause: unknown) => {
    const hint = 'install the network add-on of the cluster, or see its log';
    throw networkNotReady(state.message, {hint, cause});
  });
}

/** Namespaces and shared memory: system calls only, under a millisecond in all. */
function isolate({metadata, sysctls}: SandboxRequest, paths: SandboxLayout, undo: UndoStack): void {
  const {namespaces, hostname} = metadata;
  const own = namespaces.network === 'pod';
  const kinds: readonly PinnedNamespace[] = [
    ...(own ? (['net', 'uts'] as const) : []),
    ...(namespaces.ipc === 'pod' ? (['ipc'] as const) : []),
  ];
  undo.defer('release the namespaces of the sandbox', () => {
    unpinNamespaces(paths.namespaces);
  });
  if (kinds.length > 0) {
    pinNamespaces({directory: paths.namespaces, kinds, sysctls, ...(own ? {hostname} : {})});
  }
  if (namespaces.ipc === 'pod') {
    mountShm(paths.shm);
    undo.defer('unmount the shared memory of the sandbox', () => {
      detachMount(paths.shm);
    });
  }
}

function mountShm(target: string): void {
  mkdirSync(target, {mode: 0o1777});
  mount({
    source: 'shm',
    target,
    type: 'tmpfs',
    flags: MountFlags.NOEXEC | MountFlags.NOSUID | MountFlags.NODEV,
    data: `mode=1777,size=${SHM_BYTES}`,
  });
}

async function attach(
  metadata: SandboxMetadata,
  deps: Dependencies,
  undo: UndoStack,
): Promise<readonly string[]> {
  undo.defer('detach the sandbox from the pod network', () => detachNetwork(metadata, deps));
  return attachNetwork(metadata, deps);
}

/** Only a PID namespace that containers share needs a process to live in. */
async function init(
  metadata: SandboxMetadata,
  deps: Dependencies,
  undo: UndoStack,
): Promise<{readonly init?: ProcessIdentity}> {
  if (metadata.namespaces.pid !== 'pod') return {};
  undo.defer('end the init of the sandbox', () => stopSandboxInit(metadata, deps));
  return {init: await startSandboxInit(metadata, deps)};
}

async function writeFiles(
  {metadata, resolvConf}: SandboxRequest,
  paths: SandboxLayout,
): Promise<void> {
  await Promise.all([
    writeFile(paths.hostname, `${metadata.hostname}\n`),
    resolvConf === undefined
      ? copyFile(HOST_RESOLV_CONF, paths.resolvConf)
      : writeFile(paths.resolvConf, resolvConf),
    ...(metadata.logDirectory === '' ? [] : [mkdir(metadata.logDirectory, {recursive: true})]),
  ]);
}
