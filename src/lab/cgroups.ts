// Control groups from outside: who lives in them, freezing, killing, removing. host/cgroups.sh makes
// and joins them. cgroup v1 has one tree per controller, v2 a single one; both end at slipway-lab.
import {existsSync} from 'node:fs';
import {readdir, readFile, rmdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import {labNames} from './names.ts';
import {type TimedWait, waitInTime} from './wait-in-time.ts';

const CGROUP_ROOT = '/sys/fs/cgroup';
const DEPTH_MAX = 32; // systemd's slices, a pod's, a container's: about ten
const SETTLE_TIMEOUT_MS = 15_000;
const SETTLE_INTERVAL_MS = 20;

/** A group of the lab below `slipway-lab`, or with '' all of it. */
export type GroupName = string;

/** Every process in the group or below it, in any hierarchy, as the machine numbers them. */
export async function groupProcesses(group: GroupName): Promise<ReadonlySet<number>> {
  const processes = new Set<number>();
  for (const folder of await groupFolders(group)) {
    for (const below of await foldersBelow(folder)) {
      const text = await readFile(join(below, 'cgroup.procs'), 'utf8').catch(() => ''); // gone meanwhile
      for (const line of text.split('\n')) if (line !== '') processes.add(Number(line));
    }
  }
  return processes;
}

/** Ends every process of the group by SIGKILL, the frozen ones too, and waits until none is left. */
export async function killGroup(group: GroupName, signal: AbortSignal): Promise<void> {
  await waitInTime(
    async () => {
      await setFrozen(group, false);
      const processes = await groupProcesses(group);
      if (processes.size === 0) return true;
      for (const processId of processes) killProcess(processId);
      return undefined;
    },
    settling(`the processes of ${title(group)} did not end`, signal),
  );
}

/** Waits until the group has no process. */
export async function waitUntilEmpty(
  group: GroupName,
  {signal, timeoutMs}: {readonly signal: AbortSignal; readonly timeoutMs: number},
): Promise<void> {
  await waitFor(async () => ((await groupProcesses(group)).size === 0 ? true : undefined), {
    signal,
    timeoutMs,
    intervalMs: SETTLE_INTERVAL_MS,
  });
}

/** Stops the group's processes where they are, and waits until all of them stand still. */
export async function freezeGroup(group: GroupName, signal: AbortSignal): Promise<void> {
  await setFrozen(group, true);
  await waitInTime(
    async () => ((await isFrozen(group)) ? true : undefined),
    settling(`the processes of ${title(group)} did not stand still`, signal),
  );
}

/** Lets frozen processes run on; containers that were paused inside the host run on as well. */
export async function thawGroup(group: GroupName): Promise<void> {
  await setFrozen(group, false);
}

export async function isFrozen(group: GroupName): Promise<boolean> {
  for (const {folder, file, isFrozen} of freezers(group)) {
    if (!existsSync(join(folder, file))) continue;
    const text = await readFile(join(folder, file), 'utf8').catch(() => '');
    if (isFrozen(text)) return true;
  }
  return false;
}

/** Memory of the group with its page cache, in bytes; undefined where nothing counts it. */
export async function groupMemoryBytes(group: GroupName): Promise<number | undefined> {
  const files = [
    join(CGROUP_ROOT, 'memory', labNames.cgroup, group, 'memory.usage_in_bytes'),
    join(CGROUP_ROOT, labNames.cgroup, group, 'memory.current'),
  ];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined); // the other version's file
    if (text !== undefined) return Number(text);
  }
  return undefined;
}

/** True when the group exists in any hierarchy. */
export async function hasGroup(group: GroupName): Promise<boolean> {
  return (await groupFolders(group)).length > 0;
}

/** Removes the empty group with everything below it, in every hierarchy. */
export async function removeGroup(group: GroupName, signal: AbortSignal): Promise<void> {
  await waitInTime(
    async () => {
      for (const folder of await groupFolders(group)) {
        for (const below of (await foldersBelow(folder)).toReversed()) await removeFolder(below);
      }
      return (await groupFolders(group)).length === 0 ? true : undefined;
    },
    settling(`the control groups of ${title(group)} could not be removed`, signal),
  );
}

function settling(message: string, signal: AbortSignal): TimedWait {
  return {
    signal,
    timeoutMs: SETTLE_TIMEOUT_MS,
    intervalMs: SETTLE_INTERVAL_MS,
    code: 'ERR_LAB_STUCK',
    message,
    hint: 'try again; a process in state D (ps) holds on until the kernel lets it go',
  };
}

const title = (group: GroupName): string => (group === '' ? 'the lab' : group);

async function groupFolders(group: GroupName): Promise<readonly string[]> {
  const unified = existsSync(join(CGROUP_ROOT, 'cgroup.procs'));
  return (unified ? ['.'] : await hierarchies())
    .map(hierarchy => join(CGROUP_ROOT, hierarchy, labNames.cgroup, group))
    .filter(folder => existsSync(folder));
}

/** Controllers that share a hierarchy have a link each to it (`cpu` to `cpu,cpuacct`). */
async function hierarchies(): Promise<readonly string[]> {
  const entries = await readdir(CGROUP_ROOT, {withFileTypes: true}).catch(() => []);
  return entries.filter(entry => entry.isDirectory()).map(({name}) => name);
}

/** The folder itself first, then everything below it, parents before children. */
async function foldersBelow(folder: string, depth = 0): Promise<readonly string[]> {
  if (depth > DEPTH_MAX) return [];
  const entries = await readdir(folder, {withFileTypes: true}).catch(() => []); // gone meanwhile
  const found = [folder];
  for (const entry of entries) {
    if (entry.isDirectory())
      found.push(...(await foldersBelow(join(folder, entry.name), depth + 1)));
  }
  return found;
}

async function removeFolder(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    // Busy: a process is still leaving; the next round tries again.
    if (!isErrno(error, 'EBUSY') && !isErrno(error, 'ENOENT') && !isErrno(error, 'ENOTEMPTY'))
      throw error;
  }
}

function freezers(group: GroupName): readonly {
  readonly folder: string;
  readonly file: string;
  readonly frozen: string;
  readonly thawed: string;
  readonly isFrozen: (text: string) => boolean;
}[] {
  return [
    {
      folder: join(CGROUP_ROOT, 'freezer', labNames.cgroup, group),
      file: 'freezer.state',
      frozen: 'FROZEN',
      thawed: 'THAWED',
      isFrozen: text => text.trim() === 'FROZEN',
    },
    {
      folder: join(CGROUP_ROOT, labNames.cgroup, group),
      file: 'cgroup.freeze',
      frozen: '1',
      thawed: '0',
      isFrozen: text => text.trim() === '1',
    },
  ];
}

async function setFrozen(group: GroupName, frozen: boolean): Promise<void> {
  for (const freezer of freezers(group)) {
    // A group below may be frozen by itself (a paused container): killing has to thaw those too.
    const folders = frozen ? [freezer.folder] : await foldersBelow(freezer.folder);
    for (const folder of folders) {
      const file = join(folder, freezer.file);
      if (!existsSync(file)) continue;
      await writeFile(file, frozen ? freezer.frozen : freezer.thawed).catch((error: unknown) => {
        if (!isErrno(error, 'ENOENT') && !isErrno(error, 'ENODEV')) throw error; // removed meanwhile
      });
    }
  }
}

function killProcess(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error; // it has ended by itself
  }
}
