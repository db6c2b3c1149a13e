import {removeEmptyCgroups} from '#test/runtime/empty-cgroups';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {killCgroup} from '#runtime/cgroup/kill';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {cgroupPathFor, type CgroupPaths, monitorCgroupFor} from '#runtime/cgroup/paths';
import {placeProcess} from '#runtime/cgroup/place';
import {removeCgroup} from '#runtime/cgroup/remove';
import {type ContainerExit} from '#runtime/conmon/exit-file';
import {type ExitWatcher, watchExits} from '#runtime/conmon/exits';
import {createContainer, type CreatedContainer} from '#runtime/conmon/launch';
import {openOciRuntime, type OciRuntime} from '#runtime/oci/oci-runtime';
import {isAlive, killProcess, type ProcessIdentity} from '#runtime/sys/processes';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

/** What differs between the containers of the tests. */
export interface ContainerRequest {
  readonly command: readonly string[];
  readonly terminal?: boolean;
  readonly stdin?: boolean;
  readonly leaveStdinOpen?: boolean;
  readonly logSizeMax?: number;
  readonly memoryLimitBytes?: number;
  /** Fields of the OCI process object that take the place of the workbench's. */
  readonly process?: Readonly<Record<string, unknown>>;
  /** A profile, as in the OCI specification. */
  readonly seccomp?: object;
  /** Programs that take the place of the workbench's. */
  readonly conmonPath?: string;
  readonly runtime?: OciRuntime;
  readonly placeMonitor?: (pid: number) => Promise<void>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A container of real runc or crun under real conmon, with this machine's /usr as its own. */
export interface TestContainer extends CreatedContainer {
  readonly id: string;
  readonly bundle: string;
  readonly persistDirectory: string;
  readonly logPath: string;
  readonly cgroup: CgroupPaths;
  readonly init: ProcessIdentity;
  /** The end as the watcher reported it. */
  readonly exited: Promise<ContainerExit>;
  readonly log: () => Promise<string>;
}

export interface Workbench extends AsyncDisposable {
  readonly path: string;
  /** The cgroup above those of its containers. */
  readonly parent: string;
  readonly runtime: OciRuntime;
  readonly exitsDirectory: string;
  readonly logsDirectory: string;
  readonly watcher: ExitWatcher;
  /** The folder of the next container's bundle. */
  readonly nextBundle: () => string;
  /** Creates a container; the workbench removes it. */
  readonly create: (request: ContainerRequest) => Promise<TestContainer>;
  /** `create`, then `start`. */
  readonly start: (request: ContainerRequest) => Promise<TestContainer>;
}

/** Folders, a runtime and an exit watcher for some containers; all is gone when its scope ends. */
export async function workbench({
  name,
  runtimePath,
  conmonPath,
  execProgram,
}: {
  readonly name: string;
  readonly runtimePath: string;
  readonly conmonPath: string;
  /** slipway-exec; without it, runc starts its containers itself. */
  readonly execProgram?: string;
}): Promise<Workbench> {
  const folder = await temporaryFolder();
  const layout = cgroupLayout();
  const parent = `/slipway-test-${folder.path.slice(-6).toLowerCase()}`;
  const made: {id: string; monitor: CgroupPaths; container: CgroupPaths}[] = [];
  const exits = new Map<string, PromiseWithResolvers<ContainerExit>>();
  const exitOf = (id: string): PromiseWithResolvers<ContainerExit> => {
    const known = exits.get(id) ?? Promise.withResolvers<ContainerExit>();
    exits.set(id, known);
    return known;
  };
  const runtime = openOciRuntime({
    name,
    path: runtimePath,
    root: join(folder.path, 'runtime'),
    systemdCgroup: false,
    isRunc: name === 'runc',
    ...(execProgram === undefined ? {} : {execProgram}),
  });
  const exitsDirectory = join(folder.path, 'exits');
  const logsDirectory = join(folder.path, 'logs');
  await mkdir(logsDirectory);
  const watcher = watchExits(exitsDirectory, (id, exit) => {
    exitOf(id).resolve(exit);
  });
  // With a part of its own: a monitor's cgroup may be at the top, whoever's test it is.
  const idOf = (index: number): string => `test-${parent.slice(-6)}-${index}`;
  const bundleOf = (id: string): string => join(folder.path, 'bundles', id);

  const create = async (request: ContainerRequest): Promise<TestContainer> => {
    const id = idOf(made.length);
    const bundle = bundleOf(id);
    const cgroup = cgroupPathFor({layout, manager: 'cgroupfs', parent, id});
    const monitor = monitorCgroupFor({layout, manager: 'cgroupfs', parent, id});
    made.push({id, monitor, container: cgroup});
    await writeBundle(bundle, {...request, cgroupsPath: cgroup.runcCgroupsPath});
    const persistDirectory = join(bundle, 'persist');
    const logPath = join(logsDirectory, `${id}.log`);
    const {terminal = false, stdin = false, leaveStdinOpen = false} = request;
    const created = await createContainer({
      ...{runtime, conmonPath, signal, ...request},
      ...{id, name: id, bundle, logPath, persistDirectory, exitsDirectory},
      ...{terminal, stdin, leaveStdinOpen},
      placeMonitor:
        request.placeMonitor ??
        (async pid => {
          await placeProcess(pid, monitor);
        }),
    });
    const log = async (): Promise<string> => await readFile(logPath, 'utf8');
    const {promise: exited} = exitOf(id);
    const init = {pid: created.pid, startTime: created.pidStartTime};
    return {...created, id, bundle, persistDirectory, logPath, cgroup, init, exited, log};
  };

  return {
    path: folder.path,
    parent,
    runtime,
    exitsDirectory,
    logsDirectory,
    watcher,
    nextBundle: () => bundleOf(idOf(made.length)),
    create,
    start: async request => {
      const container = await create(request);
      await runtime.start(container.id, container);
      return container;
    },
    async [Symbol.asyncDispose]() {
      watcher.close();
      for (const {id, monitor, container} of made) {
        await runtime.delete(id, {force: true}).catch(() => undefined);
        await killMonitor(bundleOf(id));
        await killCgroup(container, signal);
        for (const cgroup of [container, monitor]) await removeCgroup(cgroup, signal);
      }
      await removeCgroup(cgroupAtParent(made[0]?.container, parent), signal);
      await removeEmptyCgroups();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function killMonitor(bundle: string): Promise<void> {
  const pid = Number(await readFile(join(bundle, 'conmon-pidfile'), 'utf8').catch(() => '0'));
  if (pid === 0) return;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (commandLine.includes(bundle)) killProcess(pid, 'SIGKILL');
}

/** The cgroup that holds those of all containers. */
function cgroupAtParent(child: CgroupPaths | undefined, parent: string): CgroupPaths {
  const directories = Object.entries(child?.directories ?? {}).map(([name, path]) => [
    name,
    path.slice(0, path.indexOf(parent) + parent.length),
  ]);
  return {
    version: child?.version ?? 1,
    runcCgroupsPath: '',
    relativePath: parent,
    directories: Object.fromEntries(directories) as Readonly<Record<string, string>>,
  };
}

const CAPABILITIES = ['CAP_KILL', 'CAP_DAC_OVERRIDE', 'CAP_CHOWN'];

async function writeBundle(
  bundle: string,
  request: ContainerRequest & {readonly cgroupsPath: string},
): Promise<void> {
  const {command, terminal = false, memoryLimitBytes, cgroupsPath, process, seccomp} = request;
  await rm(bundle, {recursive: true, force: true});
  await mkdir(join(bundle, 'persist'), {recursive: true});
  const folders = ['bin', 'lib', 'lib64', 'usr'];
  for (const folder of [...folders, 'proc', 'dev', 'sys', 'tmp']) {
    await mkdir(join(bundle, 'rootfs', folder), {recursive: true});
  }
  const bind = (folder: string) => ({
    destination: `/${folder}`,
    type: 'bind',
    source: `/${folder}`,
    options: ['rbind', 'ro'],
  });
  const capabilities = {
    bounding: CAPABILITIES,
    effective: CAPABILITIES,
    permitted: CAPABILITIES,
  };
  const config = {
    ociVersion: '1.0.2',
    root: {path: 'rootfs', readonly: true},
    process: {
      terminal,
      user: {uid: 0, gid: 0},
      args: command,
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'FROM_SPEC=yes'],
      cwd: '/tmp',
      capabilities,
      ...process,
    },
    mounts: [
      {destination: '/proc', type: 'proc', source: 'proc', options: []},
      {destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755', 'size=65536k']},
      {destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['ptmxmode=0666']},
      {destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777']},
      ...folders.map(bind),
    ],
    linux: {
      cgroupsPath,
      ...(seccomp === undefined ? {} : {seccomp}),
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map(type => ({type})),
      resources: {
        ...(memoryLimitBytes === undefined ? {} : {memory: {limit: memoryLimitBytes}}),
        devices: [{allow: true, access: 'rwm'}],
      },
    },
  };
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
}

/** A container whose workbench was killed, and the workbench's folder. */
export interface LeftContainer extends TestContainer {
  readonly folder: string;
  readonly parent: string;
}

/** Removes what a killed workbench has left, at the end of the scope. */
export function removeLater(
  left: LeftContainer,
  bench: Workbench,
): AsyncDisposable & {readonly container: LeftContainer} {
  return {
    container: left,
    async [Symbol.asyncDispose]() {
      const root = join(left.folder, 'runtime');
      await openOciRuntime({...bench.runtime, root}).delete(left.id, {force: true});
      await killMonitor(left.bundle);
      await removeCgroup(cgroupAtParent(left.cgroup, left.parent), signal);
      await rm(left.folder, {recursive: true});
    },
  };
}

/** True while a container's first process runs. */
export function isRunning({pid, pidStartTime}: CreatedContainer): boolean {
  return isAlive({pid, startTime: pidStartTime});
}

export function shell(script: string): ContainerRequest {
  return {command: ['/bin/sh', '-c', script]};
}

/** Log lines without their times. */
export async function logLines({log}: TestContainer): Promise<readonly string[]> {
  const lines = (await log()).split('\n').slice(0, -1);
  return lines.map(line => line.replace(/^\S+ /, ''));
}

/** What was written to standard output, from log lines of which P marks a piece without its end. */
export function joinPieces(log: string): readonly string[] {
  const pieces = [...log.matchAll(/^\S+ stdout ([PF]) (.*)$/gm)];
  const text = pieces.map(([, tag, piece = '']) => (tag === 'F' ? `${piece}\n` : piece)).join('');
  return text.split('\n').slice(0, -1);
}
