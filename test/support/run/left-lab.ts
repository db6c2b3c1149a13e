import {existsSync} from 'node:fs';
import {groupProcesses} from '#lab/cgroups';
import {CHECKOUT} from '#lab/folders';
import {createLab} from '#lab/lab';
import {removeFromMachine} from '#lab/lab-down';
import {readOwner, withOperation} from '#lab/lock';
import {labFolderPrefix} from './this-run.ts';

const DOWN_TIMEOUT_MS = 120_000;

/** Whether tests of this run made the lab: it is this checkout's, or lies in a folder of theirs. */
export function isLabOfRun(owner: string, checkout = CHECKOUT): boolean {
  return owner === checkout || owner.startsWith(labFolderPrefix());
}

/**
 * Removes the lab that a killed or failed test left, and no other: somebody may have made one while
 * the tests ran. Returns what there is to say; undefined without a lab.
 */
export async function removeLeftLab(): Promise<string | undefined> {
  const owner = await readOwner();
  if (owner === undefined) return undefined;
  if (!isLabOfRun(owner)) return `there is a lab of ${owner} now, which is not of these tests`;
  const signal = AbortSignal.timeout(DOWN_TIMEOUT_MS);
  await createLab(owner).down({signal, onEvent: () => undefined});
  return `the lab of ${owner} was still up`;
}

/**
 * Takes from the machine what a lab left that was killed, or whose checkout was deleted, as
 * `provision lab up` does: tests compare the machine after them with the machine before them. Its
 * disks stay. Returns its folder; undefined without one.
 *
 * @throws Error when that lab is alive
 */
export async function removeDeadLab(signal: AbortSignal): Promise<string | undefined> {
  return await withOperation(async () => {
    const owner = await readOwner();
    if (owner === undefined) return undefined;
    if (await isLabAlive(owner)) throw new Error(`the lab of ${owner} is up by now`);
    await removeFromMachine(signal);
    return owner;
  });
}

/** Whether anything runs in the machine's lab and its checkout is there to remove it. */
export async function isLabAlive(owner: string): Promise<boolean> {
  return existsSync(owner) && (await groupProcesses('')).size > 0;
}
