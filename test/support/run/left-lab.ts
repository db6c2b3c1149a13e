import {createLab} from '#lab/lab';
import {removeFromMachine} from '#lab/lab-down';
import {readOwner, withOperation} from '#lab/lock';

const DOWN_TIMEOUT_MS = 120_000;

/**
 * Removes the lab that a killed or failed test left. None was up before the tests, so whichever is
 * up now is theirs, also one in a temporary folder. Returns its folder; undefined without one.
 */
export async function removeLeftLab(): Promise<string | undefined> {
  const owner = await readOwner();
  if (owner === undefined) return undefined;
  const signal = AbortSignal.timeout(DOWN_TIMEOUT_MS);
  await createLab(owner).down({signal, onEvent: () => undefined});
  return owner;
}

/**
 * Takes from the machine what a lab left that was killed, whoever's it was: tests compare the
 * machine after them with the machine before them. Its disks stay. Call it where no lab is alive.
 * Returns its folder; undefined without one.
 */
export async function removeDeadLab(signal: AbortSignal): Promise<string | undefined> {
  return await withOperation(async () => {
    const owner = await readOwner();
    if (owner !== undefined) await removeFromMachine(signal);
    return owner;
  });
}
