import {randomUUID} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {cgroupPathFor, podCgroupFor, type CgroupPaths} from '#runtime/cgroup/paths';
import {removeCgroup} from '#runtime/cgroup/remove';
import {readHostAbilities} from '#runtime/host/abilities';
import {openOciRuntime, type OciRuntime} from '#runtime/oci/oci-runtime';
import {runCommand} from '#runtime/process/run';
import {containerSpec} from '#runtime/spec/container-spec';
import type {ContainerConfig, ContainerSpecInput, PreparedMount} from '#runtime/spec/input';
import {encodeSpec} from '#runtime/spec/oci-spec';
import {pinNamespaces, unpinNamespaces} from '#runtime/sys/namespace';
import {aContainer} from '#test/a-container';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

export interface SpecRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs containers of our specs under a real OCI runtime, with this machine's programs in them. */
export interface SpecBench extends AsyncDisposable {
  readonly path: string;
  readonly runtime: OciRuntime;
  readonly input: (config: ContainerConfig, changes?: Partial<ContainerSpecInput>) => ContainerSpecInput; // prettier-ignore
  /** Runs to its end, in the foreground; `id` is of the next container. */
  readonly run: (
    config: ContainerConfig,
    changes?: Partial<ContainerSpecInput>,
  ) => Promise<SpecRun>;
  /** Starts in the background; stopped and removed with the bench. */
  readonly start: (
    config: ContainerConfig,
    changes?: Partial<ContainerSpecInput>,
  ) => Promise<{readonly id: string; readonly cgroup: CgroupPaths}>;
  readonly pod: CgroupPaths;
  readonly networkNamespace: string;
}

export async function specBench(runc: string, name = 'runc'): Promise<SpecBench> {
  const folder = await temporaryFolder();
  const layout = cgroupLayout();
  const parent = `/slipway-test-${randomUUID().slice(0, 8)}`;
  const runtime = openOciRuntime({
    name,
    path: runc,
    root: join(folder.path, 'runtime'),
    systemdCgroup: false,
    isRunc: true,
  });
  const host = readHostAbilities(layout, await runtime.features({signal}), {x32: true});
  const namespaces = join(folder.path, 'ns');
  const kinds = ['net', 'ipc', 'uts'] as const;
  pinNamespaces({directory: namespaces, kinds, hostname: 'web-0'});
  for (const name of ['rootfs', 'shm']) await mkdir(join(folder.path, name));
  await writeFile(join(folder.path, 'resolv.conf'), 'nameserver 10.96.0.10\n');
  const cgroupOf = (id: string): CgroupPaths =>
    cgroupPathFor({layout, manager: 'cgroupfs', parent, id});
  const ids: string[] = [];

  const input: SpecBench['input'] = (config, changes = {}) => {
    const id = `t${ids.length}`;
    return aContainer({
      containerId: id,
      container: config,
      rootfs: join(folder.path, 'rootfs'),
      user: {uid: 0, gid: 0, additionalGids: [0]},
      namespaces: {
        network: join(namespaces, 'net'),
        ipc: join(namespaces, 'ipc'),
        uts: join(namespaces, 'uts'),
        pid: 'container',
      },
      files: {shm: join(folder.path, 'shm'), resolvConf: join(folder.path, 'resolv.conf')},
      cgroupsPath: cgroupOf(id).runcCgroupsPath,
      systemdCgroup: false,
      image: {env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], workingDir: '/work'},
      host,
      ...changes,
      mounts: [...programsOfTheMachine(), ...(changes.mounts ?? [])],
    });
  };
  const bundle = async (config: ContainerConfig, changes: Partial<ContainerSpecInput>) => {
    const made = input(config, changes);
    const id = made.containerId;
    ids.push(id);
    const directory = join(folder.path, id);
    await mkdir(directory);
    await writeFile(join(directory, 'config.json'), encodeSpec(containerSpec(made).spec));
    return {id, directory};
  };
  const call = async (verb: readonly string[], bundled: {id: string; directory: string}) => {
    const {exitCode, stdout, stderr} = await runCommand({
      command: [
        runc,
        ...runtime.globalArguments,
        ...verb,
        '--bundle',
        bundled.directory,
        bundled.id,
      ],
      timeoutMs: 30_000,
      signal,
    });
    return {exitCode, stdout: text(stdout), stderr: text(stderr)};
  };
  return {
    path: folder.path,
    runtime,
    input,
    networkNamespace: join(namespaces, 'net'),
    pod: podOf(layout, parent),
    run: async (config, changes = {}) => await call(['run'], await bundle(config, changes)),
    start: async (config, changes = {}) => {
      const bundled = await bundle(config, changes);
      const {exitCode, stderr} = await call(['run', '--detach'], bundled);
      if (exitCode !== 0) throw new Error(stderr);
      return {id: bundled.id, cgroup: cgroupOf(bundled.id)};
    },
    async [Symbol.asyncDispose]() {
      for (const id of ids) await runtime.delete(id, {force: true});
      await removeCgroup(podOf(layout, parent), signal);
      unpinNamespaces(namespaces);
      await folder[Symbol.asyncDispose]();
    },
  };
}

function podOf(layout: ReturnType<typeof cgroupLayout>, parent: string): CgroupPaths {
  const pod = podCgroupFor({layout, manager: 'cgroupfs', parent});
  if (pod === undefined) throw new Error('a parent was given');
  return pod;
}

function programsOfTheMachine(): readonly PreparedMount[] {
  return ['/bin', '/lib', '/lib64', '/usr', '/sbin'].map(path => ({
    containerPath: path,
    hostPath: path,
    readonly: true,
    recursiveReadOnly: false,
    propagation: 0,
  }));
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
