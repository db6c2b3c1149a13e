import {readdir, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {hostProgram} from '#test/host-path';

/** Names of what tests could leave on a machine, by kind. */
export type MachineSnapshot = Readonly<Record<string, readonly string[]>>;

/** Reads interfaces, network namespaces, mounts, control groups and packet filter tables. */
export async function snapshotMachine(): Promise<MachineSnapshot> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  return {
    interface: await names('/sys/class/net'),
    'network namespace': await names('/run/netns'),
    mount: mounts
      .split('\n')
      .map(line => line.split(' ')[4] ?? '')
      .filter(path => path !== ''),
    'control group': await controlGroups(),
    'packet filter table': await filterTables(),
  };
}

/** What is there now and was not before. */
export function findLeftovers(before: MachineSnapshot, after: MachineSnapshot): readonly string[] {
  return Object.entries(after).flatMap(([kind, found]) => {
    const known = new Set(before[kind]);
    const come = [...new Set(found)].filter(name => !known.has(name) && !isOfMachine(kind, name));
    return come.map(name => `${kind} ${name}`);
  });
}

/** What comes by itself meanwhile: somebody logs in, systemd starts a service or a timer's work. */
function isOfMachine(kind: string, name: string): boolean {
  // `ip netns add` mounts its folder on itself when it is first used after a boot, for good.
  if (kind === 'mount') return name === '/run/netns' || name.startsWith('/run/user/');
  return kind === 'control group' && /(^|\/)(user|system)\.slice(\/|$)/.test(name);
}

/** Of the top of every hierarchy: a lab's, and a runtime's, are there. */
async function controlGroups(): Promise<readonly string[]> {
  const root = '/sys/fs/cgroup';
  const tops = await folders(root);
  const below = await Promise.all(
    tops.map(async top => (await folders(join(root, top))).map(name => `${top}/${name}`)),
  );
  return [...tops, ...below.flat()];
}

async function folders(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, {withFileTypes: true}).catch(() => []); // gone meanwhile
  return entries.filter(entry => entry.isDirectory()).map(({name}) => name);
}

async function filterTables(): Promise<readonly string[]> {
  const nft = hostProgram('nft');
  if (nft === undefined) return [];
  const {stdout} = await run([nft, 'list', 'tables'], {signal: new AbortController().signal});
  return stdout.split('\n').filter(Boolean);
}

async function names(path: string): Promise<readonly string[]> {
  return await readdir(path).catch(() => []); // no such folder: nothing in it
}
