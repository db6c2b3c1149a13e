import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {cgroupLayout, type CgroupLayout} from '../cgroup/layout.ts';
import type {RuntimeConfig} from '../config/runtime-config.ts';
import {type DirectExecOptions, openDirectExec} from '../exec/direct-exec.ts';
import {loadDefaultApparmorProfile} from '../host/apparmor.ts';
import {readHostAbilities} from '../host/abilities.ts';
import {answersX32} from '../host/x32.ts';
import {openImageStore} from '../image/open-image-store.ts';
import {openImagePuller} from '../image/pull.ts';
import {openPodNetwork} from '../network/pod-network.ts';
import {openOciRuntime} from '../oci/oci-runtime.ts';
import type {HostAbilities} from '../spec/input.ts';
import type {DaemonOptions} from '../run-daemon.ts';
import {createStatsCollector} from '../stats/collector.ts';
import {createWritableLayers} from '../stats/writable-layers.ts';
import {systemClock} from '../store/clock.ts';
import {
  containerBeforeCreation,
  type ContainerMetadata,
  type ContainerStatus,
} from '../store/container.ts';
import {layout as layoutOf, type Layout} from '../store/layout.ts';
import {ObjectStore} from '../store/object-store.ts';
import {PodQueues} from '../store/queue.ts';
import {sandboxBeforeCreation, type SandboxMetadata, type SandboxStatus} from '../store/sandbox.ts';
import {SharedWork} from '../store/shared-work.ts';
import {startStreaming} from '../streaming/streaming.ts';
import {VERSION} from '../version.ts';
import {ContainerLives} from './container-life.ts';
import type {Dependencies} from './dependencies.ts';
import {Lifecycle} from './lifecycle-events.ts';
import {streamHandlers} from './streams.ts';
import {runtimesByHandler, type Runtimes} from './runtimes.ts';

/** Everything that the daemon works with, opened. */
export interface Parts {
  readonly deps: Dependencies;
  readonly reload: (config: RuntimeConfig) => Promise<void>;
  /** Closes what was opened; containers and mounts stay. */
  readonly close: () => Promise<void>;
}

/** @param ending aborts when the daemon ends; work that nobody waits for ends with it */
export async function openParts(
  {config, log}: Pick<DaemonOptions, 'config' | 'log'>,
  ending: AbortSignal,
): Promise<Parts> {
  const live = {...config}; // what the puller reads at every pull; a reload writes to it
  const layout = layoutOf(config);
  await Promise.all([config.root, config.state].map(makeFolder));
  const runtimes = await openRuntimes(config, ending);
  const cgroups = cgroupLayout();
  const clock = systemClock();
  const {sandboxes, containers} = openStores(layout);
  const images = await openImageStore({
    root: join(config.root, 'images'),
    pinned: config.pinnedImages,
    log,
    concurrentLayers: config.imagePull.concurrentLayers,
  });
  const puller = openImagePuller({store: images, config: live, log, proxyEnvironment: process.env});
  const network = openPodNetwork({...config.cni, log});
  const {address, port} = config.streaming;
  const streaming = await startStreaming({address, port, log, ...streamHandlers(() => deps)});
  const apparmorProfile = await loadDefaultApparmorProfile({log, signal: ending});
  const machine = {
    x32: await answersX32(config.execProgram, ending),
    apparmorDefaultProfile: apparmorProfile,
  };
  const deps: Dependencies = {
    config,
    log,
    clock,
    layout,
    version: VERSION,
    host: await readAbilities(runtimes, {cgroups, machine}),
    cgroups,
    images,
    puller,
    network,
    runtimes,
    directExec: await openDirect({config, log}, {apparmorProfile, signal: ending}),
    sandboxes,
    containers,
    queues: new PodQueues(),
    work: new SharedWork(),
    stats: createStatsCollector(),
    writableLayers: createWritableLayers({
      mountpoint: images.usage().mountpoint,
      measure: async id => (await images.rootfsUsage(id)) ?? {usedBytes: 0, inodes: 0},
      signal: ending,
    }),
    streaming,
    lives: new ContainerLives(),
    events: new Lifecycle({sandboxes, containers, clock}),
    ending,
  };
  return {
    deps,
    reload: async next => {
      Object.assign(live, next);
      images.setPinned(next.pinnedImages);
      await puller.reload();
    },
    close: async () => {
      await streaming.close();
      deps.directExec?.close();
      network.close();
      puller.close();
      await images.close();
    },
  };
}

function openStores(layout: Layout): Pick<Dependencies, 'sandboxes' | 'containers'> {
  return {
    sandboxes: new ObjectStore<SandboxMetadata, SandboxStatus>({
      directory: layout.sandboxRecords,
      initial: () => sandboxBeforeCreation,
    }),
    containers: new ObjectStore<ContainerMetadata, ContainerStatus>({
      directory: layout.containerRecords,
      initial: () => containerBeforeCreation,
    }),
  };
}

async function openDirect(
  {config, log}: Pick<DaemonOptions, 'config' | 'log'>,
  more: Pick<DirectExecOptions, 'apparmorProfile' | 'signal'>,
): Promise<Dependencies['directExec']> {
  const folder = join(config.state, 'seccomp');
  return await openDirectExec({path: config.execProgram, folder, log, ...more});
}

/** OCI runtimes differ in what they can do; each is asked once. */
async function readAbilities(
  runtimes: Runtimes,
  {
    cgroups,
    machine,
  }: {
    readonly cgroups: CgroupLayout;
    readonly machine: Parameters<typeof readHostAbilities>[2];
  },
): Promise<Dependencies['host']> {
  const abilities = new Map<string, HostAbilities>();
  for (const name of runtimes.names) {
    abilities.set(name, readHostAbilities(cgroups, await runtimes.get(name).features(), machine));
  }
  return handler => {
    const {name} = runtimes.get(handler);
    const found = abilities.get(name);
    if (!found) throw new TypeError(`the abilities of ${name} were not read`);
    return found;
  };
}

/** 0711: containers reach their own files through it, and nobody can list it. */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path, {recursive: true, mode: 0o711});
}

async function openRuntimes(config: RuntimeConfig, signal: AbortSignal): Promise<Runtimes> {
  const {runtimes, defaultRuntime, cgroupManager, execProgram} = config;
  const systemdCgroup = cgroupManager === 'systemd';
  const open = async ([name, {path, root}]: [string, {path: string; root: string}]) => {
    const options = {name, path, root, systemdCgroup, execProgram};
    const asked = openOciRuntime(options).version({signal});
    const version = await asked.catch(() => ''); // told by Status
    return [
      name,
      openOciRuntime({...options, isRunc: version.startsWith('runc version ')}),
    ] as const;
  };
  const opened = await Promise.all(Object.entries(runtimes).map(open));
  return runtimesByHandler(Object.fromEntries(opened), defaultRuntime);
}
