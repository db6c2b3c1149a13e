import {access, copyFile, mkdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import {killCgroup} from '../cgroup/kill.ts';
import {cgroupPathFor, type CgroupPaths} from '../cgroup/paths.ts';
import {createContainer as launch} from '../conmon/launch.ts';
import {encodeSpec, type OciSpec} from '../spec/oci-spec.ts';
import {sandboxSpec} from '../spec/sandbox-spec.ts';
import type {ProcessIdentity, SandboxMetadata} from '../store/sandbox.ts';
import type {Dependencies} from './dependencies.ts';
import {placeMonitor, removeMonitorCgroup} from './monitor-cgroup.ts';

const INIT_NAME = 'init';

/**
 * Starts the process that a shared PID namespace lives in: catatonit, which waits and reaps. It is
 * a container like others, with the sandbox's id, so that a restart of the daemon finds it again.
 */
export async function startSandboxInit(
  metadata: SandboxMetadata,
  deps: Dependencies,
): Promise<ProcessIdentity> {
  const {id} = metadata;
  const runtime = deps.runtimes.get(metadata.runtimeHandler);
  const bundle = deps.layout.bundle(id);
  await Promise.all([prepareRootfs(deps), mkdir(bundle, {recursive: true, mode: 0o700})]);
  await writeFile(join(bundle, 'config.json'), encodeSpec(initSpec(metadata, deps)), {mode: 0o600});
  const {pid, pidStartTime} = await launch({
    conmonPath: deps.config.conmon,
    runtime,
    id,
    name: metadata.name,
    bundle,
    logPath: '/dev/null',
    persistDirectory: bundle,
    exitsDirectory: deps.layout.exits,
    terminal: false,
    stdin: false,
    leaveStdinOpen: false,
    placeMonitor: monitor => placeMonitor(monitor, metadata, deps),
    signal: deps.ending,
  });
  const init = {pid, startTime: pidStartTime};
  await runtime.start(id, {init});
  return init;
}

/** Ends it and removes what it had; the containers in its namespace die with it. Idempotent. */
export async function stopSandboxInit(
  metadata: SandboxMetadata,
  deps: Dependencies,
): Promise<void> {
  const runtime = deps.runtimes.get(metadata.runtimeHandler);
  if (await isThere(join(runtime.root, metadata.id))) {
    // Killed by its cgroup first: `delete --force` of a living one waits for 100 ms at least.
    await killCgroup(initCgroup(metadata, deps), deps.ending);
    await runtime.delete(metadata.id);
  }
  await removeMonitorCgroup(metadata, deps);
  await rm(deps.layout.bundle(metadata.id), {recursive: true, force: true});
  await rm(join(deps.layout.exits, metadata.id), {force: true});
}

/** One root for all of them, read-only: a static program and the folders that runtimes mount on. */
async function prepareRootfs({layout, config}: Dependencies): Promise<void> {
  const target = join(layout.initRootfs, INIT_NAME);
  const source = await stat(config.tini);
  const present = await stat(target).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (present?.size === source.size && present.mtimeMs >= source.mtimeMs) return;
  await Promise.all(
    ['dev', 'proc', 'sys'].map(name => mkdir(join(layout.initRootfs, name), {recursive: true})),
  );
  const temporary = `${target}.${process.pid}.tmp`;
  await copyFile(config.tini, temporary);
  await rename(temporary, target);
}

function initSpec(metadata: SandboxMetadata, deps: Dependencies): OciSpec {
  const {namespaces, id, pod} = metadata;
  const {layout, config} = deps;
  const pinned = (kind: string): string => join(layout.sandbox(id).namespaces, kind);
  const own = namespaces.network === 'pod';
  const {runcCgroupsPath} = initCgroup(metadata, deps);
  const {spec, notices} = sandboxSpec({
    sandboxId: id,
    sandbox: {metadata: pod},
    rootfs: layout.initRootfs,
    namespaces: {
      network: own ? pinned('net') : undefined,
      uts: own ? pinned('uts') : undefined,
      ipc: namespaces.ipc === 'pod' ? pinned('ipc') : undefined,
    },
    cgroupsPath: runcCgroupsPath,
    systemdCgroup: config.cgroupManager === 'systemd',
    host: deps.host(metadata.runtimeHandler),
  });
  for (const notice of notices) deps.log.once(notice, notice);
  return spec;
}

function initCgroup({id, cgroupParent: parent}: SandboxMetadata, deps: Dependencies): CgroupPaths {
  const {cgroups: layout, config} = deps;
  return cgroupPathFor({layout, manager: config.cgroupManager, parent, id});
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
