import {hasCommand} from '#shared/local-process';
import {createLab} from '#lab/lab';
import {readOwner} from '#lab/lock';

/** Why levels that work on the machine cannot run on this one; undefined when they can. */
export async function missingReason(signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted();
  if (process.platform !== 'linux') return 'they need Linux';
  if (process.getuid?.() !== 0) return 'they need root';
  if (!hasCommand('apt-get')) return 'they need a Debian or Ubuntu with apt-get';
  const owner = await readOwner();
  if (owner !== undefined && (await createLab(owner).isUp())) {
    return `the lab of ${owner} is up, and they need its place: "provision lab down" there`;
  }
  return undefined;
}
