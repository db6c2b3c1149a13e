import {access} from 'node:fs/promises';
import {join} from 'node:path';
import {messageOf} from '#shared/errors';
import {EXIT_CODE_UNKNOWN, readExit, type ContainerExit} from '../conmon/exit-file.ts';
import {killCgroup} from '../cgroup/kill.ts';
import {cgroupPathFor, type CgroupPaths} from '../cgroup/paths.ts';
import {readOomKills} from '../cgroup/read.ts';
import type {Container, ContainerStatus} from '../store/container.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {isAlive} from '../sys/processes.ts';
import type {Dependencies} from './dependencies.ts';
import {removeMonitorCgroup} from './monitor-cgroup.ts';
import {releaseSandbox} from './sandbox-release.ts';

/** conmon says that something ended: a container, or the init of a sandbox. */
export async function processEnded(
  id: string,
  exit: ContainerExit,
  deps: Dependencies,
): Promise<void> {
  const container = deps.containers.get(id);
  const sandbox = container ? undefined : deps.sandboxes.get(id);
  if (container) {
    await deps.lives.of(id).starting?.catch(() => undefined);
    await recordExit(container, exit, deps);
  } else if (sandbox) {
    await deps.queues.of(id).run({
      name: 'release the sandbox',
      interruptible: false,
      run: () => initEnded(sandbox, exit, deps),
    });
  }
}

/** Its containers died with it; the kubelet replaces a sandbox that is not ready. */
async function initEnded(sandbox: Sandbox, exit: ContainerExit, deps: Dependencies): Promise<void> {
  if (sandbox.status.state !== 'ready') return;
  const {exitCode} = exit;
  deps.log.warn('the init of a sandbox has ended', {sandboxId: sandbox.id, exitCode});
  try {
    await releaseSandbox(sandbox, deps);
  } finally {
    deps.events.sandbox('stopped', sandbox);
  }
}

/**
 * Records the end of a container, tells subscribers, and begins to take down what it leaves.
 * Nothing happens to one that has ended already.
 *
 * @param exit undefined: conmon is gone too, and its record is looked for
 */
export async function recordExit(
  container: Container,
  exit: ContainerExit | undefined,
  deps: Dependencies,
): Promise<void> {
  if (container.status.state === 'exited') return;
  const known = await readExit(container.directory, oomKills(container, exit, deps));
  const finishedAtNs = exit?.finishedAt ?? known?.finishedAt ?? deps.clock.now();
  const oomKilled = known?.oomKilled ?? false;
  const exitCode = exit?.exitCode ?? known?.exitCode ?? EXIT_CODE_UNKNOWN;
  const lost = exit === undefined && known === undefined;
  let changed = false;
  await container.update(status => {
    if (status.state === 'exited') return status;
    changed = true;
    return {
      ...status,
      state: 'exited',
      exitCode,
      finishedAtNs: finishedAtNs > status.startedAtNs ? finishedAtNs : status.startedAtNs,
      reason: reasonOf(exitCode, oomKilled),
      message: lost ? 'its exit status was lost: conmon was killed, or the disk was full' : '',
    };
  }, MAY_LAG);
  afterExit(container, changed, deps);
}

/** The OCI runtime could not start it: it counts as exited, and the kubelet shows why. */
export async function recordStartFailure(
  container: Container,
  error: unknown,
  deps: Dependencies,
): Promise<void> {
  const now = deps.clock.now();
  let changed = false;
  await container.update((status): ContainerStatus => {
    if (status.state === 'exited') return status;
    changed = true;
    return {
      ...status,
      state: 'exited',
      exitCode: START_FAILED_EXIT_CODE,
      startedAtNs: now,
      finishedAtNs: now,
      reason: 'StartError',
      message: messageOf(error),
    };
  }, MAY_LAG);
  afterExit(container, changed, deps);
}

/** Containers end on a full disk too; a next daemon finds out from what conmon has written. */
const MAY_LAG = {mayLag: true};

/** Docker's and containerd's code for "could not be started". */
const START_FAILED_EXIT_CODE = 128;

function afterExit(container: Container, changed: boolean, deps: Dependencies): void {
  const {id, metadata, status} = container;
  deps.lives.of(id).exited.resolve(undefined);
  releaseContainer(container, deps).catch((error: unknown) => {
    deps.log.warn('an ended container is not taken down; its removal tries again', {
      containerId: id,
      error: messageOf(error),
    });
  });
  if (!changed) return;
  if (container.lags) deps.log.warn('the disk is full: a container ended without a record', {id});
  deps.events.container('stopped', {id, sandboxId: metadata.sandboxId});
  const {exitCode, reason} = status;
  deps.log.info('container ended', {containerId: id, name: metadata.name, exitCode, reason});
}

/**
 * Takes down what an ended container leaves: left-over processes, the OCI runtime's state, the
 * mount of its root. Once, beside the RPCs; a removal waits for it, and repeats it if it failed.
 */
export async function releaseContainer(container: Container, deps: Dependencies): Promise<void> {
  const life = deps.lives.of(container.id);
  life.release ??= release(container, deps);
  try {
    await life.release;
  } catch (error) {
    life.release = undefined;
    throw error;
  }
}

async function release({id, metadata, status}: Container, deps: Dependencies): Promise<void> {
  const runtime = deps.runtimes.get(metadata.runtimeHandler);
  const {init} = status;
  if (!metadata.ownPidNamespace || (init && isAlive(init))) {
    // Without a PID namespace of its own nothing else ends what the init has left behind.
    await killCgroup(containerCgroup({id, metadata}, deps), deps.ending);
  }
  // Its own state folder tells whether the runtime knows it still, without asking it.
  if (await exists(join(runtime.root, id))) await runtime.delete(id);
  await Promise.all([deps.images.unmountRootfs(id), removeMonitorCgroup(metadata, deps)]);
}

function reasonOf(exitCode: number, oomKilled: boolean): string {
  if (oomKilled) return 'OOMKilled';
  return exitCode === 0 ? 'Completed' : 'Error';
}

/** The kernel's own count, while the cgroup is there; a container that ended well is not asked for. */
function oomKills(
  container: Container,
  exit: ContainerExit | undefined,
  deps: Dependencies,
): number | undefined {
  return exit?.exitCode === 0 ? 0 : readOomKills(containerCgroup(container, deps));
}

/** Where the processes of a container are. */
export function containerCgroup(
  {id, metadata}: Pick<Container, 'id' | 'metadata'>,
  {cgroups: layout, config}: Dependencies,
): CgroupPaths {
  const {cgroupParent: parent} = metadata;
  return cgroupPathFor({layout, manager: config.cgroupManager, parent, id});
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
