import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {compareSnapshots, type HostSnapshot, snapshotHost} from './host-snapshot.ts';
import {FOLDER} from './the-lab.ts';

export const THREE_HOSTS: readonly string[] = ['h1', 'h2', 'h3'];

const fileOf = (host: string): string => join(FOLDER, `e2e-${host}-before.json`);

/** Keeps what the hosts are before the first run, for the files that reset them later. */
export async function saveSnapshots(hosts: readonly string[]): Promise<void> {
  await Promise.all(
    hosts.map(async host => {
      await writeFile(fileOf(host), JSON.stringify(await snapshotHost(host)));
    }),
  );
}

/** What is not as it was when {@link saveSnapshots} was called, by host; empty when all is. */
export async function differencesToSaved(hosts: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    hosts.map(async host => {
      const before = JSON.parse(await readFile(fileOf(host), 'utf8')) as HostSnapshot;
      return compareSnapshots(before, await snapshotHost(host)).map(line => `${host} ${line}`);
    }),
  );
  return found.flat();
}
