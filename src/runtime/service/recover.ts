import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno, messageOf} from '#shared/errors';
import {mapLimited} from '#shared/map-limited';
import {removeRemains} from '../conmon/remains.ts';
import type {Container} from '../store/container.ts';
import type {LoadResult} from '../store/object-store.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {isAlive} from '../sys/processes.ts';
import {recordExit, releaseContainer} from './container-exit.ts';
import type {Dependencies} from './dependencies.ts';
import {removeMonitorCgroup} from './monitor-cgroup.ts';
import {releaseSandbox, removeSandboxFolder} from './sandbox-release.ts';

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
/** Each may run the OCI runtime or a network plugin; more at once only fight for the CPUs. */
const RECOVERIES_AT_ONCE = 8;
/** What is found out here, the next recovery finds out too: a full disk must not keep from serving. */
const MAY_LAG = {mayLag: true};

/** What recovery has left to do beside serving; nothing in it decides what lists show. */
export interface Recovered {
  /** True when the state is of another boot: nothing that it names can still run. */
  readonly rebooted: boolean;
  /** Takes down what has ended and gives back networks; logs what fails, never rejects. */
  readonly cleanUp: () => Promise<void>;
}

/**
 * Reads the records after a start and makes them agree with what is there: processes by pid and
 * start time, exit records, pinned namespaces. Afterwards every status is right and can be served.
 */
export async function recover(deps: Dependencies): Promise<Recovered> {
  const {layout, sandboxes, containers} = deps;
  await Promise.all(
    [layout.exits, layout.sandboxFolders, layout.bundles].map(folder =>
      mkdir(folder, {recursive: true, mode: 0o711}),
    ),
  );
  const rebooted = await isRebooted(layout.bootFile);
  const [loadedSandboxes, loadedContainers] = [await sandboxes.load(), await containers.load()];
  logQuarantined([loadedSandboxes, loadedContainers], deps);

  for (const id of loadedSandboxes.unfinished) {
    // Shown as stopped until all of it is given back: then a kubelet can ask again what failed.
    await sandboxes.get(id)?.update(status => ({...status, state: 'stopped'}), MAY_LAG);
  }
  await mapLimited(containers.list(), RECOVERIES_AT_ONCE, container =>
    settleContainer(container, rebooted, deps),
  );
  const mounted = await mountPoints();
  const broken = sandboxes
    .list()
    .filter(sandbox => sandbox.status.state === 'ready')
    .filter(sandbox => rebooted || !isWhole(sandbox, mounted, deps));
  for (const sandbox of broken) {
    await sandbox.update(status => ({...status, state: 'stopped', addresses: []}), MAY_LAG);
  }
  await writeFile(layout.bootFile, await bootId());
  const leftOver = {
    sandboxes: loadedSandboxes.unfinished,
    containers: loadedContainers.unfinished,
    strangers: await findStrangers(deps),
  };
  // Before anybody can start a pod: its addresses would be garbage to a collection under way.
  await attempt(deps, 'networks of unknown pods', '', () => collectNetworks(deps));
  return {rebooted, cleanUp: () => cleanUp(leftOver, deps)};
}

/** The state folder is on a tmpfs; where it is not, the kernel's boot id tells. */
async function isRebooted(bootFile: string): Promise<boolean> {
  try {
    return (await readFile(bootFile, 'utf8')) !== (await bootId());
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    throw error;
  }
}

async function bootId(): Promise<string> {
  return readFile(BOOT_ID_FILE, 'utf8');
}

async function settleContainer(
  container: Container,
  rebooted: boolean,
  deps: Dependencies,
): Promise<void> {
  const {id, metadata, status} = container;
  if (status.state === 'exited') {
    deps.lives.of(id).exited.resolve(undefined);
    return;
  }
  if (rebooted || !status.init || !isAlive(status.init)) {
    // A conmon that lives is about to write how it ended, which the watch of exits records.
    const isReported = !rebooted && status.conmon !== undefined && isAlive(status.conmon);
    if (!isReported) await recordExit(container, undefined, deps);
    return;
  }
  if (status.state !== 'created') return;
  // The daemon may have died between starting it and writing so.
  const state = await deps.runtimes.get(metadata.runtimeHandler).state(id);
  if (state?.status !== 'running') return;
  const startedAtNs = deps.clock.now();
  await container.update(now => ({...now, state: 'running', startedAtNs}), MAY_LAG);
}

function isWhole(
  {id, metadata, status}: Sandbox,
  mounted: ReadonlySet<string>,
  deps: Dependencies,
): boolean {
  const {network, pid, ipc} = metadata.namespaces;
  const {namespaces} = deps.layout.sandbox(id);
  if (network === 'pod' && !mounted.has(join(namespaces, 'net'))) return false;
  if (ipc === 'pod' && !mounted.has(join(namespaces, 'ipc'))) return false;
  return pid !== 'pod' || (status.init !== undefined && isAlive(status.init));
}

async function mountPoints(): Promise<ReadonlySet<string>> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return new Set(lines.map(line => line.split(' ', 5)[4] ?? ''));
}

/** What was cut off; found before serving, so that nothing new can be among it. */
interface LeftOver {
  /** Ids of sandboxes and containers that were being made. */
  readonly sandboxes: readonly string[];
  readonly containers: readonly string[];
  readonly strangers: readonly Stranger[];
}

/** Something that no record claims. */
interface Stranger {
  readonly what: string;
  readonly id: string;
  readonly remove: () => Promise<unknown>;
}

async function cleanUp(leftOver: LeftOver, deps: Dependencies): Promise<void> {
  const {containers, sandboxes} = deps;
  await mapLimited(leftOver.containers, RECOVERIES_AT_ONCE, id =>
    attempt(deps, 'unfinished container', id, () => removeUnfinished(id, deps)),
  );
  const ended = containers.list().filter(({status}) => status.state === 'exited');
  await mapLimited(ended, RECOVERIES_AT_ONCE, container =>
    attempt(deps, 'ended container', container.id, () => releaseContainer(container, deps)),
  );
  const owing = sandboxes
    .list()
    .filter(({status}) => status.state === 'stopped' && !status.networkReleased);
  await mapLimited(owing, RECOVERIES_AT_ONCE, sandbox =>
    attempt(deps, 'network of a stopped sandbox', sandbox.id, () =>
      deps.queues.of(sandbox.id).run({
        name: 'release the sandbox',
        interruptible: false,
        run: () => giveBack(sandbox, leftOver, deps),
      }),
    ),
  );
  await mapLimited(leftOver.strangers, RECOVERIES_AT_ONCE, ({what, id, remove}) =>
    attempt(deps, what, id, remove),
  );
}

async function attempt(
  {log}: Dependencies,
  what: string,
  id: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.warn('recovery could not clean up', {what, id, error: messageOf(error)});
  }
}

async function collectNetworks({network, sandboxes}: Dependencies): Promise<void> {
  const valid = sandboxes.list().filter(({status}) => !status.networkReleased);
  await network.collectGarbage(new Set(valid.map(({id}) => id)));
}

async function giveBack(sandbox: Sandbox, leftOver: LeftOver, deps: Dependencies): Promise<void> {
  await releaseSandbox(sandbox, deps);
  if (!leftOver.sandboxes.includes(sandbox.id)) return;
  // Nobody ever got its id: there is nothing to keep it for.
  await removeSandboxFolder(deps.layout.sandbox(sandbox.id));
  await deps.sandboxes.remove(sandbox.id);
}

/** A container whose making was cut short; conmon may have begun. */
async function removeUnfinished(id: string, deps: Dependencies): Promise<void> {
  const container = deps.containers.get(id);
  if (!container) return;
  const {metadata, directory} = container;
  // A conmon whose daemon died before it was let begin, begins by itself: it goes first.
  await removeRemains({
    id,
    bundle: deps.layout.bundle(id),
    logPath: metadata.logPath,
    persistDirectory: directory,
    exitsDirectory: deps.layout.exits,
    runtime: deps.runtimes.get(metadata.runtimeHandler),
  });
  await removeMonitorCgroup(metadata, deps);
  await deps.images.removeRootfs(id);
  await rm(deps.layout.bundle(id), {recursive: true, force: true});
  await deps.containers.remove(id);
}

/** Traces of work that was cut off before or after its record. */
async function findStrangers(deps: Dependencies): Promise<readonly Stranger[]> {
  const {layout, images, runtimes} = deps;
  const known = new Set([...deps.sandboxes.ids(), ...deps.containers.ids()]);
  const unknown = (ids: readonly string[]): readonly string[] =>
    ids.filter(id => ID.test(id) && !known.has(id));
  const inFolder = async (folder: string): Promise<readonly string[]> =>
    unknown(await readdir(folder).catch(() => []));
  const found: Stranger[] = [];
  for (const runtime of runtimes.names.map(name => runtimes.get(name))) {
    for (const id of await inFolder(runtime.root)) {
      const remove = (): Promise<void> => runtime.delete(id, {force: true});
      found.push({what: 'unknown container', id, remove});
    }
  }
  for (const id of unknown(images.listRootfs())) {
    found.push({what: 'unknown root', id, remove: () => images.removeRootfs(id)});
  }
  for (const id of await inFolder(layout.bundles)) {
    const remove = (): Promise<void> => rm(layout.bundle(id), {recursive: true, force: true});
    found.push({what: 'unknown bundle', id, remove});
  }
  for (const id of await inFolder(layout.sandboxFolders)) {
    const remove = (): Promise<void> => removeSandboxFolder(layout.sandbox(id));
    found.push({what: 'unknown sandbox folder', id, remove});
  }
  return found;
}

const ID = /^[0-9a-f]{64}$/;

function logQuarantined(results: readonly LoadResult[], {log}: Dependencies): void {
  for (const line of results.flatMap(({quarantined}) => quarantined)) {
    log.error('a record cannot be read and is set aside', {record: line});
  }
}
