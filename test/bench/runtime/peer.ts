import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, readdir, readlink} from 'node:fs/promises';
import {connectCri, type CriClient} from '#runtime/client/connect';
import {waitFor} from '#shared/wait-for';
import {HOST_PATH} from '#test/host-path';

/** A runtime daemon under measurement, in mount and network namespaces of its own. */
export interface Peer {
  readonly name: string;
  readonly cri: CriClient;
  /** Parent of its pods' control groups (cgroupfs). */
  readonly cgroupParent: string;
  readonly memory: () => Promise<Memory>;
  /** Processor time of the daemon itself, in seconds. */
  readonly daemonSeconds: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

export interface Memory {
  /** Resident set of the daemon, MiB. */
  readonly daemonMiB: number;
  /** Proportional set of its helpers (monitors, shims, workers), MiB. */
  readonly helpersMiB: number;
  readonly helpers: number;
}

export interface PeerOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly socket: string;
  readonly environment: Readonly<Record<string, string>>;
  /** A registry that serves the images, started beside the daemon. */
  readonly registryCommand: readonly string[];
  readonly signal: AbortSignal;
}

const READY_MS = 30_000;
const STOP_MS = 20_000;
const TICKS_PER_SECOND = 100; // USER_HZ of every Linux that we run on
const KIB_PER_MIB = 1024;
/** lo is up, / is shared for whoever wants to propagate mounts, nothing is seen outside. */
const ISOLATED =
  'ip link set lo up && mount --make-rshared / && echo 1 > /proc/sys/net/ipv4/ip_forward && exec "$@"';

/** Starts a daemon and its registry, and waits until it answers. */
export async function startPeer(options: PeerOptions): Promise<Peer> {
  const {name, command, socket, environment, registryCommand, signal} = options;
  const isolate = ['--mount', '--net', '--propagation', 'private'];
  const daemon = spawn('unshare', [...isolate, 'sh', '-c', ISOLATED, 'sh', ...command], {
    stdio: ['ignore', 'ignore', process.env['BENCH_DEBUG'] === undefined ? 'ignore' : 'inherit'],
    env: {...process.env, PATH: HOST_PATH, ...environment},
  });
  const pid = daemon.pid;
  if (pid === undefined) throw new Error(`${name} did not start`);
  const cri = await waitFor(() => answering(daemon, name, socket), {
    signal,
    timeoutMs: READY_MS,
    intervalMs: 20,
  });
  const [program = '', ...args] = registryCommand;
  const enter = ['--net', '--target', String(pid), program, ...args];
  const registry = spawn('nsenter', enter, {stdio: 'ignore'});
  return {
    name,
    cri,
    cgroupParent: `/slipway-bench-${name}`,
    memory: () => memoryOf(pid),
    daemonSeconds: () => processorSeconds(pid),
    async stop() {
      cri.close();
      await Promise.all([stop(registry), stop(daemon)]);
    },
  };
}

async function answering(daemon: ChildProcess, name: string, socket: string) {
  if (daemon.exitCode !== null) throw new Error(`${name} ended with ${daemon.exitCode}`);
  const cri = connectCri(socket);
  try {
    await cri.runtime.version({});
    return cri;
  } catch {
    cri.close();
    return undefined;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(timer);
}

/** Helpers are what shares the daemon's mount namespace; containers have their own. */
async function memoryOf(pid: number): Promise<Memory> {
  const namespace = await readlink(`/proc/${pid}/ns/mnt`);
  const pids = (await readdir('/proc')).filter(entry => /^\d+$/.test(entry));
  let helpers = 0;
  let helpersKib = 0;
  for (const other of pids) {
    const same = await readlink(`/proc/${other}/ns/mnt`).catch(() => undefined);
    if (same !== namespace || Number(other) === pid) continue;
    const pss = await kib(`/proc/${other}/smaps_rollup`, 'Pss').catch(() => 0);
    helpersKib += pss;
    helpers += 1;
  }
  const daemonKib = await kib(`/proc/${pid}/status`, 'VmRSS');
  return {daemonMiB: daemonKib / KIB_PER_MIB, helpersMiB: helpersKib / KIB_PER_MIB, helpers};
}

async function kib(path: string, field: string): Promise<number> {
  const text = await readFile(path, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
}

async function processorSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // utime, stime, cutime, cstime: proc_pid_stat(5) fields 14 to 17
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks / TICKS_PER_SECOND;
}
