import {removeEmptyCgroups} from '#test/runtime/empty-cgroups';
import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, readdir, rm, rmdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {waitFor} from '#shared/wait-for';
import {cgroupLayout} from '#runtime/cgroup/layout';
import {connectCri, type CriClient} from '#runtime/client/connect';
import {mount, unmount} from '#runtime/sys/mount';
import {killProcess} from '#runtime/sys/processes';
import type {RuntimePrograms} from '#test/runtime-programs';

const ROOT = new URL('../../..', import.meta.url).pathname;
const STARTED_MS = 20_000;
const ENDED_MS = 20_000;

export interface RuntimeDaemonOptions {
  readonly programs: RuntimePrograms;
  /** The built daemon; without it the sources are run, as `bin/slipway-cri` does. */
  readonly bundle?: string;
  /** CNI configuration lists by file name; none: only pods of the host's network can start. */
  readonly networks?: Readonly<Record<string, object>>;
  /** Further lines of the configuration file, before its first table. */
  readonly config?: string;
  readonly registries?: string;
  /** Put before the daemon's command, e.g. to enter a network namespace. */
  readonly enter?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** The daemon as a user starts it from a checkout, in private folders. */
export interface RuntimeDaemon extends AsyncDisposable {
  readonly folder: string;
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  /** Cgroup parent of the test's pods. */
  readonly cgroupParent: string;
  /** Of the daemon that runs now. */
  readonly pid: () => number;
  readonly cri: () => CriClient;
  /** What all daemons of this folder have logged. */
  readonly log: () => string;
  /** Ends the daemon; containers stay. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
  readonly start: () => Promise<void>;
  /** What a reboot does: every process and every mount goes, and the state folder. */
  readonly reboot: () => Promise<void>;
}

/** Starts a daemon, and takes down everything that it made when the test is over. */
export async function runtimeDaemon(options: RuntimeDaemonOptions): Promise<RuntimeDaemon> {
  const folder = await mkdtemp('/tmp/sct-'); // short: sockets lie in it
  const [root, state, socket] = [join(folder, 'root'), join(folder, 'state'), join(folder, 's')];
  const cgroupParent = `/slipway-test-${folder.slice(-6)}`;
  await mkdir(state);
  mount({source: 'state', target: state, type: 'tmpfs', data: 'mode=711'});
  await writeConfiguration(folder, {root, state, socket}, options);
  let child: ChildProcess | undefined;
  let client: CriClient | undefined;
  let log = '';

  const start = async (): Promise<void> => {
    const {enter = [], environment = {}, bundle} = options;
    const built = [process.execPath, '--max-semi-space-size=1', '--optimize-for-size'];
    const [program = '', ...words] = [
      ...enter,
      ...(bundle === undefined ? [join(ROOT, 'bin/slipway-cri')] : [...built, bundle]),
    ];
    const started = spawn(program, [...words, '--config', join(folder, 'cri.toml')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {...process.env, ...environment},
    });
    child = started;
    let own = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => {
      own += text;
      log += text;
    });
    const serves = () => {
      if (started.exitCode !== null) throw new Error(`the daemon has ended: ${own}`);
      return Promise.resolve(own.includes(' serving ') ? true : undefined);
    };
    const {signal} = new AbortController();
    await waitFor(serves, {signal, timeoutMs: STARTED_MS, intervalMs: 10});
    client = connectCri(socket);
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    client?.close();
    client = undefined;
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, 'exit');
    running.kill(signal);
    await ended;
  };
  const reboot = async (): Promise<void> => {
    await stop('SIGKILL');
    await killAll(cgroupParent);
    await unmountBelow(folder);
    mount({source: 'state', target: state, type: 'tmpfs', data: 'mode=711'});
  };
  await start();
  return {
    folder,
    root,
    state,
    socket,
    cgroupParent,
    pid: () => child?.pid ?? 0,
    cri: () => {
      if (!client) throw new Error('the daemon does not run');
      return client;
    },
    log: () => log,
    stop,
    start,
    reboot,
    async [Symbol.asyncDispose]() {
      if (!client) await start().catch(() => undefined);
      await removeAllPods(client);
      await stop();
      await killAll(cgroupParent);
      await removeCgroups(cgroupParent);
      await removeEmptyCgroups();
      await unmountBelow(folder);
      await rm(folder, {recursive: true, force: true});
    },
  };
}

async function writeConfiguration(
  folder: string,
  {root, state, socket}: {readonly root: string; readonly state: string; readonly socket: string},
  {programs, networks = {}, config = '', registries = ''}: RuntimeDaemonOptions,
): Promise<void> {
  const networkFolder = join(folder, 'net.d');
  await mkdir(networkFolder);
  for (const [name, network] of Object.entries(networks)) {
    await writeFile(join(networkFolder, name), JSON.stringify(network));
  }
  await writeFile(join(folder, 'registries.conf'), registries);
  await writeFile(
    join(folder, 'cri.toml'),
    `root = "${root}"
state = "${state}"
listen = "unix://${socket}"
logLevel = "debug"
cgroupManager = "cgroupfs"
conmon = "${programs.conmon}"
tini = "${programs.catatonit}"
execProgram = "${programs.slipwayExec}"
registriesFile = "${join(folder, 'registries.conf')}"
authFile = "${join(folder, 'auth.json')}"
${config}
[runtimes.runc]
path = "${programs.runc}"
[runtimes.crun]
path = "${programs.crun}"
[cni]
confDirectory = "${networkFolder}"
binDirectories = ["${programs.cniBinDirectory}"]
`,
  );
}

async function removeAllPods(client: CriClient | undefined): Promise<void> {
  if (!client) return;
  const {items} = await client.runtime.listPodSandbox({});
  await Promise.all(
    items.map(({id}) => client.runtime.removePodSandbox({podSandboxId: id}).catch(() => undefined)),
  );
}

/** Kills what still runs in cgroups of the test, conmon first so that it reports nothing. */
async function killAll(cgroupParent: string): Promise<void> {
  const {signal} = new AbortController();
  const probe = async () => {
    const pids = await processesOf(cgroupParent);
    for (const pid of pids) killProcess(pid, 'SIGKILL');
    return pids.length === 0 ? true : undefined;
  };
  await waitFor(probe, {signal, timeoutMs: ENDED_MS, intervalMs: 20});
}

async function processesOf(cgroupParent: string): Promise<readonly number[]> {
  const pids = new Set<number>();
  for (const root of new Set(Object.values(cgroupLayout().hierarchies))) {
    for (const directory of await foldersBelow(join(root, cgroupParent))) {
      const text = await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '');
      for (const line of text.split('\n')) if (Number(line) > 0) pids.add(Number(line));
    }
  }
  return [...pids].filter(pid => isThere(pid));
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function removeCgroups(cgroupParent: string): Promise<void> {
  for (const root of new Set(Object.values(cgroupLayout().hierarchies))) {
    const folders = await foldersBelow(join(root, cgroupParent));
    for (const folder of folders.toReversed()) await rmdir(folder).catch(() => undefined);
  }
}

/** A folder and all folders in it, parents first; nothing when it is not there. */
async function foldersBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, {withFileTypes: true}).catch(() => undefined);
  if (!entries) return [];
  const below = entries.filter(entry => entry.isDirectory());
  const found = await Promise.all(below.map(({name}) => foldersBelow(join(folder, name))));
  return [folder, ...found.flat()];
}

/** Mount points below a folder, innermost first. */
export async function mountsBelow(folder: string): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines
    .map(line => line.split(' ')[4] ?? '')
    .filter(point => point.startsWith(`${folder}/`))
    .toReversed();
}

async function unmountBelow(folder: string): Promise<void> {
  for (const point of await mountsBelow(folder)) unmount(point, {detach: true});
}
