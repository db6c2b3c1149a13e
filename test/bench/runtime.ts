// npm run bench:runtime: our daemon and containerd side by side, on the same images, CNI and runc.
import {mkdir, mkdtemp, readdir, rm, rmdir, writeFile} from 'node:fs/promises';
import {homedir, tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {messageOf} from '#shared/errors';
import {formatTable} from '#shared/table';
import {writeNetwork} from './runtime/cni.ts';
import {prepareContainerd} from './runtime/containerd.ts';
import {buildDaemon} from './runtime/daemon.ts';
import {type Memory, type Peer, startPeer} from './runtime/peer.ts';
import {cyclePod, endPod, type PodTimes, startPod, summarizePods} from './runtime/pods.ts';
import {type PeerPrograms, preparePrograms} from './runtime/programs.ts';
import {type Sample, summarize, timed} from './runtime/sample.ts';
import {prepareSlipway} from './runtime/slipway.ts';

/** One measure of both, with what is wanted of their ratio. */
interface Line {
  readonly measure: string;
  readonly unit: string;
  readonly ours: number;
  readonly containerd: number;
  /** ours ÷ containerd may be at most this. */
  readonly goal?: number;
}

const GOALS: Readonly<Record<string, number>> = {
  'pod start': 0.6,
  ExecSync: 0.6,
  pull: 1,
  'ListContainerStats at 100': 0.2,
};
const MEMORY_GOAL_MIB = 140;
const LIST_CALLS = 20;

const {values} = parseArgs({
  options: {
    pods: {type: 'string', default: '20'},
    containers: {type: 'string', default: '100'},
    pulls: {type: 'string', default: '3'},
    output: {type: 'string', default: 'text'},
  },
});
const rounds = Number(values.pods);
const containersMax = Number(values.containers);
const pulls = Number(values.pulls);

const controller = new AbortController();
process.on('SIGINT', () => {
  controller.abort(new Error('interrupted'));
});
const {signal} = controller;
const folder = await mkdtemp(join(tmpdir(), 'slb-')); // short: sockets lie in it
const lines: Line[] = [];
const peers: Peer[] = [];
const say = (text: string) => {
  console.error(text);
};

try {
  say('preparing programs and images');
  const cacheHome = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const programs = await preparePrograms(
    {
      folder,
      cacheFolder: join(cacheHome, 'slipway', 'bench', 'pull-1'),
      daemon: await buildDaemon(join(folder, 'daemon'), signal),
    },
    signal,
  );
  const ours = await start('slipway', prepareSlipway, programs);
  const theirs = await start('containerd', prepareContainerd, programs);
  await pullPodImages(programs);
  await measurePods(ours, theirs, programs);
  await measurePulls(ours, theirs, programs);
  await measureLists(ours, theirs, programs);
  report();
} finally {
  for (const peer of peers) {
    await endAll(peer).catch((error: unknown) => {
      say(messageOf(error));
    });
  }
  for (const peer of peers) await peer.stop();
  for (const peer of peers) await removeGroups(peer);
  await rm(folder, {recursive: true, force: true});
}

async function start(
  name: string,
  prepare: typeof prepareSlipway,
  programs: PeerPrograms,
): Promise<Peer> {
  const home = join(folder, name.slice(0, 1));
  await mkdir(home, {recursive: true});
  await writeNetwork(home);
  await writeFile(join(folder, 'hosts'), '127.0.0.1 localhost\n');
  await writeFile(join(folder, 'termination-log'), '');
  const {registryCommand} = programs;
  const peer = await startPeer({name, ...(await prepare(home, programs)), registryCommand, signal});
  peers.push(peer);
  return peer;
}

async function pullPodImages({pauseReference, podImage}: PeerPrograms): Promise<void> {
  for (const peer of peers) {
    for (const image of [pauseReference, podImage]) {
      await peer.cri.image.pullImage({image: {image}});
    }
  }
}

/** Alternately, so that both see the same noise. */
async function measurePods(ours: Peer, theirs: Peer, programs: PeerPrograms): Promise<void> {
  const times = new Map<Peer, PodTimes[]>([
    [ours, []],
    [theirs, []],
  ]);
  const cpu = new Map<Peer, number>();
  for (const peer of [ours, theirs]) cpu.set(peer, await peer.daemonSeconds());
  for (let number = 0; number < rounds; number += 1) {
    signal.throwIfAborted();
    for (const peer of number % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
      times.get(peer)?.push(await cyclePod(peer, {image: programs.podImage, folder, number}));
    }
  }
  const left = summarizePods(times.get(ours) ?? []);
  const right = summarizePods(times.get(theirs) ?? []);
  for (const [measure, sample] of left) add(measure, sample, right.get(measure));
  const perPod = async (peer: Peer) =>
    (((await peer.daemonSeconds()) - (cpu.get(peer) ?? 0)) / rounds) * 1000;
  line('daemon CPU per pod', 'ms', await perPod(ours), await perPod(theirs));
}

async function measurePulls(ours: Peer, theirs: Peer, programs: PeerPrograms): Promise<void> {
  const {pullImage, pullBytes} = programs;
  say(`pulling ${Math.round(pullBytes / 1_000_000)} MB, ${pulls} times each`);
  const times = new Map<Peer, number[]>([
    [ours, []],
    [theirs, []],
  ]);
  const cpu = new Map<Peer, number>();
  for (const peer of [ours, theirs]) cpu.set(peer, await peer.daemonSeconds());
  for (let round = 0; round < pulls; round += 1) {
    for (const peer of round % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
      signal.throwIfAborted();
      const image = {image: pullImage};
      const {ms} = await timed(() => peer.cri.image.pullImage({image}));
      times.get(peer)?.push(ms);
      await peer.cri.image.removeImage({image});
    }
  }
  add('pull', summarize(times.get(ours) ?? []), summarize(times.get(theirs) ?? []));
  const used = async (peer: Peer) => (await peer.daemonSeconds()) - (cpu.get(peer) ?? 0);
  line('pull CPU, all', 's', await used(ours), await used(theirs));
}

async function measureLists(ours: Peer, theirs: Peer, programs: PeerPrograms): Promise<void> {
  for (const peer of [ours, theirs]) peer.cri.runtime.version({}).catch(() => undefined);
  let running = 0;
  for (const size of new Set([0, Math.floor(containersMax / 2), containersMax])) {
    say(`lists and statistics at ${size} containers`);
    for (; running < size; running += 1) {
      for (const peer of [ours, theirs]) {
        await startPod(peer, {image: programs.podImage, folder, number: 10_000 + running});
      }
    }
    for (const [measure, call] of [
      ['ListContainers', (peer: Peer) => peer.cri.runtime.listContainers({})],
      ['ListPodSandbox', (peer: Peer) => peer.cri.runtime.listPodSandbox({})],
      ['ListContainerStats', (peer: Peer) => peer.cri.runtime.listContainerStats({})],
      ['ListPodSandboxStats', (peer: Peer) => peer.cri.runtime.listPodSandboxStats({})],
      ['Status', (peer: Peer) => peer.cri.runtime.status({})],
    ] as const) {
      const sample = async (peer: Peer) => {
        const once: (peer: Peer) => Promise<unknown> = call;
        const ms: number[] = [];
        for (let count = 0; count < LIST_CALLS; count += 1) {
          ms.push((await timed(() => once(peer))).ms);
        }
        return summarize(ms);
      };
      add(`${measure} at ${size}`, await sample(ours), await sample(theirs));
    }
    const all = ({daemonMiB, helpersMiB}: Memory) => daemonMiB + helpersMiB;
    const [left, right] = [await ours.memory(), await theirs.memory()];
    line(`memory at ${size}, daemon`, 'MiB', left.daemonMiB, right.daemonMiB);
    line(`memory at ${size}, all`, 'MiB', all(left), all(right));
  }
}

function add(measure: string, ours: Sample, theirs: Sample | undefined): void {
  line(measure, 'ms', ours.p50, theirs?.p50 ?? Number.NaN);
  line(`${measure} p95`, 'ms', ours.p95, theirs?.p95 ?? Number.NaN);
}

function line(measure: string, unit: string, ours: number, containerd: number): void {
  const goal = GOALS[measure];
  lines.push({measure, unit, ours, containerd, ...(goal === undefined ? {} : {goal})});
}

function report(): void {
  if (values.output === 'json') {
    console.log(JSON.stringify({version: 1, lines}, undefined, 2));
    return;
  }
  const rows = lines.map(({measure, unit, ours, containerd, goal}) => {
    const ratio = ours / containerd;
    const verdict = goal === undefined ? '' : `≤ ${goal} ${ratio <= goal ? 'met' : 'missed'}`;
    return [measure, unit, ours.toFixed(2), containerd.toFixed(2), ratio.toFixed(2), verdict];
  });
  console.log(formatTable(['MEASURE', 'UNIT', 'OURS', 'CONTAINERD', 'RATIO', 'GOAL'], rows));
  const memory = lines.find(({measure}) => measure === `memory at ${containersMax}, all`);
  if (memory !== undefined && containersMax === 100) {
    console.log(`memory at 100 containers: ${memory.ours.toFixed(0)} MiB, goal ${MEMORY_GOAL_MIB}`);
  }
}

async function endAll(peer: Peer): Promise<void> {
  const {items} = await peer.cri.runtime.listPodSandbox({});
  const {containers} = await peer.cri.runtime.listContainers({});
  for (const {id, podSandboxId} of containers) {
    await endPod(peer, {sandboxId: podSandboxId, containerId: id});
  }
  for (const {id} of items) {
    await peer.cri.runtime.stopPodSandbox({podSandboxId: id});
    await peer.cri.runtime.removePodSandbox({podSandboxId: id});
  }
}

/** The parent of the pods' control groups, in every hierarchy. */
async function removeGroups({cgroupParent}: Peer): Promise<void> {
  for (const hierarchy of await readdir('/sys/fs/cgroup')) {
    await rmdir(join('/sys/fs/cgroup', hierarchy, cgroupParent)).catch(() => undefined);
  }
}
